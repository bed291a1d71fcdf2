"""Tables that grow row by row and can take back what a refused file brought.

Belongs here: Arrow batches built from Python rows, and positions to go back to. Does not belong here: what a row means.
Python objects are held for one batch at a time: a few thousand rows or 8 MiB of text, whichever comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

MOST_ROWS = 4096
SLICE = 1024
MOST_BYTES = 8 << 20


def gather(batches: list[pa.RecordBatch], order: Sequence[int | None], schema: pa.Schema) -> pa.Table:
    """Rows in another order; None gives a row of nulls. `batches` is emptied.

    Works slice by slice and lets go of a batch with its last row, where `Table.take` would make two copies of all.
    """
    ends = np.cumsum([batch.num_rows for batch in batches], dtype=np.int64)
    if list(order) == list(range(int(ends[-1]) if len(ends) else 0)):
        whole = pa.Table.from_batches(batches, schema)
        batches.clear()
        return whole
    nullable = pa.schema([field.with_nullable(True) for field in schema])
    held: list[pa.RecordBatch | None] = list(batches)
    batches.clear()
    wanted = np.array([-1 if index is None else index for index in order], np.int64)
    homes = np.where(wanted < 0, -1, np.searchsorted(ends, wanted, side="right"))
    left = np.bincount(homes[homes >= 0], minlength=len(held))
    out: list[pa.RecordBatch] = []
    for start in range(0, len(wanted), SLICE):
        indices, at = wanted[start : start + SLICE], homes[start : start + SLICE]
        parts, position, came = [], np.full(len(indices), -1, np.int64), 0
        for home in np.unique(at[at >= 0]):
            batch = held[home]
            assert batch is not None  # it has rows left
            here = np.flatnonzero(at == home)
            parts.append(batch.take(pa.array(indices[here] - (ends[home] - batch.num_rows))))
            position[here] = np.arange(came, came + len(here))
            came += len(here)
            left[home] -= len(here)
            if not left[home]:
                held[home] = batch = None
        together = pa.Table.from_batches([part.cast(nullable) for part in parts], nullable)
        out += together.take(pa.array(position, mask=position < 0)).combine_chunks().to_batches()
    return pa.Table.from_batches(out, nullable)


class Rows:
    """An append-only table of one schema."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._batches: list[pa.RecordBatch] = []
        self._pending: list[tuple[Any, ...]] = []
        self._pending_bytes = 0
        self._done = 0

    def __len__(self) -> int:
        return self._done + len(self._pending)

    def append(self, row: tuple[Any, ...], size: int = 0) -> None:
        """Add one row, its cells in the schema's order; `size` says about how many bytes it holds."""
        self._pending.append(row)
        self._pending_bytes += size
        if len(self._pending) >= MOST_ROWS or self._pending_bytes >= MOST_BYTES:
            self._flush()

    def cut(self, length: int) -> None:
        """Take back all rows behind the first `length`."""
        if length >= self._done:
            del self._pending[length - self._done :]
            return
        self._pending.clear()
        self._pending_bytes = 0
        while self._done > length:
            last = self._batches.pop()
            self._done -= last.num_rows
            if self._done < length:
                self._batches.append(last.slice(0, length - self._done))
                self._done = length

    def table(self) -> pa.Table:
        """All rows."""
        self._flush()
        return pa.Table.from_batches(self._batches, self._schema)

    def sorted_by(self, column: str) -> pa.Table:
        """All rows in the order of one column of strings; they are handed over, and this table is empty afterwards."""
        self._flush()
        values = [value for batch in self._batches for value in batch.column(column).to_pylist()]
        order = sorted(range(len(values)), key=values.__getitem__)
        batches, self._batches, self._done = self._batches, [], 0
        return gather(batches, order, self._schema)

    def _flush(self) -> None:
        if self._pending:
            columns = zip(*self._pending, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
            self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
            self._done += len(self._pending)
            self._pending.clear()
            self._pending_bytes = 0
