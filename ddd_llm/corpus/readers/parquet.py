"""Parquet: one document per row.

Belongs here: columns to documents, and the bounds on what they may expand to. Does not belong here: other formats.
A Parquet file ends with its directory, so a file that was cut off has none and is withdrawn as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ddd_llm.corpus.readers.items import MIB, FileFault, Item, Limits, Refusal
from ddd_llm.corpus.readers.jsonl import Fields, named, pick
from ddd_llm.corpus.readers.locators import Register
from ddd_llm.corpus.readers.strict_json import BadRecord

_ROWS = 1024


def read(name: str, path: Path, fields: Fields, limits: Limits) -> Iterator[Item | Refusal]:
    """Documents of one Parquet file.

    Raises:
        FileFault: `empty_file`, `truncated`, `corrupt_parquet`, `missing_column`, `decompression_bomb`.
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    if size == 0:
        raise FileFault("empty_file", "the file has 0 bytes", 0)
    _check_ends(path, size)
    columns = [column for column in (fields.text, fields.id, fields.title) if column]
    register, row, came = Register(), 0, 0
    with path.open("rb") as raw:
        try:
            metadata = pq.read_metadata(raw)
            schema = metadata.schema.to_arrow_schema()
            missing = [column for column in columns if column not in schema.names]
            if missing:
                raise FileFault("missing_column", f"there is no column {', '.join(missing)}")
            if metadata.num_rows == 0:
                raise FileFault("empty_file", "the file holds no row", 0)
            # Text stays dictionary-encoded: one long value repeated a million times is then held once.
            encoded = [fields.text] if pa.types.is_string(schema.field(fields.text).type) else []
            file = pq.ParquetFile(raw, metadata=metadata, page_checksum_verification=True, read_dictionary=encoded)
            for batch in file.iter_batches(batch_size=_ROWS, columns=columns, use_threads=False):
                for index in range(batch.num_rows):
                    locator = f"{name}#row={row}"
                    row += 1
                    try:
                        key, title, text = pick(_record(batch, index), fields)
                    except BadRecord as bad:
                        yield Refusal(locator, bad.reason, bad.detail)
                        continue
                    length = len(text.encode("utf-8", "surrogatepass"))
                    if length > limits.record:
                        detail = f"a text of {length} bytes; the limit is {limits.record}"
                        yield Refusal(locator, "record_too_large", detail)
                        continue
                    came += length
                    if came > limits.total or (came > MIB and came > limits.ratio * size):
                        detail = f"expands beyond {limits.ratio} times its size or {limits.total} bytes"
                        raise FileFault("decompression_bomb", f"{detail}; raise the limit if this is right")
                    if key is None:
                        yield Item(locator, title or locator, text, "text/plain")
                    else:
                        yield from named(register, name, key, title, text, None)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            detail = f"the file cannot be read as Parquet; {row} rows before the fault are held back"
            raise FileFault("corrupt_parquet", detail) from None


def _check_ends(path: Path, size: int) -> None:
    with path.open("rb") as raw:
        head = raw.read(4)
        raw.seek(max(0, size - 4))
        tail = raw.read(4)
    if head != b"PAR1":
        raise FileFault("corrupt_parquet", "the file does not begin as Parquet", 0)
    if size < 12 or tail != b"PAR1":
        raise FileFault("truncated", "the file ends before its Parquet directory", size)


def _record(batch: pa.RecordBatch, index: int) -> dict[str, Any]:
    try:
        return {column: batch.column(column)[index].as_py() for column in batch.schema.names}
    except UnicodeDecodeError as error:
        raise BadRecord("invalid_utf8", f"not valid UTF-8 at byte {error.start} of a cell") from None
