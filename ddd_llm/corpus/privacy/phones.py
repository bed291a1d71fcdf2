"""Telephone numbers, by the numbering plans that the package phonenumbers carries.

Belongs here: the ways a number is written, and the words beside one. Does not belong here: other numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from ddd_llm.corpus.privacy.finds import Found, Kind, Strength, digits

_WORLD = re.compile(r"(?<![\w+])(?:\+|00(?=[1-9])|001[ -])\(?\d[\d ().-]{6,19}\d(?:x\d{1,6})?(?!\w|\.\d)")
_TRUNK = re.compile(r"\A00(?:1[ -](?=\d))?")
_AMERICAN = re.compile(
    r"(?<![\w.+-])(?:1[-. ])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[-.])[2-9]\d{2}[-.]\d{4}(?:x\d{1,6})?(?!\w|[.-]\d)"
)
# A trunk zero, then groups: 07700 900123, (01632) 960 001, 01.84.17.61.18, 0490-75-40-81.
_TRUNKED = re.compile(r"(?<![\w.+-])\(?0[1-9]\d{0,4}\)?(?P<s>[ ./-])\d{2,8}(?:(?P=s)\d{2,4}){0,4}(?!\w|[.:,/-]\d)")
_LOCALLY = re.compile(r"(?<![\w.+-])\+?\(?\d[\d ().-]{4,17}\d(?:x\d{1,6})?(?!\w|\.\d)")
_CUE = re.compile(
    r"\b(?:(?:tele)?phones?|tel|mobile|cell(?: ?phone)?|fax|desk|landline|hotline|whatsapp|signal|sms|(?:mobil|handy|telefon)\w*|"
    r"(?:call|reach|ring|text|dial|contact)(?: \w+)?(?: back)? (?:on|at)|answering at|registered)"
    r"(?: ?(?:number|numbers|no|nr|#))?(?: (?:is|was))?\.?[\s:=(]{0,6}\Z",
    re.IGNORECASE,
)
_CUE_AFTER = re.compile(r"[ -]{0,2}\(?(?:office|fax|mobile|phone|tel|desk|cell)\b", re.IGNORECASE)
_REACH = 44


def phones(text: str, start: int, end: int, regions: tuple[str, ...] = ()) -> Iterator[Found]:
    """Numbers with a country code, valid in its plan; American ones by form; with a trunk zero, valid in a region's plan;
    others beside a cue word.

    Args:
        text: folded text.
        start: where to look,
        end: and how far.
        regions: ISO 3166 codes whose national numbers count without a cue.
    """
    for match in _WORLD.finditer(text, start, end):
        spelling = _TRUNK.sub("+", match[0].partition("x")[0])
        bare = match[0][0] == "0" and match[0].isdigit()  # leading zeros prove nothing; one point is a decimal fraction
        if not bare and spelling.count(".") != 1 and (number := _dialled(spelling, None)):
            yield Found(Kind.PHONE, match.start(), match.end(), number, Strength.PLAN)
    for match in _AMERICAN.finditer(text, start, end):
        if number := _dialled(match[0].partition("x")[0], "US"):
            yield Found(Kind.PHONE, match.start(), match.end(), number, Strength.PLAN)
    for match in _TRUNKED.finditer(text, start, end):
        number = next((n for region in regions if (n := _dialled(match[0], region))), None)
        if number and 9 <= len(digits(match[0])) <= 12:
            yield Found(Kind.PHONE, match.start(), match.end(), number, Strength.PLAN)
    for match in _LOCALLY.finditer(text, start, end):
        number = digits(match[0].partition("x")[0])
        if 7 <= len(number) <= 15 and (
            _CUE.search(text, max(0, match.start() - _REACH), match.start()) or _CUE_AFTER.match(text, match.end())
        ):
            yield Found(Kind.PHONE, match.start(), match.end(), number, Strength.CUE)


@lru_cache(maxsize=4096)
def _dialled(spelling: str, region: str | None) -> str | None:
    import phonenumbers

    try:
        number = phonenumbers.parse(spelling, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
