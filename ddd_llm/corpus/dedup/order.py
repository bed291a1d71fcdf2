"""The keep order: which of two duplicates comes first. Here: a sort by the policy's criteria. Not here: anything else."""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.dedup.policy import DedupPolicy

NEEDED = {"quality": "quality", "newest": "date", "oldest": "date", "longest": "bytes", "shortest": "bytes"}


def keep_order(rows: pa.Table, policy: DedupPolicy, batches: Sequence[str]) -> npt.NDArray[np.int64]:
    """Row numbers in keep order. Documents without a score or date come after those that have one.

    Ties go by source, locator, batch and id, which no two rows have in common.

    Args:
        rows: columns `id, source, locator, batch` and those that the policy's criteria look at (`NEEDED`).
        policy: names the criteria.
        batches: all batch names, oldest first.

    Raises:
        ValueError: a row's batch is not in `batches`.
    """
    keys: dict[str, tuple[pa.ChunkedArray | pa.Array, str]] = {}
    for criterion in policy.order:
        match criterion:
            case "batch":
                rank = pc.index_in(rows["batch"], value_set=pa.array(batches, pa.string()))
                if rank.null_count:
                    raise ValueError(f"{rank.null_count} documents are of a batch that `batches` does not name")
                keys["batch_rank"] = (rank, "ascending")
            case "source":
                trusted = pc.index_in(rows["source"], value_set=pa.array(policy.sources, pa.string()))
                keys["source_rank"] = (pc.fill_null(trusted, len(policy.sources)), "ascending")
                keys["source_name"] = (rows["source"], "ascending")
            case "locator":
                keys["locator_name"] = (rows["locator"], "ascending")
            case "oldest" | "shortest":
                keys[NEEDED[criterion]] = (rows[NEEDED[criterion]], "ascending")
            case "quality" | "newest" | "longest":
                keys[NEEDED[criterion]] = (rows[NEEDED[criterion]], "descending")
    for name in ("source", "locator", "batch", "id"):
        keys[name] = (rows[name], "ascending")
    # A column of one value orders nothing, and comparing strings is dear.
    telling = {name: key for name, key in keys.items() if _varies(key[0])}
    if not telling:
        return np.arange(len(rows))
    table = pa.table({name: column for name, (column, _) in telling.items()})
    order = pc.sort_indices(table, sort_keys=[(name, direction) for name, (_, direction) in telling.items()])
    return order.to_numpy(zero_copy_only=False).astype(np.int64)


def _varies(column: pa.ChunkedArray | pa.Array) -> bool:
    if len(column) == 0 or column.null_count == len(column):
        return False
    return column.null_count > 0 or bool(pc.any(pc.not_equal(column, column[0])).as_py())
