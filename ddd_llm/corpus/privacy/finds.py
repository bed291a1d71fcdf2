"""What a find is, the text it is looked for in, and which of two finds that overlap names the stretch.

Belongs here: the common ground of all finders. Does not belong here: any form of identifier.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from operator import itemgetter
from typing import NamedTuple


class Kind(StrEnum):
    """Entity types: the tag of a replacement, and the key of a policy's action."""

    EMAIL = "EMAIL"
    PHONE = "PHONE"
    IBAN = "IBAN"
    CARD = "CARD"
    IP = "IP"
    MAC = "MAC"
    SSN = "SSN"
    NATIONAL_ID = "NATIONAL_ID"
    TAX_ID = "TAX_ID"
    HEALTH_ID = "HEALTH_ID"
    PASSPORT = "PASSPORT"
    DRIVER_LICENCE = "DRIVER_LICENCE"
    BANK_ACCOUNT = "BANK_ACCOUNT"
    CRYPTO = "CRYPTO"
    BIRTH_DATE = "BIRTH_DATE"
    POSTCODE = "POSTCODE"
    ADDRESS = "ADDRESS"
    WEBSITE = "WEBSITE"
    PERSON = "PERSON"
    SECRET = "SECRET"


TOKEN = re.compile(rf"<(?:{'|'.join(Kind)})(?:_[0-9a-f]{{10}})?>")
"""A replacement as it stands in a text. Nothing is looked for inside one."""


class Strength:
    """Evidence, weakest first: the strongest of overlapping finds names the stretch."""

    MODEL = 10
    PATTERN = 20
    CUE = 30
    PLAN = 40
    CHECKED = 50
    SUBJECT = 60
    SECRET = 70


class Found(NamedTuple):
    """One find: `value` is its canonical spelling, so that two spellings of one identifier agree.

    `form` says more of a secret (`aws_access_key`), and is empty for other kinds.
    """

    kind: str
    start: int
    end: int
    value: str
    strength: int = Strength.CHECKED
    form: str = ""


_DIGITS = re.compile(r"\D+")


def digits(spelling: str) -> str:
    """The digits of a spelling, without what separates them."""
    return _DIGITS.sub("", spelling)


def compact(spelling: str) -> str:
    """Upper-case letters and digits of a spelling, without what separates them."""
    return "".join(character for character in spelling if character.isalnum()).upper()


@cache
def _folds() -> tuple[dict[str, str], str, str]:
    """One-to-one folds to ASCII (wide forms, digits, blanks, hyphens); what has one; what shows nothing (Cf)."""
    table = {"\ufe52": ".", "\u3002": ".", "\uff61": ".", "\ufe6b": "@", "\u2019": "'", "\u2212": "-"}
    invisible: list[str] = []
    for code in (*range(0x80, 0x20000), *range(0xE0000, 0xE1000)):  # all planes that hold any of these
        character = chr(code)
        category = unicodedata.category(character)
        if category == "Nd":
            table[character] = str(unicodedata.digit(character))
        elif category == "Zs":
            table[character] = " "
        elif category == "Pd":
            table[character] = "-"
        elif 0xFF01 <= code <= 0xFF5E:
            table[character] = chr(code - 0xFEE0)
        elif category == "Cf":
            invisible.append(character)
    return table, "".join(sorted(table)), "".join(invisible)


@cache
def _patterns(beyond: bool) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What folds and what shows nothing. Classes within the basic plane are searched many times faster than others."""
    _, foldable, invisible = _folds()
    if not beyond:
        foldable = "".join(one for one in foldable if one < "\U00010000")
        invisible = "".join(one for one in invisible if one < "\U00010000")
    return re.compile(f"[{foldable}]"), re.compile(f"[{invisible}]")


_BEYOND = re.compile("[\U00010000-\U0010ffff]")


def fold(text: str) -> tuple[str, list[int] | None]:
    """The text that finders see, and where each of its characters (and its end) stood; None where places are unchanged.

    Full-width forms, other scripts' digits, blanks and hyphens become ASCII; characters that show nothing (zero-width
    space, soft hyphen, direction marks) go, because an identifier with one inside is still read as that identifier.
    """
    if text.isascii():
        return text, None
    foldable, invisible = _patterns(_BEYOND.search(text) is not None)
    places: list[int] | None = None
    if invisible.search(text):
        hidden = {match.start() for match in invisible.finditer(text)}
        places = [place for place in range(len(text) + 1) if place not in hidden]
        text = invisible.sub("", text)
    if foldable.search(text):
        table = _folds()[0]
        text = foldable.sub(lambda match: table[match[0]], text)
    return text, places


def unfold(finds: Iterable[Found], places: list[int] | None) -> list[Found]:
    """Finds in a folded text, with their places in the text before. A last character keeps what followed unseen outside."""
    if places is None:
        return list(finds)
    return [found._replace(start=places[found.start], end=places[found.end - 1] + 1) for found in finds]


def settle(finds: Iterable[Found]) -> list[Found]:
    """Finds in order and without overlap that together cover every character of any of those given.

    Of overlapping finds the one with the stronger evidence wins, then the longer, then the earlier; what the others cover
    beyond the winners goes to the winner it touches.
    """
    ordered = sorted(finds, key=itemgetter(1, 2))
    if all(one.end <= other.start for one, other in itertools.pairwise(ordered)):
        return ordered
    settled: list[Found] = []
    group: list[Found] = []
    end = -1
    for found in ordered:
        if found.start >= end and group:
            settled += _contest(group)
            group = []
        group.append(found)
        end = max(end, found.end)
    return settled + (_contest(group) if group else [])


def _contest(group: list[Found]) -> list[Found]:
    """Winners of finds that hang together; they are stretched until nothing of the group stays between them."""
    if len(group) == 1:
        return group
    taken: list[Found] = []  # by place
    starts: list[int] = []
    for found in sorted(group, key=lambda one: (-one.strength, one.start - one.end, one.start, one.kind, one.value)):
        at = bisect_left(starts, found.start)
        if (at == 0 or taken[at - 1].end <= found.start) and (at == len(taken) or found.end <= starts[at]):
            taken.insert(at, found)
            starts.insert(at, found.start)
    ends = [*starts[1:], max(found.end for found in group)]
    starts[0] = group[0].start
    return [found._replace(start=start, end=end) for found, start, end in zip(taken, starts, ends, strict=True)]
