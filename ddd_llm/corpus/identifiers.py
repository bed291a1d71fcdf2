"""Finding direct identifiers in text by form and check digit.

Belongs here: e-mail addresses, telephone numbers, IBANs, payment cards, public IP addresses, US social security
numbers. Does not belong here: names and addresses of people (they need a model, and consent rests on more than
masking), and what replaces a find (`pseudonyms`).

A number counts only with evidence of its own: a check digit, a numbering plan, or a word beside it. Docstrings are full
of array dumps, versions and dates. Each finder is gated by one cheap search, so that plain text costs one pass.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers


@dataclass(frozen=True, slots=True)
class Found:
    """One identifier: `value` is its canonical spelling, so that two spellings of one number agree."""

    kind: str
    start: int
    end: int
    value: str


Finder = Callable[[str], Iterator[Found]]

_HINT = re.compile(r"@|\d[\d .:()/-]{5,}\d|[A-Z]{2}\d{2}[ -]?[A-Z0-9]{4}|[0-9a-fA-F]{1,4}:[0-9a-fA-F]{0,4}:[0-9a-fA-F]")


def find(text: str) -> list[Found]:
    """Identifiers in `text`, in order, not overlapping. Where forms overlap, the one with stronger evidence wins."""
    if _HINT.search(text) is None:
        return []
    taken: list[Found] = []
    for finder in _FINDERS:
        for found in finder(text):
            if all(found.end <= other.start or other.end <= found.start for other in taken):
                taken.append(found)
    return sorted(taken, key=lambda found: found.start)


_LOCAL = re.compile(r"[^\W_](?:[\w.%+'-]{0,62}[\w+-])?\Z")
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?P<tld>[a-z]{2,18}|[A-Z]{2,18})(?!\w)")


def _emails(text: str) -> Iterator[Found]:
    at = text.find("@")
    while at >= 0:
        local = _LOCAL.search(text, max(0, at - 64), at)
        domain = _DOMAIN.match(text, at + 1)
        if local and domain:
            yield Found("EMAIL", local.start(), domain.end(), text[local.start() : domain.end()].lower())
        at = text.find("@", at + 1)


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


def _ibans(text: str) -> Iterator[Found]:
    """ISO 13616: the country fixes the length, the remainder modulo 97 must be 1."""
    for match in _IBAN.finditer(text):
        length = _IBAN_LENGTH.get(match[0][:2], 0)
        compact, end = match[0], match.end()
        while len(compact) < length and end < len(text):
            step = 2 if text[end] in " -" and end + 1 < len(text) else 1
            character = text[end + step - 1]
            if not (character.isascii() and (character.isdigit() or character.isupper())):
                break
            compact, end = compact + character, end + step
        if len(compact) != length or not length or (end < len(text) and text[end].isalnum()):
            continue
        if int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1:
            yield Found("IBAN", match.start(), end, compact)


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


def _cards(text: str) -> Iterator[Found]:
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        if _ISSUERS.fullmatch(digits) and _luhn(digits):
            yield Found("CARD", match.start(), match.end(), digits)


def _luhn(digits: str) -> bool:
    total = sum(int(digit) for digit in digits[-1::-2])
    return (total + sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])) % 10 == 0


_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9a-fA-F]{1,4}:[0-9a-fA-F:]{3,34}(?![\w:]|\.\d)")


def _addresses(text: str) -> Iterator[Found]:
    """Public IP addresses. Four numbers up to 31 are a version, a section or a date: no address is told from those."""
    for match in _IPV4.finditer(text):
        if any(int(part) > 31 for part in match[0].split(".")) and (value := _public(match[0])):
            yield Found("IP", match.start(), match.end(), value)
    for match in _IPV6.finditer(text):
        whole = match[0].count(":") == 7 and "::" not in match[0]
        if (whole or match[0][0] in "23") and (value := _public(match[0])):
            yield Found("IP", match.start(), match.end(), value)


def _public(spelling: str) -> str | None:
    try:
        address = ipaddress.ip_address(spelling)
    except ValueError:
        return None
    return address.compressed if address.is_global and not address.is_multicast else None


_SSN = re.compile(r"(?<![\w.+-])(?!000|666|9)\d{3}(?P<s>[ -])(?!00)\d{2}(?P=s)(?!0000)\d{4}(?!\w|[.-]\d)")
_SSN_WORD = re.compile(r"\b(?:ssn(?!_)|social[ -]security|soc\.? ?sec|taxpayer)", re.IGNORECASE)


def _social_security(text: str) -> Iterator[Found]:
    for match in _SSN.finditer(text):
        if _SSN_WORD.search(text, max(0, match.start() - 60), match.end() + 30):
            yield Found("SSN", match.start(), match.end(), re.sub(r"\D", "", match[0]))


_WORLD = re.compile(r"(?<![\w+])(?:\+|00(?=[1-9])|001[ -])\(?\d[\d ().-]{6,19}\d(?:x\d{1,6})?(?!\w|\.\d)")
_TRUNK = re.compile(r"\A00(?:1[ -](?=\d))?")
_AMERICAN = re.compile(
    r"(?<![\w.+-])(?:1[-. ])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[-.])[2-9]\d{2}[-.]\d{4}(?:x\d{1,6})?(?!\w|[.-]\d)"
)
_LOCALLY = re.compile(r"(?<![\w.+-])\+?\(?\d[\d ().-]{4,17}\d(?:x\d{1,6})?(?!\w|\.\d)")
_CUE_BEFORE = re.compile(
    r"\b(?:(?:tele)?phones?|tel|mobile|cell|fax|desk|whatsapp|(?:call|reach)(?: \w+)? (?:on|at)|answering at)"
    r"(?: ?(?:number|no|nr|#))?\.?[\s:=]{0,6}\Z",
    re.IGNORECASE,
)
_CUE_AFTER = re.compile(r"[ -]{0,2}\(?(?:office|fax|mobile|phone|tel|desk|cell)\b", re.IGNORECASE)


def _phones(text: str) -> Iterator[Found]:
    """Numbers with a country code, valid in its numbering plan; American ones by form; others beside a cue word."""
    for match in _WORLD.finditer(text):
        spelling = _TRUNK.sub("+", match[0].partition("x")[0])
        bare = match[0][0] == "0" and match[0].isdigit()  # leading zeros prove nothing; one point is a decimal fraction
        if not bare and spelling.count(".") != 1 and (number := _dialled(spelling, None)):
            yield Found("PHONE", match.start(), match.end(), number)
    for match in _AMERICAN.finditer(text):
        if number := _dialled(match[0].partition("x")[0], "US"):
            yield Found("PHONE", match.start(), match.end(), number)
    for match in _LOCALLY.finditer(text):
        digits = re.sub(r"\D", "", match[0].partition("x")[0])
        if 7 <= len(digits) <= 15 and (
            _CUE_BEFORE.search(text, max(0, match.start() - 40), match.start()) or _CUE_AFTER.match(text, match.end())
        ):
            yield Found("PHONE", match.start(), match.end(), digits)


@lru_cache(maxsize=4096)
def _dialled(spelling: str, region: str | None) -> str | None:
    try:
        number = phonenumbers.parse(spelling, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


_FINDERS: tuple[Finder, ...] = (_emails, _ibans, _cards, _addresses, _social_security, _phones)
