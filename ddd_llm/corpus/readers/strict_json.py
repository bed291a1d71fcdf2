"""JSON as RFC 8259 has it, refusing what Python's parser lets through or breaks on.

Belongs here: one record's bytes to a value. Does not belong here: lines, files, fields.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)
_MAX_DIGITS = 1000


class BadRecord(ValueError):
    """A record that is not taken: a snake_case reason and a sentence without document text."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def loads(data: bytes, depth: int) -> Any:
    """Parse one JSON text.

    Args:
        data: UTF-8 bytes.
        depth: deepest nesting of arrays and objects allowed.

    Raises:
        BadRecord: `invalid_utf8`, `nul_character`, `invalid_json`, `too_deep`, `duplicate_key`, `not_finite`,
            `number_too_long`.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRecord("invalid_utf8", f"not valid UTF-8 at byte {error.start} of the record") from None
    if "\0" in text:
        raise BadRecord("nul_character", "the record holds a NUL byte")
    if text.count("[") + text.count("{") > depth and _nesting(text) > depth:
        raise BadRecord("too_deep", f"nested deeper than {depth} levels")
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise BadRecord("invalid_json", f"{error.msg} at character {error.pos} of the record") from None


def _nesting(text: str) -> int:
    deepest = level = 0
    for match in _TOKEN.finditer(text):
        first = match[0][0]
        if first in "[{":
            level += 1
            deepest = max(deepest, level)
        elif first in "]}":
            level -= 1
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise BadRecord("duplicate_key", "an object has the same key twice")
    return value


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise BadRecord("number_too_long", f"a number of {len(digits)} digits")
    return int(digits)


def _float(digits: str) -> float:
    if len(digits) > _MAX_DIGITS:
        raise BadRecord("number_too_long", f"a number of {len(digits)} characters")
    value = float(digits)
    if not math.isfinite(value):
        raise BadRecord("not_finite", "a number beyond the range of a double")
    return value


def _constant(name: str) -> float:
    raise BadRecord("not_finite", f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)
