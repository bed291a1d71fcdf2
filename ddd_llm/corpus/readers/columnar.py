"""Rows of Arrow record batches, as Parquet and Arrow files give them, to documents.

Belongs here: cells to fields, and the bounds on what they may expand to. Does not belong here: opening files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from ddd_llm.corpus.readers.items import MIB, FileFault, Item, Limits, Refusal
from ddd_llm.corpus.readers.locators import Register
from ddd_llm.corpus.readers.records import Fields, admitted, pick
from ddd_llm.corpus.readers.strict_json import BadRecord


def check_columns(schema: pa.Schema, fields: Fields) -> None:
    """Raises FileFault `missing_column`."""
    missing = [column for column in fields.columns() if column not in schema.names]
    if missing:
        raise FileFault("missing_column", f"there is no column {', '.join(missing)}")


def documents(
    name: str, batches: Iterable[pa.RecordBatch], fields: Fields, size: int, limits: Limits
) -> Iterator[Item | Refusal]:
    """Documents of a file, one per row.

    Args:
        name: locator of the file.
        batches: with at least the columns of `fields`.
        size: the file's stored size in bytes.

    Raises:
        FileFault: `decompression_bomb`.
    """
    register, row, came = Register(), 0, 0
    columns = fields.columns()
    for batch in batches:
        for index in range(batch.num_rows):
            position = f"row={row}"
            row += 1
            try:
                record = pick(_record(batch, columns, index), fields)
                length = len(record.text.encode("utf-8", "surrogatepass"))
                if length > limits.record:
                    raise BadRecord("record_too_large", f"a text of {length} bytes; the limit is {limits.record}")
            except BadRecord as bad:
                yield Refusal(f"{name}#{position}", bad.reason, bad.detail)
                continue
            came += length
            if came > limits.total or (came > MIB and came > limits.ratio * size):
                detail = f"expands beyond {limits.ratio} times its size or {limits.total} bytes"
                raise FileFault("decompression_bomb", f"{detail}; raise the limit if this is right")
            yield from admitted(name, position, record, register, None)


def _record(batch: pa.RecordBatch, columns: list[str], index: int) -> dict[str, Any]:
    try:
        return {column: batch.column(column)[index].as_py() for column in columns}
    except UnicodeDecodeError as error:
        raise BadRecord("invalid_utf8", f"not valid UTF-8 at byte {error.start} of a cell") from None
    except (ValueError, OverflowError):
        raise BadRecord("invalid_value", "a cell is beyond what its type can say") from None
