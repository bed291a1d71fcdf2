"""CSV and TSV (RFC 4180): a header, then one document per row.

Belongs here: rows that span lines, rows that are no rows, files that were cut off. Does not belong here: fields
(`records`). Cells are data: a formula is text like any other.

A row without a line end at the end of a file may have been cut off in the middle of a cell, and nothing else would
show it; so every row must end with one.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ddd_llm.corpus.readers.items import FileFault, Item, Limits, Refusal
from ddd_llm.corpus.readers.jsonl import split_lines
from ddd_llm.corpus.readers.locators import Register
from ddd_llm.corpus.readers.records import Fields, admitted, pick
from ddd_llm.corpus.readers.strict_json import BadRecord

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}


class Row(NamedTuple):
    """One row's bytes without its line end; None when it was longer than the limit."""

    number: int
    offset: int
    size: int
    data: bytes | None
    ended: bool


def split_rows(blocks: Iterable[bytes], delimiter: str, limit: int) -> Iterator[Row]:
    """Rows of a byte stream: lines, joined where a quoted cell goes on. Rows count from 1, the header included."""
    mark = delimiter.encode("ascii")
    held: list[bytes] = []
    size = offset = 0
    number, open_, over = 1, False, False
    for line in split_lines(blocks, limit):
        if not open_:
            offset = line.offset
        size += line.size + (1 if open_ else 0)
        over = over or size > limit or line.data is None
        if line.data is None:
            # What a line that was not kept did to the quotes cannot be told; the row ends with it.
            open_ = False
        else:
            open_ = _ends_open(line.data, mark, open_)
            if over:
                held.clear()
            else:
                held.append(line.data)
        if open_ and line.ended:
            continue
        yield Row(number, offset, size, None if over else b"\n".join(held), line.ended and not open_)
        held.clear()
        size, open_, over = 0, False, False
        number += 1
    if size:  # the stream ended with a line end inside a quoted cell
        yield Row(number, offset, size, None if over else b"\n".join(held), False)


def _ends_open(line: bytes, delimiter: bytes, open_: bool) -> bool:
    """Whether a quoted cell is still open behind the line. A quote opens a cell at its beginning only."""
    if b'"' not in line:
        return open_
    at = 0
    if not open_ and line.startswith(b'"'):
        open_, at = True, 1
    while True:
        if open_:
            at = line.find(b'"', at)
            if at < 0:
                return True
            if line[at + 1 : at + 2] == b'"':
                at += 2
                continue
            open_, at = False, at + 1
        else:
            at = line.find(delimiter + b'"', at)
            if at < 0:
                return False
            open_, at = True, at + 2


def read(
    name: str, blocks: Iterable[bytes], fields: Fields, delimiter: str, limits: Limits
) -> Iterator[Item | Refusal]:
    """Documents of one CSV file.

    Args:
        name: locator of the file.
        blocks: its bytes as UTF-8 without a byte order mark.

    Refusals of rows: `invalid_utf8`, `nul_character`, `invalid_csv`, `wrong_cell_count`, `record_too_large`; those of
    `records.pick`.

    Raises:
        FileFault: `empty_file`, `missing_column`, `duplicate_column`, `invalid_header`, `truncated` (offset of the row
            that is cut off).
    """
    csv.field_size_limit(limits.record + 1)
    register = Register()
    header: list[str] | None = None
    records = 0
    for row in split_rows(blocks, delimiter, limits.record):
        if not row.ended:
            detail = f"row {row.number} does not end with a line feed: cut off, or end a whole file with one"
            raise FileFault("truncated", detail, row.offset)
        if row.data is not None and not row.data.strip(b" \t\r"):
            continue
        try:
            if row.data is None:
                raise BadRecord("record_too_large", f"a row of {row.size} bytes; the limit is {limits.record}")
            cells = _cells(row.data, delimiter)
            if header is None:
                header = _header(cells, fields)
                continue
            records += 1
            if len(cells) != len(header):
                raise BadRecord("wrong_cell_count", f"{len(cells)} cells under a header of {len(header)}")
            cut = {name: cell for name, cell in zip(header, cells, strict=True) if cell or name == fields.text}
            record = pick(cut, fields)
        except BadRecord as bad:
            if header is None:
                raise FileFault("invalid_header", bad.detail, row.offset) from None
            records += row.data is None
            yield Refusal(f"{name}#row={row.number}", bad.reason, bad.detail, row.offset)
            continue
        yield from admitted(name, f"row={row.number}", record, register, row.offset)
    if not records:
        raise FileFault("empty_file", "the file holds no row", 0)


def _header(cells: list[str], fields: Fields) -> list[str]:
    if len(set(cells)) != len(cells):
        raise FileFault("duplicate_column", "two columns share one name", 0)
    missing = [column for column in fields.columns() if column not in cells]
    if missing:
        raise FileFault("missing_column", f"there is no column {', '.join(missing)}", 0)
    return cells


def _cells(data: bytes, delimiter: str) -> list[str]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRecord("invalid_utf8", f"not valid UTF-8 at byte {error.start} of the row") from None
    if "\0" in text:
        raise BadRecord("nul_character", "the row holds a NUL byte")
    try:
        (cells,) = csv.reader([text.removesuffix("\r")], delimiter=delimiter, strict=True)
    except (csv.Error, ValueError):
        raise BadRecord("invalid_csv", "the quotes of the row do not match") from None
    return cells
