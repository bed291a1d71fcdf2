"""What runs in Spark's Python workers: plain functions from Arrow batches to Arrow batches.

Here: documents to sketches, keys to edges, and a bucket of whole components to decisions, by the kernels and the
`decide_in_order` that the local engine runs. Not here: what Spark does in between (`spark`). None of them needs pyspark.
"""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.dedup.history import decide_in_order
from ddd_llm.corpus.dedup.leader import Batch
from ddd_llm.corpus.dedup.order import keep_order
from ddd_llm.corpus.dedup.policy import DedupPolicy
from ddd_llm.corpus.dedup.sets import Chosen, ShingleSets
from ddd_llm.corpus.dedup.signatures import SignatureConfig, sketch
from ddd_llm.corpus.dedup.tokens import string_buffers

_EDGES_PER_BATCH = 1 << 20
SKETCHED = {
    "bytes": "bigint",
    "shingles": "int",
    "content": "binary",
    "keys": "array<bigint>",
    "sets": "binary",
}
"""Columns that `sketch_rows` puts in the place of `text`, with their Spark types.

`bytes`: null where the text is. `content`: a digest of the text, 16 bytes. `keys`: documents that share one may be
duplicates: the LSH bands of a text with tokens, and behind them a digest of the id. `sets`: the shingle set, eight
little-endian bytes a hash."""


def sketch_rows(batches: Iterable[pa.RecordBatch], config: SignatureConfig) -> Iterator[pa.RecordBatch]:
    """Documents (`id, text, why` and any other columns) as sketches: `SKETCHED` in the place of `text`.

    A row that is not current (`why` is not null) has neither keys nor a set.
    """
    for batch in batches:
        current = pc.is_null(batch["why"])
        texts = pc.if_else(current, batch["text"], pa.scalar(None, batch["text"].type))
        made = sketch(texts, config, threads=1, sets=True)
        assert made.sets is not None
        wanted = np.empty((len(batch), config.bands + 1), np.bool_)
        wanted[:, :-1] = (made.shingles > 0)[:, None]
        wanted[:, -1] = current.to_numpy(zero_copy_only=False)
        by_id = np.frombuffer(b"".join(_digests(batch["id"], 8)), np.uint64)
        keys = np.column_stack((made.bands, by_id)).view(np.int64)
        columns = {name: batch[name] for name in batch.schema.names if name != "text"}
        columns["bytes"] = pc.binary_length(texts).cast(pa.int64())
        columns["shingles"] = pa.array(made.shingles)
        columns["content"] = pa.array(_digests(texts, 16), pa.binary())
        columns["keys"] = _lists(keys[wanted], wanted.sum(1))
        columns["sets"] = _binary(made.sets)
        yield pa.record_batch(columns)


def star_rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """From every document but the first of a key an edge to the first.

    Args:
        batches: `node, key` (int64), every key with all its documents; any order, repeats allowed.

    Yields:
        `upper, lower` (int64), each edge once; nodes count as they are numbered.
    """
    parts = [(batch["key"].to_numpy(), batch["node"].to_numpy()) for batch in batches]
    if not parts:
        return
    keys, nodes = (np.concatenate(column) for column in zip(*parts, strict=True))
    parts.clear()
    order = np.lexsort((nodes, keys))
    keys, nodes = keys[order], nodes[order]
    starts = np.flatnonzero(np.concatenate((np.ones(min(1, len(keys)), np.bool_), keys[1:] != keys[:-1])))
    first = np.repeat(nodes[starts], np.diff(np.append(starts, len(keys))))
    joined = nodes != first
    upper, lower = nodes[joined], first[joined]
    order = np.lexsort((lower, upper))
    upper, lower = upper[order], lower[order]
    new = np.concatenate((np.ones(min(1, len(upper)), np.bool_), (upper[1:] != upper[:-1]) | (lower[1:] != lower[:-1])))
    yield from pa.table({"upper": upper[new], "lower": lower[new]}).to_batches(_EDGES_PER_BATCH)


@dataclass(frozen=True)
class BinarySets:
    """Shingle sets that came as bytes: of each part its hashes and where each row's begin and end."""

    parts: Sequence[tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]]
    starts: npt.NDArray[np.int64]  # row number that each part begins with, and the number of rows

    def __call__(self, rows: npt.NDArray[np.int64]) -> ShingleSets:
        which = np.searchsorted(self.starts, rows, side="right") - 1
        places = rows - self.starts[which]
        found, sizes = [np.zeros(0, "<u8")], np.zeros(len(rows) + 1, np.int64)
        for i, (part, place) in enumerate(zip(which.tolist(), places.tolist(), strict=True)):
            hashes, offsets = self.parts[part]
            found.append(hashes[offsets[place] : offsets[place + 1]])
            sizes[i + 1] = len(found[-1])
        return ShingleSets(np.concatenate(found).astype(np.uint64, copy=False), np.cumsum(sizes))


def decide_rows(
    batches: Iterable[pa.RecordBatch], policy: DedupPolicy, names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Decisions on a bucket of sketched documents, all current, that holds every component it holds whole.

    Args:
        batches: columns as `sketch_rows` makes them.
        policy: see `DedupPolicy`.
        names: all batch names, oldest first.

    Yields:
        `policy.DECISIONS`, and `clash`: whether the row's id stands for another text, too.
    """
    tables, parts = [], []
    for batch in batches:
        parts.append(_hashes(batch["sets"]))
        tables.append(pa.Table.from_batches([batch.drop_columns(["sets", "why"])]))
    if not tables:
        return
    rows = pa.concat_tables(tables)
    starts = np.cumsum([0, *(len(table) for table in tables)])
    order = keep_order(rows, policy, names)  # rows came in any order; from here on it is the documents' own
    rows = rows.take(pa.array(order)).combine_chunks()
    whole = Batch(
        rows.drop_columns(["keys", "content"]),
        partial(_bands, rows, policy.signature.bands),
        Chosen(BinarySets(parts, starts), order),
        pa.nulls(len(rows), pa.string()),
    )
    decisions = decide_in_order(whole, policy, names)
    yield from decisions.append_column("clash", pa.array(_clashes(rows))).combine_chunks().to_batches()


def _bands(rows: pa.Table, bands: int) -> npt.NDArray[np.uint64]:
    # Texts without tokens have none; what stands for them is not looked at.
    found = np.zeros((len(rows), bands), np.uint64)
    keys = pc.list_flatten(rows["keys"].combine_chunks()).to_numpy(zero_copy_only=False).view(np.uint64)
    has = rows["shingles"].to_numpy() > 0
    ends = np.cumsum(np.where(has, bands + 1, 1))[has]
    found[has] = keys[ends[:, None] - 1 - bands + np.arange(bands)]
    return found


def _clashes(rows: pa.Table) -> npt.NDArray[np.bool_]:
    # Rows whose text is not that of another row of their id.
    ids, texts = (
        pc.dictionary_encode(rows[name].combine_chunks()).indices.to_numpy(zero_copy_only=False)
        for name in ("id", "content")
    )
    some = np.empty(len(ids), texts.dtype)
    some[ids] = texts
    return some[ids] != texts


def _digests(texts: pa.Array, size: int) -> list[bytes]:
    _, data, offsets = string_buffers(texts)
    view = memoryview(data.data)
    return [blake2b(view[begin:end], digest_size=size).digest() for begin, end in pairwise(offsets.tolist())]


def _lists(values: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> pa.Array:
    offsets = np.concatenate((np.zeros(1, np.int32), np.cumsum(sizes, dtype=np.int32)))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values))


def _binary(sets: ShingleSets) -> pa.Array:
    hashes = sets.hashes.astype("<u8", copy=False)
    buffers = [None, pa.py_buffer(8 * sets.offsets), pa.py_buffer(hashes)]
    return pa.Array.from_buffers(pa.large_binary(), len(sets.offsets) - 1, buffers).cast(pa.binary())


def _hashes(column: pa.Array) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    # Views into the column's memory, in hashes instead of bytes.
    column = column.cast(pa.large_binary())
    _, offsets, data = column.buffers()
    starts = np.frombuffer(offsets, np.int64, len(column) + 1, 8 * column.offset)
    if data is None or starts[-1] == starts[0]:
        return np.zeros(0, "<u8"), np.zeros(len(column) + 1, np.int64)
    return np.frombuffer(data, "<u8", int(starts[-1] - starts[0]) // 8, int(starts[0])), (starts - starts[0]) // 8
