"""The corpus as its batches leave it: which documents are current.

Here: folding batches of additions, updates and deletions, by (source, locator), into the current documents. Not here:
how a batch is made, or what is a duplicate of what.
"""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.dedup.leader import DECISIONS

OPERATIONS = ("add", "update", "delete")

CURRENT = ("id", "source", "locator", "batch", "title", "media_type", "language", "licence", "text")


@dataclass(frozen=True)
class FoldResult:
    """`current` (columns of `CURRENT`) and `decisions` on all other rows (columns of the dedup decisions), in batch order.

    Their rows add up to the rows of all batches. Reasons: `superseded` (a later row replaces it), `deleted` (a later row
    deletes it), `deletion` (the row is itself a deletion).
    """

    current: pa.Table
    decisions: pa.Table


def fold(batches: Iterable[tuple[str, pa.Table]]) -> FoldResult:
    """Apply batches in order, oldest first; within a batch its rows in order.

    The last row of a (source, locator) is what counts: an addition or update makes its document current and supersedes
    the revision before it, a deletion leaves none. An addition of something known, an update of something unknown and a
    deletion of something unknown are taken for what they bring about.

    Args:
        batches: batch name and governed documents (columns of `CURRENT` but `batch`, and `op`; others are left out).

    Raises:
        ValueError: two batches of one name, a missing column, an unknown operation, a row without source or locator,
            or an addition or update without id or text.
    """
    parts: list[pa.Table] = []
    names: set[str] = set()
    for name, table in batches:
        if name in names:
            raise ValueError(f"two batches are named {name!r}")
        names.add(name)
        parts.append(_checked(name, table))
    if not parts:
        return FoldResult(pa.schema([(name, pa.string()) for name in CURRENT]).empty_table(), DECISIONS.empty_table())
    rows = pa.concat_tables(parts, promote_options="permissive")

    # The last row of each row's document.
    numbered = rows.select(["source", "locator"]).append_column("row", pa.array(np.arange(len(rows))))
    last = numbered.group_by(["source", "locator"]).aggregate([("row", "max")])
    final = numbered.join(last, ["source", "locator"]).sort_by("row")["row_max"]
    deletes = pc.equal(rows["op"], "delete")
    is_final = pc.equal(final, pa.array(np.arange(len(rows))))
    is_current = pc.and_(is_final, pc.invert(deletes))

    ends_deleted = deletes.take(final)
    reason = pc.if_else(deletes, "deletion", pc.if_else(ends_deleted, "deleted", "superseded"))
    dropped = rows.append_column("reason", reason).filter(pc.invert(is_current))
    columns = {name: dropped[name] for name in ("id", "source", "locator", "batch", "reason")}
    columns["verdict"] = pa.repeat(pa.scalar("dropped"), len(dropped))
    filled = {field.name: columns.get(field.name, pa.nulls(len(dropped), field.type)) for field in DECISIONS}
    return FoldResult(rows.filter(is_current).select(CURRENT), pa.table(filled, schema=DECISIONS))


def _checked(name: str, table: pa.Table) -> pa.Table:
    missing = [column for column in (*CURRENT, "op") if column != "batch" and column not in table.column_names]
    if missing:
        raise ValueError(f"batch {name!r} has no column {', '.join(missing)}")
    unknown = pc.invert(pc.is_in(table["op"], value_set=pa.array(OPERATIONS)))
    if pc.any(unknown).as_py():
        known = ", ".join(OPERATIONS)
        raise ValueError(f"batch {name!r} has {pc.sum(unknown).as_py()} rows whose op is none of {known}")
    if table["source"].null_count or table["locator"].null_count:
        raise ValueError(f"batch {name!r} has rows without source or locator")
    stays = table.filter(pc.not_equal(table["op"], "delete"))
    if stays["id"].null_count or stays["text"].null_count:
        raise ValueError(f"batch {name!r} has additions or updates without id or text")
    columns = {column: table[column] for column in (*CURRENT, "op") if column != "batch"}
    columns["batch"] = pa.repeat(pa.scalar(name), len(table))
    return pa.table({column: columns[column] for column in (*CURRENT, "op")})
