"""Identifiers told by their form and check digit alone: e-mail, IBAN, payment card, public IP address, US social security
number, hardware address, site of a person or firm.

Belongs here: what needs no word beside it. Does not belong here: telephone numbers (`phones`), what a word beside it
tells (`cues`), what Presidio tells (`presidio`).

A number counts only with evidence of its own: technical text is full of array dumps, versions and dates. Each finder is
gated by one cheap search, so that plain text costs one pass.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterator

from ddd_llm.corpus.privacy.finds import Found, Kind, Strength, digits

_LOCAL = re.compile(r"[^\W_](?:[\w.%+'-]{0,62}[\w+-])?\Z")
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?P<tld>[a-z]{2,18}|[A-Z]{2,18})(?!\w)")
# Addresses written so that programs should not see them: "jane (at) example (dot) org".
_SPELT = re.compile(
    r"(?<![\w.])[a-z0-9][\w.+-]{0,62} ?(?:\((?:at|@)\)|\[(?:at|@)\]|\{at\}| at (?=[\w-]{1,63} dot )) ?"
    r"(?:[\w-]{1,63}(?: ?\((?:dot|\.)\) ?| ?\[(?:dot|\.)\] ?| ?\{dot\} ?| dot |\.)){1,4}[a-z]{2,18}(?!\w)",
    re.IGNORECASE,
)
_SPELT_SIGN = re.compile(r" ?[(\[{ ](?:at|@)[)\]} ] ?", re.IGNORECASE)
_SPELT_DOT = re.compile(r" ?[(\[{ ](?:dot|\.)[)\]} ] ?", re.IGNORECASE)


def emails(text: str) -> Iterator[Found]:
    """Addresses as RFC 5321 has them, letters of all scripts (RFC 6531) and a top-level domain in letters."""
    at = text.find("@")
    while at >= 0:
        local = _LOCAL.search(text, max(0, at - 64), at)
        domain = _DOMAIN.match(text, at + 1)
        if local and domain:
            value = text[local.start() : domain.end()].lower()
            yield Found(Kind.EMAIL, local.start(), domain.end(), value, Strength.CHECKED + 1)
        at = text.find("@", at + 1)


def spelt_emails(text: str) -> Iterator[Found]:
    """Addresses with `(at)` or ` at ... dot ` in place of the sign."""
    for match in _SPELT.finditer(text):
        value = _SPELT_DOT.sub(".", _SPELT_SIGN.sub("@", match[0])).lower()
        yield Found(Kind.EMAIL, match.start(), match.end(), value, Strength.CUE)


_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?=[ -]?[A-Z0-9]{4})")
_IBAN_LENGTH = {
    country: int(length)
    for country, length in re.findall(
        r"([A-Z]{2})(\d\d)",
        """
        AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28
        EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27
        JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18
        NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28
        TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30
        """,
    )
}


def ibans(text: str, start: int, end: int) -> Iterator[Found]:
    """ISO 13616: the country fixes the length, the remainder modulo 97 must be 1."""
    for match in _IBAN.finditer(text, start, end):
        length = _IBAN_LENGTH.get(match[0][:2], 0)
        compact, at = match[0], match.end()
        while len(compact) < length and at < len(text):
            step = 2 if text[at] in " -" and at + 1 < len(text) else 1
            character = text[at + step - 1]
            if not (character.isascii() and (character.isdigit() or character.isupper())):
                break
            compact, at = compact + character, at + step
        if len(compact) != length or not length or (at < len(text) and text[at].isalnum()):
            continue
        if int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1:
            yield Found(Kind.IBAN, match.start(), at, compact)


_CARD = re.compile(
    r"(?<![\w.+-])(?:\d{12,19}|\d{4}(?P<a>[ -])\d{4}(?P=a)\d{4}(?P=a)\d{1,7}|\d{4}(?P<b>[ -])\d{6}(?P=b)\d{4,5})"
    r"(?!\w|[.-]\d)"
)
# Issuer prefixes and lengths (ISO/IEC 7812): Visa, Mastercard, American Express, Diners, Discover, JCB, Maestro.
_ISSUERS = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|"
    r"3(?:0[0-5]|[689]\d)\d{11}|6(?:011|4[4-9]\d|5\d\d)\d{12,15}|35\d{14}|(?:1800|2131)\d{11}|"
    r"(?:50(?:18|20|38)|5[678]\d\d|6304|6390|6759|676[1-3])\d{8,15}"
)


def cards(text: str, start: int, end: int) -> Iterator[Found]:
    """Payment cards: an issuer's prefix and length, and the check digit of ISO/IEC 7812-1 (Luhn)."""
    for match in _CARD.finditer(text, start, end):
        number = digits(match[0])
        if _ISSUERS.fullmatch(number) and luhn(number):
            yield Found(Kind.CARD, match.start(), match.end(), number)


def luhn(number: str) -> bool:
    """The check of ISO/IEC 7812-1, annex B."""
    total = sum(int(digit) for digit in number[-1::-2])
    return (total + sum(sum(divmod(2 * int(digit), 10)) for digit in number[-2::-2])) % 10 == 0


_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9a-fA-F]{1,4}:[0-9a-fA-F:]{3,34}(?![\w:]|\.\d)")


def addresses(text: str) -> Iterator[Found]:
    """Public IP addresses. Four numbers up to 31 are a version, a section or a date: no address is told from those."""
    for match in _IPV4.finditer(text):
        if any(int(part) > 31 for part in match[0].split(".")) and (value := _public(match[0])):
            yield Found(Kind.IP, match.start(), match.end(), value)
    for match in _IPV6.finditer(text):
        whole = match[0].count(":") == 7 and "::" not in match[0]
        if (whole or match[0][0] in "23") and (value := _public(match[0], whole)):
            yield Found(Kind.IP, match.start(), match.end(), value)


def _public(spelling: str, whole: bool = False) -> str | None:
    try:
        address = ipaddress.ip_address(spelling)
    except ValueError:
        return None
    # Eight groups written out are somebody's address even where the block is not assigned yet.
    known = address.is_global or (whole and address.is_reserved)
    return address.compressed if known and not address.is_multicast else None


_SSN = re.compile(r"(?<![\w.+-])(?!000|666|9)\d{3}(?P<s>[ -])(?!00)\d{2}(?P=s)(?!0000)\d{4}(?!\w|[.-]\d)")
_SSN_WORD = re.compile(r"\b(?:ssn(?!_)|social[ -]security|soc\.? ?sec|taxpayer)", re.IGNORECASE)
_SSN_SAMPLES = frozenset({"123456789", "078051120", "219099999", "111111111", "222222222", "333333333"})


def social_security(text: str, start: int, end: int) -> Iterator[Found]:
    """US social security numbers (SSA POMS RM 10201.035): with hyphens by form, otherwise beside a word.

    The numbers that stand in every example count beside a word only.
    """
    for match in _SSN.finditer(text, start, end):
        number = digits(match[0])
        by_form = match["s"] == "-" and number not in _SSN_SAMPLES
        if by_form or _SSN_WORD.search(text, max(0, match.start() - 60), match.end() + 30):
            yield Found(Kind.SSN, match.start(), match.end(), number, Strength.CHECKED - 1)


_MAC = re.compile(
    r"(?<![\w:.-])(?:[0-9a-fA-F]{2}:(?:[0-9a-fA-F]{2}:){4}[0-9a-fA-F]{2}|[0-9a-fA-F]{2}-(?:[0-9a-fA-F]{2}-){4}[0-9a-fA-F]{2}|"
    r"[0-9a-fA-F]{4}\.[0-9a-fA-F]{4}\.[0-9a-fA-F]{4})(?![\w:-]|\.\w)"
)


def hardware(text: str) -> Iterator[Found]:
    """MAC addresses (EUI-48). All digits and only one or two different ones are a sample or a clock."""
    for match in _MAC.finditer(text):
        value = re.sub(r"[^0-9a-f]", "", match[0].lower())
        if len(set(value)) > 2 and not ("." in match[0] and value.isdigit()):
            yield Found(Kind.MAC, match.start(), match.end(), value)


_HOME = re.compile(
    r"(?:https?://|(?<![\w./@-])www\.)(?P<host>[\w-]{1,63}(?:\.[\w-]{1,63}){0,6}\.[a-zA-Z]{2,18})(?P<path>/[~@\w.-]*(?:/[~@\w.-]+)*/?)?",
    re.IGNORECASE,
)
_PROFILE = re.compile(
    r"(?:\w+\.)?linkedin\.com/(?:in|pub)/.|(?:www\.|m\.)?facebook\.com/.|(?:www\.)?(?:twitter|x|instagram)\.com/.|"
    r"t\.me/.|(?:\w+\.)?keybase\.io/.|medium\.com/@|mastodon\.\w+/@|(?:www\.)?orcid\.org/\d|[^/]+/(?:people/)?~[\w.-]+/?\Z",
    re.IGNORECASE,
)
_RESERVED = re.compile(
    r"(?:.*\.)?(?:example(?:\.(?:com|net|org))?|test|invalid|localhost|local|internal)", re.IGNORECASE
)


def websites(text: str, public_hosts: Collection[str] = ()) -> Iterator[Found]:
    """A site named by its front page, and pages about one person (profiles, `/~name`); pages deeper in a site stay.

    Not `public_hosts` nor hosts below them, nor names reserved for examples (RFC 2606).
    """
    for match in _HOME.finditer(text):
        host, path = match["host"].lower(), match["path"] or "/"
        after = text[match.end() : match.end() + 1]
        front = path == "/" and after not in ("/", "?", ":", "{", "<", "%", "$")
        profile = _PROFILE.match(f"{host}{path}") is not None
        if not (front or profile) or _RESERVED.fullmatch(host) or (not profile and _below(host, public_hosts)):
            continue
        end = match.end() - (1 if match[0].endswith(".") else 0)
        value = f"{host.removeprefix('www.')}{path.rstrip('/.').lower()}"
        yield Found(Kind.WEBSITE, match.start(), end, value, Strength.PATTERN)


def _below(host: str, hosts: Collection[str]) -> bool:
    parts = host.split(".")
    return any(".".join(parts[number:]) in hosts for number in range(len(parts) - 1))
