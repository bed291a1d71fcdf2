"""Arrow streams, as Hugging Face `datasets` saves its shards: one document per row.

Belongs here: opening Arrow and telling a damaged file from a cut one. Does not belong here: rows (`columnar`).
A stream that was cut off between two batches reads as a whole one, so its end mark is looked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

from ddd_llm.corpus.readers.columnar import check_columns, documents
from ddd_llm.corpus.readers.items import FileFault, Item, Limits, Refusal
from ddd_llm.corpus.readers.records import Fields

_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"


def read(name: str, raw: BinaryIO, size: int, fields: Fields, limits: Limits) -> Iterator[Item | Refusal]:
    """Documents of one Arrow stream file.

    Args:
        raw: seekable.

    Raises:
        FileFault: `empty_file`, `truncated`, `corrupt_arrow`, `missing_column`, `decompression_bomb`.
        OSError: the file cannot be read.
    """
    if size == 0:
        raise FileFault("empty_file", "the file has 0 bytes", 0)
    raw.seek(max(0, size - len(_END)))
    whole = raw.read() == _END
    raw.seek(0)
    rows = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal rows
        for batch in stream:
            batch.validate(full=True)  # offsets of a damaged file point anywhere
            rows += batch.num_rows
            yield batch

    try:
        stream = pa.ipc.open_stream(raw)
        if not whole:
            raise FileFault("truncated", "the file ends before its end mark", size)
        check_columns(stream.schema, fields)
        yield from documents(name, batches(), fields, size, limits)
    except (pa.ArrowException, OSError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        if not whole:
            raise FileFault("truncated", "the file ends before its end mark", size) from None
        raise FileFault("corrupt_arrow", "the file cannot be read as Arrow; all its rows are held back") from None
    if not rows:
        raise FileFault("empty_file", "the file holds no row", 0)
