"""Identifiers told by a word beside them: document numbers, cards and accounts, dates of birth, postcodes, streets.

Belongs here: cue words and the forms that count beside them. Does not belong here: what stands on its form alone (`forms`).

A cue is looked for only near a number that could be an identifier, so that text without such numbers costs one search.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ddd_llm.corpus.privacy.finds import Found, Kind, Strength, compact, digits

# Five digits with at most three separators and four letters between two of them: the least that an identifier needs.
_STRETCH = re.compile(r"[0-9](?:[ .()/:+-]{0,3}[A-Za-z]{0,4}[0-9]){4,}")
_BEFORE, _AFTER, _WIDEST = 72, 36, 800


def holds(text: str, stems: Iterable[str]) -> bool:
    """Whether one of the stems stands in the text."""
    for stem in stems:  # a generator for `any` takes longer than the searches  # noqa: SIM110
        if stem in text:
            return True
    return False


def windows(text: str) -> list[tuple[int, int]]:
    """Stretches of a text that hold a number long enough for an identifier, with what stands beside it.

    They are 800 characters at most, or one number and its neighbourhood; a number stands whole in one of them.
    """
    found: list[tuple[int, int]] = []
    start = end = -1
    for match in _STRETCH.finditer(text):
        begin, stop = match.span()
        if end >= 0 and begin - _BEFORE <= end + _AFTER and stop - start < _WIDEST:
            end = stop
            continue
        if end >= 0:
            found.append((start, min(end + _AFTER, begin)))
        start, end = max(0, begin - _BEFORE), stop
    if end >= 0:
        found.append((start, min(end + _AFTER, len(text))))
    return found


# What may stand between a cue and its number: "number is:", "no. ", "(issued in Bern) is ".
_LINK = r"(?:(?! ?(?:version|port|build)\b)[^\d\n]){0,28}\n?[ \t\"'(]{0,4}(?<![A-Za-z])"
_VALUE = r"(?P<value>(?:[A-Za-z]{1,5}[ -]?)?\d[\dA-Za-z]*(?:[ ./-]{1,2}[A-Za-z]{0,2}\d[\dA-Za-z]*){0,6}(?:[ -][A-Z]{1,3})?(?!\w))"
_WORDS = {
    Kind.NATIONAL_ID: r"national (?:identity|identification|insurance|id)|(?:identity|id|citizen) (?:card|number|no\b)|"
    r"social insurance|personal (?:id|identity|identification|number)|aadha+r|pesel|personnummer|resident registration|"
    r"voter|(?-i:NINO?|SIN|NRIC|FIN|CPF|CURP|DNI|NIE|BSN|CNP|RRN)",
    Kind.TAX_ID: r"tax(?:payer)?(?: ?id| identification| file| ref| number| no\b)|steuer-?(?:id|nummer|identifikations)|"
    r"codice fiscale|vat (?:id|no|number|reg)|(?-i:TIN|ITIN|EIN|TFN|NIF|PAN|UTR)",
    Kind.HEALTH_ID: r"nhs|medicare|medicaid|health (?:insurance|card|plan|care)|(?:member|patient|subscriber) (?:id|number|no\b)|"
    r"medical (?:record|licen[cs]e)|(?-i:MRN|NPI|HICN|MBI)",
    Kind.PASSPORT: r"passport",
    Kind.DRIVER_LICENCE: r"driv(?:ers?'?s?|ing)(?: |-)?(?:licen[cs]e|permit)|dr\. lic|(?-i:DL ?#)",
    Kind.BANK_ACCOUNT: r"(?:bank|checking|savings|my|your|his|her) (?:account|acct)|(?:account|acct)\.? (?:number|no\b|nr|#)|"
    r"sort code|routing (?:number|no\b|transit)|(?-i:ABA|BSB)",
    Kind.CARD: r"(?:credit|debit|bank|payment|my|your|his|her|this|the|new) ?card|card(?: number| no\b| ?#|:)|"
    r"visa|master ?card|amex|american express|maestro|diners|(?-i:cc|CC)(?: number| no\b| ?#)?",
}
# Kind, stems of which one stands in every cue (a plain search is quick), the cues.
_CUED = [
    (kind, stems, re.compile(rf"\b(?i:{_WORDS[kind]})"))
    for kind, stems in {
        Kind.NATIONAL_ID: ("nation", "identi", "id ", "citizen", "insurance", "personal", "aadha", "pesel", "personnu", "resident",  # noqa: E501
                           "voter", "nin", "sin", "nric", "fin", "cpf", "curp", "dni", "nie", "bsn", "cnp", "rrn"),
        Kind.TAX_ID: ("tax", "steuer", "codice", "vat", "tin", "ein", "tfn", "nif", "pan", "utr"),
        Kind.HEALTH_ID: ("nhs", "medic", "health", "member", "patient", "subscriber", "mrn", "npi", "hicn", "mbi"),
        Kind.PASSPORT: ("passport",),
        Kind.DRIVER_LICENCE: ("driv", "dr. lic", "dl"),
        Kind.BANK_ACCOUNT: ("acc", "sort code", "routing", "aba", "bsb"),
        Kind.CARD: ("card", "visa", "amex", "american exp", "maestro", "diners", "cc"),
    }.items()
]  # fmt: skip
_AFTER_CUE = re.compile(rf"[A-Za-z]{{0,12}}{_LINK}{_VALUE}")


def documents(text: str, start: int, end: int) -> Iterator[Found]:
    """Numbers of identity papers, tax, health, accounts and cards, right after their cue, in one of the `windows`."""
    lowered = text[start:end].lower()
    for kind, stems, pattern in _CUED:
        if not holds(lowered, stems):
            continue
        for cue in pattern.finditer(text, start, end):
            match = _AFTER_CUE.match(text, cue.end(), min(len(text), end + 40))
            if match is None:
                continue
            value = match["value"]
            count = len(digits(value))
            if kind is Kind.CARD:
                if 12 <= count <= 19 and value.replace(" ", "").replace("-", "").isdigit():
                    yield Found(kind, match.start("value"), match.end("value"), digits(value), Strength.CUE)
            elif count >= (5 if value.isdigit() else 4) and not _DATE.fullmatch(value):
                yield Found(kind, match.start("value"), match.end("value"), compact(value), Strength.CUE)


_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_DATE_FORM = (
    rf"(?:\d{{4}}[./-]\d{{1,2}}[./-]\d{{1,2}}|\d{{1,2}}[./-]\d{{1,2}}[./-]\d{{2,4}}|"
    rf"\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH},? \d{{2,4}}|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{2,4}})"
)
_DATE = re.compile(_DATE_FORM, re.IGNORECASE)
_BIRTH = re.compile(
    rf"(?:\bborn|birth ?-?(?:date|day)|date of birth|\bd\.?o\.?b\b\.?|geburtsdatum|geboren|\bnacid[oa]|n[ée]e? le)"
    rf"[^\d\n]{{0,24}}?\n?[ \t]{{0,4}}(?P<value>{_DATE_FORM})(?!\w|[/-]\d)",
    re.IGNORECASE,
)


_BIRTH_STEMS = ("birth", "born", "dob", "d.o.b", "gebor", "geburt", "nacid", "né le", "née le", "ne le")


def births(text: str, lowered: str) -> Iterator[Found]:
    """Dates right after a word for birth. `lowered`: the text in lower case."""
    if not holds(lowered, _BIRTH_STEMS):
        return
    for match in _BIRTH.finditer(text):
        value = re.sub(r"[^0-9a-z]+", "-", match["value"].lower()).strip("-")
        yield Found(Kind.BIRTH_DATE, match.start("value"), match.end("value"), value, Strength.CUE)


_STATES = (
    "A[AEKLPRSZ]|C[AOT]|D[CE]|F[LM]|G[AU]|HI|I[ADLN]|K[SY]|LA|M[ADEHINOPST]|N[CDEHJMVY]|O[HKR]|P[ARW]|RI|S[CD]|T[NX]|UT|"
    "V[AIT]|W[AIVY]|AB|BC|MB|N[BLSTU]|ON|QC|SK|YT"
)
_ZIP = re.compile(
    r"\b(?i:zip(?:[ -]?codes?)?|post(?:al)?[ -]?codes?|plz|postleitzahl|code postal|eircode|pin code)\b"
    r"(?P<link>[^\d\n]{0,24}?\n?[^\d\n]{0,16}?)"
    r"(?P<value>(?<![\w.+])(?:[A-Z]{1,3}-?\d[\dA-Z]{0,7}|\d[\dA-Z]{2,7}|\d\d(?=-))(?:[ -]\d?[A-Z\d]{2,4})?)(?![\w(]|\.\d|-[a-z])"
)
_PROOF = re.compile(r"(?i:code|postal|plz|leitzahl|eir)|\A\W{1,3}\Z|(?i:\bis\b|\bwas\b|user:)")
# Each begins with a digit, which keeps the search cheap: US after a state (USPS), British (BS 7666), Canadian.
_BY_FORM = re.compile(
    r"[0-9](?:(?<=[A-Z] \d)\d{4}(?:-\d{4})?(?![\w.])|(?<=[A-Z\d] \d)[ABD-HJLNP-UW-Z]{2}(?![\w-])|"
    r"(?<=[A-Z]\d)[ABCEGHJ-NPRSTV-Z] ?\d[ABCEGHJ-NPRSTV-Z]\d(?![\w-])|"
    r"(?P<town>(?<=[^\W\d_] \d)(?:\d{3}-\d{3}|\d{2} \d{2}|\d{3,4})(?=[ ,.;)]? ?(?:[a-z(]|\Z|\n))))"
)
_STATE = re.compile(rf"(?:[,\n] *|[a-z]{{2}} |[A-Z]{{3}} )(?:{_STATES}),? \Z")
_OUTWARD = re.compile(
    r"(?<![\w-])(?:[A-PR-UWYZ]\d\d?|[A-PR-UWYZ][A-HK-Y]\d\d?|[A-PR-UWYZ]\d[A-HJKPSTUW]|"
    r"[A-PR-UWYZ][A-HK-Y]\d[ABEHMNPRVWXY]) \Z"
)
# "in Bergen 5003": a town after a preposition. What else is numbered is no town, and four digits may be a year.
_IN_TOWN = re.compile(
    r"\b(?:in|near|from|at) (?!(?:(?:RFC|ISO|PEP|IEEE|IEC|DIN|EN|ANSI|ECMA|FIPS|CVE|KB|ITU|NIST|EIP|BIP|MSC|Python|Windows|Office|Server|"  # noqa: E501
    r"SQL|Unicode|Chapter|Section|Table|Figure|Page|Line|Port|Issue|Bug|Ticket|Release|Version|Step|Part|Volume|Phase|Room|"
    r"January|February|March|April|May|June|July|August|September|October|November|December|UTF|HTTP|EPSG|WGS|UTM)\b))"
    r"(?P<name>[^\W\d_a-z][^\W\d_'-]+(?:[ '-](?:d[aeio]s?|del|de la|am|an der|[^\W\d_a-z][^\W\d_]*)){0,3}) \Z"
)
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d\Z")
_CANADIAN = re.compile(r"(?<![\w-])[ABCEGHJ-NPRSTVXY]\Z")


_ZIP_STEMS = ("zip", "postc", "post c", "postal", "postleit", "plz", "eircode", "pin code")


def postcodes(text: str, lowered: str) -> Iterator[Found]:
    """Postcodes after a cue, and US, British and Canadian ones by form. `lowered`: the text in lower case."""
    if holds(lowered, _ZIP_STEMS):
        for match in _ZIP.finditer(text):
            if _PROOF.search(match[0][: match.start("link") - match.start()]) or _PROOF.search(match["link"]):
                yield _postcode(text, match.start("value"), match.end("value"))
    for match in _BY_FORM.finditer(text):
        start, end = match.span()
        if match["town"] is not None:
            if not _YEAR.match(match[0]) and _IN_TOWN.search(text, max(0, start - 60), start):
                yield _postcode(text, start, end)
        elif match[0][1].isdigit() and len(match[0]) >= 5:
            if _STATE.search(text, max(0, start - 12), start):
                yield _postcode(text, start, end)
        elif len(match[0]) == 3:
            if outward := _OUTWARD.search(text, max(0, start - 6), start):
                yield _postcode(text, outward.start(), end)
        elif _CANADIAN.search(text, max(0, start - 2), start):
            yield _postcode(text, start - 1, end)


def _postcode(text: str, start: int, end: int) -> Found:
    return Found(Kind.POSTCODE, start, end, compact(text[start:end]), Strength.PATTERN)


_TYPES = (
    "Street|Streets|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Boulevard|Blvd|Court|Terrace|Square|Squares|Parkway|Pkwy|Highway|Hwy|"
    "Crescent|Close|Circle|Trail|Alley|Row|Walk|Mews|Gardens"
)
_NAME = r"[^\W\d_a-z][\w'.-]{0,24}"
_NUMBER_FIRST = re.compile(
    rf"\d{{1,6}}(?:[A-Za-z]?,? (?:\d{{1,6}} )?(?:{_NAME} ){{1,3}}(?:{_TYPES})\b\.?"
    r"(?:,?\s{1,3}(?:Apt|Apartment|Suite|Ste|Unit|Floor|Flat)\.? ?#?\w{1,6})?"
    rf"|(?: bis| ter)?,? (?:rue|avenue|boulevard|chemin|impasse|quai)(?: (?:de|du|des|la|le|les|d'))* ?{_NAME}(?: {_NAME})?)"
)
_NUMBER_LAST = re.compile(
    rf"(?:{_NAME} )?{_NAME}(?:stra(?:ß|ss)e|str\.|gasse|weg|platz|allee) \d{{1,4}}[a-z]?\b"
    rf"|(?:Via|Viale|Calle|Rua|Avenida|Carrer|Piazza|Plaza)(?: (?:de|del|della|dos|da|do|di|la))*(?: {_NAME}){{1,3}},? \d{{1,5}}\b"  # noqa: E501
    r"|(?i:p\.? ?o\.? box|post ?box|postfach) \d{1,7}|(?:PSC|CMR|Unit) \d{1,5},? Box \d{1,5}"
    r"|(?:Apt|Suite)\. ?\d{1,5}|Suite \d{2,5}"
)
# Each begins with a digit, which keeps the search cheap.
_HOUSE = re.compile(
    r"[0-9](?:(?P<first>[A-Za-z]?,? (?:\d{1,6} )?[^\W\d_a-z]|(?: bis| ter)?,? (?:rue|avenue|boulevard|chemin|impasse|quai) )|"
    r"(?i:(?<=straße \d)|(?<=strasse \d)|(?<=str\. \d)|(?<=gasse \d)|(?<=weg \d)|(?<=platz \d)|(?<=allee \d)|"
    r"(?<=box \d)|(?<=postfach \d)|(?<=apt\. \d)|(?<=suite \d)))"
)
_ROMANCE = re.compile(r"(?:Via|Viale|Calle|Rua|Avenida|Carrer|Piazza|Plaza) [^\d\n]{3,60}\d")


# What follows a street: town, region and postcode on the same line or the next two.
_TOWN = r"[^\W\d_]{1,25}(?:[ .'-]{1,3}[^\W\d_]{1,25}){0,4}"
_BREAK = r"(?:,? ?\n[ \t]{0,12},?|,) {0,2}"
_TAIL = re.compile(
    rf"{_BREAK}{_TOWN}(?:{_BREAK}{_TOWN}){{0,2}}(?: |{_BREAK})(?P<code>[A-Z]{{0,2}}\d[\dA-Z]{{1,6}}(?:[ -]\d?[A-Z\d]{{2,4}})?)(?![\w.-])"  # noqa: E501
    rf"|{_BREAK}(?:[A-Z]{{1,2}}-)?(?P<first>\d{{2,5}}(?:[ -](?:\d{{2,3}}|[A-Z]{{2}}))?) [^\W\d_a-z]"
)


def streets(text: str) -> Iterator[Found]:
    """House number and street in the forms of several languages, boxes, flats."""
    romance = holds(text, ("Via ", "Viale ", "Calle ", "Rua ", "Avenida ", "Carrer ", "Piazza ", "Plaza "))
    hints = [*_HOUSE.finditer(text), *(_ROMANCE.finditer(text) if romance else ())]
    seen: set[tuple[int, int]] = set()  # the neighbourhoods of two hints overlap
    for hint in hints:
        for match in _street(text, hint):
            if match.span() in seen:
                continue
            seen.add(match.span())
            value = " ".join(match[0].lower().replace(",", " ").split())
            yield Found(Kind.ADDRESS, match.start(), match.end(), value, Strength.PATTERN)
            if tail := _TAIL.match(text, match.end()):
                group = tail.lastgroup or "code"
                yield _postcode(text, tail.start(group), tail.end(group))


def _street(text: str, hint: re.Match[str]) -> Iterator[re.Match[str]]:
    if hint.re is _HOUSE and hint.start("first") >= 0:
        start = hint.start()
        while start > 0 and text[start - 1].isdigit() and hint.start() - start < 6:
            start -= 1
        before = text[start - 1] if start else " "
        if not (before.isalnum() or before in "._") and (match := _NUMBER_FIRST.match(text, start)):
            yield match
    else:
        yield from _NUMBER_LAST.finditer(text, max(0, hint.start() - 60), min(len(text), hint.end() + 12))
