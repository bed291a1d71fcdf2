"""JSON Lines: one document per line.

Belongs here: lines, their fields, and the rules for broken and cut off ones. Does not belong here: what makes a JSON
text valid (`strict_json`), compression, encodings.

A line that is bad but ended is refused and the rest kept. A last line without an end that is no whole JSON text means
that the file was cut off: the file is withdrawn as a whole. Lines of white space are no records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ddd_llm.corpus.readers.items import FileFault, Item, Limits, Refusal
from ddd_llm.corpus.readers.locators import Register, escape
from ddd_llm.corpus.readers.strict_json import BadRecord, loads

_CUT_OFF = frozenset({"invalid_json", "invalid_utf8", "nul_character"})


@dataclass(frozen=True, slots=True)
class Fields:
    """Keys (columns) that hold a record's text, name and title."""

    text: str = "text"
    id: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
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
            value = loads(line.data, limits.json_depth)
            key, title, text = pick(value, fields)
        except BadRecord as bad:
            if not line.ended and bad.reason in _CUT_OFF:
                detail = f"the last line (number {line.number}) is not whole; {records - 1} records are held back"
                raise FileFault("truncated", detail, line.offset) from None
            yield Refusal(f"{name}#line={line.number}", bad.reason, bad.detail, line.offset)
            continue
        if key is None:
            yield Item(f"{name}#line={line.number}", title or f"{name}#line={line.number}", text, "text/plain")
        else:
            yield from named(register, name, key, title, text, line.offset)
    if not records:
        raise FileFault("empty_file", "the file holds no record", 0)


def named(
    register: Register, name: str, key: str, title: str | None, text: str, offset: int | None
) -> Iterator[Item | Refusal]:
    """The item (if it stays) and the report of a record that has a name of its own."""
    locator, report = register.admit(f"{name}#id={escape(key)}", f"{title or ''}\0{text}", offset)
    if locator is not None:
        yield Item(locator, title or locator, text, "text/plain")
    if report is not None:
        yield report


def pick(record: Any, fields: Fields) -> tuple[str | None, str | None, str]:
    """Name, title and text of a record.

    Raises:
        BadRecord: `not_an_object`, `missing_text`, `text_not_a_string`, `missing_id`, `id_not_usable`,
            `title_not_a_string`.
    """
    if not isinstance(record, dict):
        raise BadRecord("not_an_object", "the record is not an object")
    text = record.get(fields.text)
    if text is None:
        raise BadRecord("missing_text", f"the record has no {fields.text}")
    if not isinstance(text, str):
        raise BadRecord("text_not_a_string", f"{fields.text} is not a string")
    title = record.get(fields.title) if fields.title else None
    if title is not None and not isinstance(title, str):
        raise BadRecord("title_not_a_string", f"{fields.title} is not a string")
    if fields.id is None:
        return None, title, text
    key = record.get(fields.id)
    if key is None or key == "":
        raise BadRecord("missing_id", f"the record has no {fields.id}")
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise BadRecord("id_not_usable", f"{fields.id} is neither a string nor an integer")
    return str(key), title, text
