"""Parquet: one document per row.

Belongs here: opening Parquet and telling a damaged file from a cut one. Does not belong here: rows (`columnar`).
A Parquet file ends with its directory, so a file that was cut off has none and is withdrawn as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from ddd_llm.corpus.readers.columnar import check_columns, documents
from ddd_llm.corpus.readers.items import FileFault, Item, Limits, Refusal
from ddd_llm.corpus.readers.records import Fields

_ROWS = 1024


def read(name: str, raw: BinaryIO, size: int, fields: Fields, limits: Limits) -> Iterator[Item | Refusal]:
    """Documents of one Parquet file.

    Args:
        raw: seekable.

    Raises:
        FileFault: `empty_file`, `truncated`, `corrupt_parquet`, `missing_column`, `decompression_bomb`.
        OSError: the file cannot be read.
    """
    if size == 0:
        raise FileFault("empty_file", "the file has 0 bytes", 0)
    _check_ends(raw, size)
    try:
        metadata = pq.read_metadata(raw)
        schema = metadata.schema.to_arrow_schema()
        check_columns(schema, fields)
        if metadata.num_rows == 0:
            raise FileFault("empty_file", "the file holds no row", 0)
        # Text stays dictionary-encoded: one long value repeated a million times is then held once.
        encoded = [fields.text] if pa.types.is_string(schema.field(fields.text).type) else []
        file = pq.ParquetFile(raw, metadata=metadata, page_checksum_verification=True, read_dictionary=encoded)
        batches = file.iter_batches(batch_size=_ROWS, columns=fields.columns(), use_threads=False)
        yield from documents(name, batches, fields, size, limits)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise FileFault("corrupt_parquet", "the file cannot be read as Parquet; all its rows are held back") from None


def _check_ends(raw: BinaryIO, size: int) -> None:
    raw.seek(0)
    head = raw.read(4)
    raw.seek(max(0, size - 4))
    tail = raw.read(4)
    raw.seek(0)
    if head != b"PAR1":
        raise FileFault("corrupt_parquet", "the file does not begin as Parquet", 0)
    if size < 12 or tail != b"PAR1":
        raise FileFault("truncated", "the file ends before its Parquet directory", size)
