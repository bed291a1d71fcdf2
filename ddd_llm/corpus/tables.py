"""Small shapes of document tables that several assets need. Belongs here: Arrow plumbing without judgement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc


def present(batch: pa.Table) -> pa.Table:
    """The rows of a batch that bring a text (adds and updates, not deletes)."""
    return batch.filter(pc.not_equal(batch["op"], "delete"))  # type: ignore[attr-defined]


def by_batch(rows: pa.Table, batches: Sequence[str]) -> Iterator[tuple[str, pa.Table]]:
    """A table cut into its batches, every batch named even when it has no rows left, so that a change costs its own batch."""
    for name in batches:
        yield name, rows.filter(pc.equal(rows["batch"], name))  # type: ignore[attr-defined]


def pairs_by_id(pairs: pa.Table, ids: pa.ChunkedArray) -> pa.Table:
    """Pairs of row numbers (`left, right, jaccard`) as pairs of document ids (`left_id, right_id, jaccard`)."""
    return pa.table(
        {"left_id": ids.take(pairs["left"]), "right_id": ids.take(pairs["right"]), "jaccard": pairs["jaccard"]}
    )


def counts(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each value occurs, commonest first, nulls left out."""
    found = {row["values"]: row["counts"] for row in pc.value_counts(column.drop_null()).to_pylist()}  # type: ignore[attr-defined]
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
