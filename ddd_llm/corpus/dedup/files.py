"""Deduplication of a Parquet file of any size, with no store and no Dagster.

Here: one pass over the file, whose texts are let go once they are sketched; shingle sets wait in a scratch file. Not here:
tables in memory (`memory`), batches in a store (`corpus.deduplication`).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ddd_llm.corpus.dedup.leader import Batch, Kept, decide
from ddd_llm.corpus.dedup.policy import DedupPolicy
from ddd_llm.corpus.dedup.sets_file import SetFile
from ddd_llm.corpus.dedup.shingles import content_keys
from ddd_llm.corpus.dedup.signatures import sketch
from ddd_llm.corpus.text import composed

ROWS_AT_ONCE = 2048


def deduplicate_parquet(
    path: Path, policy: DedupPolicy, id_column: str = "id", text_column: str = "text", threads: int | None = None
) -> pa.Table:
    """A decision on every row of a file, in its order (`policy.DECISIONS`; `locator` and `kept_locator` hold the file's ids).

    The order of the file is the keep order, whatever the policy says. Texts are compared in NFC, in which ingest keeps them.
    Memory is bounded by some 500 bytes per row beyond a few thousand texts; the scratch file, in the system's temporary folder,
    holds 8 bytes per distinct shingle.

    Raises:
        ValueError: a column is missing, or an id is null or given twice.
    """
    file = pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
    for name in (id_column, text_column):
        if name not in file.schema_arrow.names:
            raise ValueError(f"{path} has no column {name!r}")
    count = file.metadata.num_rows
    bands, content = np.empty((count, policy.signature.bands), np.uint64), np.empty((count, 2), np.uint64)
    shingles, sizes = np.empty(count, np.int32), np.empty(count, np.int32)
    names: list[pa.Array] = []
    row = 0
    with tempfile.NamedTemporaryFile(prefix="shingles-") as scratch:
        for part in file.iter_batches(ROWS_AT_ONCE, columns=[id_column, text_column], use_threads=False):
            here = slice(row, row + len(part))
            texts = composed(part[text_column])
            made = sketch(texts, policy.signature, threads, sets=True)
            assert made.sets is not None
            bands[here], shingles[here] = made.bands, made.shingles
            content[here], sizes[here] = content_keys(texts), made.sets.sizes
            scratch.write(made.sets.hashes.astype("<u8", copy=False).data)
            names.append(part[id_column].cast(pa.string()))
            row += len(part)
        scratch.flush()
        ends = np.cumsum(sizes, dtype=np.int64)
        sets = SetFile(lambda: Path(scratch.name).open("rb"), ends - sizes, sizes)  # noqa: SIM115
        given = _checked(pa.chunked_array(names, pa.string()))
        keys = [bands]  # the one reference to them, for `decide` to let go
        batch = Batch(_rows(content, shingles), keys.pop, sets, pa.nulls(count, pa.string()))
        del bands, content
        pa.default_memory_pool().release_unused()  # of texts, and of looking for ids given twice
        decisions = decide(batch, Kept(), policy.model_copy(update={"order": ("locator",)}), [""])
    kept = given.take(decisions["kept_locator"].cast(pa.int64()))
    for name, column in (("locator", given), ("kept_locator", kept)):
        decisions = decisions.set_column(decisions.column_names.index(name), name, column)
    return decisions


def _checked(names: pa.ChunkedArray) -> pa.ChunkedArray:
    if names.null_count:
        raise ValueError(f"{names.null_count} rows have no id")
    if twice := len(names) - len(names.unique()):
        raise ValueError(f"{twice} ids are given twice")
    return names


def _rows(content: npt.NDArray[np.uint64], shingles: npt.NDArray[np.int32]) -> pa.Table:
    # Equal texts have equal ids here, and a row's number stands for its name, so that rows are in the order of the file.
    count = len(shingles)
    keys = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(content), [None, pa.py_buffer(content)])
    blank = pa.repeat(pa.scalar(""), count)
    return pa.table(
        {
            "id": keys.dictionary_encode().indices, "source": blank, "locator": pa.array(np.arange(count)), "batch": blank,
            "shingles": pa.array(shingles),
        }
    )  # fmt: skip
