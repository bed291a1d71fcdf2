"""Bytes that mean the same everywhere: canonical JSON, digests, and Parquet without time or chance in it.

Belongs here: every encoding whose bytes are hashed. Does not belong here: where bytes are kept (`backend`).
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

CHUNK = 1 << 20
ROW_GROUP = 2048
"""Rows that are read together: few enough that a few rows of a large table cost little."""


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys, no white space and no NaN; equal values give equal bytes.

    Raises:
        ValueError: the value holds NaN or infinity, which JSON cannot say.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def digest(data: bytes) -> str:
    """SHA-256 of the bytes, 64 hex characters."""
    return hashlib.sha256(data).hexdigest()


def digest_value(value: Any) -> str:
    """SHA-256 of the canonical JSON of a value."""
    return digest(canonical_json(value))


def stream_digest(stream: BinaryIO) -> tuple[str, int]:
    """SHA-256 and size in bytes of a stream, read in 1 MiB pieces."""
    state, size = hashlib.sha256(), 0
    while piece := stream.read(CHUNK):
        state.update(piece)
        size += len(piece)
    return state.hexdigest(), size


def file_digest(path: Path) -> tuple[str, int]:
    """SHA-256 and size in bytes of a file."""
    with path.open("rb") as stream:
        return stream_digest(stream)


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as Parquet whose bytes depend on its rows and column types alone (for one pyarrow version).

    Chunking, pandas metadata and field metadata of the input leave no trace.
    """
    schema = pa.schema([pa.field(f.name, f.type, f.nullable) for f in table.schema])
    plain = pa.Table.from_arrays([c.combine_chunks() for c in table.columns], schema=schema)
    sink = io.BytesIO()
    pq.write_table(plain, sink, compression="zstd", row_group_size=ROW_GROUP, write_statistics=True, version="2.6")
    return sink.getvalue()


def read_parquet(data: bytes, columns: Iterable[str] | None = None) -> pa.Table:
    """The table in Parquet bytes whose digest was already checked.

    Raises:
        KeyError: a column that is not there.
    """
    # Not `read_table`: its scanner leaves threads behind that now and then abort a short process as it exits.
    wanted = list(columns) if columns is not None else None
    found = pq.ParquetFile(pa.BufferReader(data)).read(columns=wanted)
    return found if wanted is None else found.select(wanted)


def schema_of(table: pa.Table) -> dict[str, str]:
    """Column names and Arrow type names, in order."""
    return {field.name: str(field.type) for field in table.schema}
