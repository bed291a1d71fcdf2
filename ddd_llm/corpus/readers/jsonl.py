"""JSON Lines: one document per line.

Belongs here: lines and the rules for broken and cut off ones. Does not belong here: what makes a JSON
text valid (`strict_json`), fields (`records`), compression, encodings.

A line that is bad but ended is refused and the rest kept. A last line without an end that is no whole JSON text means
that the file was cut off: the file is withdrawn as a whole. Lines of white space are no records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ddd_llm.corpus.readers.items import FileFault, Item, Limits, Refusal
from ddd_llm.corpus.readers.locators import Register
from ddd_llm.corpus.readers.records import Fields, admitted, pick
from ddd_llm.corpus.readers.strict_json import BadRecord, loads

_CUT_OFF = frozenset({"invalid_json", "invalid_utf8", "nul_character"})


class Line(NamedTuple):
    """One line: `data` is None when it was longer than the limit; `ended` says whether a line feed followed."""

    number: int
    offset: int
    size: int
    data: bytes | None
    ended: bool


def split_lines(blocks: Iterable[bytes], limit: int) -> Iterator[Line]:
    """Lines of a byte stream, holding at most `limit` bytes and one block whatever comes."""
    held: list[bytes] = []
    size = offset = 0
    number = 1

    def line(ended: bool) -> Line:
        return Line(number, offset, size, b"".join(held) if size <= limit else None, ended)

    for block in blocks:
        start = 0
        while (end := block.find(b"\n", start)) >= 0:
            size += end - start
            if size <= limit:
                held.append(block[start:end])
            yield line(ended=True)
            offset += size + 1
            number += 1
            size, start = 0, end + 1
            held.clear()
        size += len(block) - start
        if size > limit:
            held.clear()
        else:
            held.append(block[start:])
    if size:
        yield line(ended=False)


def read(name: str, blocks: Iterable[bytes], fields: Fields, limits: Limits) -> Iterator[Item | Refusal]:
    """Documents of one JSONL file.

    Args:
        name: locator of the file.
        blocks: its bytes as UTF-8 without a byte order mark.

    Raises:
        FileFault: `empty_file`, `truncated` (offset of the line that is cut off).
    """
    register = Register()
    records = 0
    for line in split_lines(blocks, limits.record):
        if line.data is None:
            records += 1
            detail = f"a line of {line.size} bytes; the limit is {limits.record}"
            yield Refusal(f"{name}#line={line.number}", "record_too_large", detail, line.offset)
            continue
        if not line.data.strip(b" \t\r"):
            continue
        records += 1
        try:
            record = pick(loads(line.data, limits.json_depth), fields)
        except BadRecord as bad:
            if not line.ended and bad.reason in _CUT_OFF:
                detail = f"the last line (number {line.number}) is not whole; {records - 1} records are held back"
                raise FileFault("truncated", detail, line.offset) from None
            yield Refusal(f"{name}#line={line.number}", bad.reason, bad.detail, line.offset)
            continue
        yield from admitted(name, f"line={line.number}", record, register, line.offset)
    if not records:
        raise FileFault("empty_file", "the file holds no record", 0)
