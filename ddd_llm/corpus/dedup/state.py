"""The corpus as its batches leave it: which documents are current.

Here: folding batches of additions, updates and deletions, by (source, locator). Not here: how a batch is made, or what is
a duplicate of what.
"""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

OPERATIONS = ("add", "update", "delete")


def fold(batches: Sequence[pa.Table]) -> list[pa.Array]:
    """Apply batches in order, oldest first; within a batch its rows in order.

    The last row of a (source, locator) is what counts: an addition or update makes its document current and supersedes
    the revision before it, a deletion leaves none. An addition of something known, an update of something unknown and a
    deletion of something unknown are taken for what they bring about.

    Args:
        batches: tables with the columns `source, locator, op`; others are not looked at.

    Returns:
        Per batch why each row is not current, null where it is: `superseded` (a later row replaces it), `deleted` (a later
        row deletes it), `deletion` (the row is itself a deletion).

    Raises:
        ValueError: a missing column, an unknown operation, or a row without source or locator.
    """
    for number, batch in enumerate(batches):
        _check(number, batch)
    if not batches:
        return []
    rows = pa.concat_tables([batch.select(["source", "locator", "op"]) for batch in batches])
    numbered = rows.select(["source", "locator"]).append_column("row", pa.array(np.arange(len(rows))))
    last = numbered.group_by(["source", "locator"]).aggregate([("row", "max")])
    if len(last) == len(rows):  # no place comes twice
        why = pc.if_else(pc.equal(rows["op"], "delete"), "deletion", pa.scalar(None, pa.string()))
    else:
        final = numbered.join(last, ["source", "locator"]).sort_by("row")["row_max"]
        deletes = pc.equal(rows["op"], "delete")
        ends_deleted = deletes.take(final)
        why = pc.if_else(deletes, "deletion", pc.if_else(ends_deleted, "deleted", "superseded"))
        is_final = pc.equal(final, pa.array(np.arange(len(rows))))
        current = pc.and_(is_final, pc.invert(deletes))
        why = pc.if_else(current, pa.scalar(None, pa.string()), why)
    flat = why.combine_chunks() if isinstance(why, pa.ChunkedArray) else why
    ends = np.cumsum([0, *(len(batch) for batch in batches)])
    return [flat.slice(begin, len(batch)) for begin, batch in zip(ends[:-1].tolist(), batches, strict=True)]


def _check(number: int, table: pa.Table) -> None:
    missing = [column for column in ("source", "locator", "op") if column not in table.column_names]
    if missing:
        raise ValueError(f"batch {number} has no column {', '.join(missing)}")
    unknown = pc.invert(pc.is_in(table["op"], value_set=pa.array(OPERATIONS)))
    if pc.any(unknown).as_py():
        known = ", ".join(OPERATIONS)
        raise ValueError(f"batch {number} has {pc.sum(unknown).as_py()} rows whose op is none of {known}")
    if table["source"].null_count or table["locator"].null_count:
        raise ValueError(f"batch {number} has rows without source or locator")
