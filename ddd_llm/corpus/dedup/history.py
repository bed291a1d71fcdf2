"""Several batches, one after the other, and how an earlier run's decisions are taken up again.

Here: adding a decided batch to what is kept, and whether decisions made before a new batch still hold. Not here: deciding
one batch (`leader`), tables in memory (`memory`), files and records (`corpus.deduplication`).

With batches first in the keep order, a batch is decided against the kept documents of those before it alone, so that a
new one costs what it brings. The result is that of deciding all batches anew.
"""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.dedup.leader import NAMES, Batch, Kept, decide
from ddd_llm.corpus.dedup.order import keep_order
from ddd_llm.corpus.dedup.policy import DECISIONS, DedupPolicy
from ddd_llm.corpus.dedup.sets import Chosen

NOT_CURRENT = ("superseded", "deleted", "deletion")


def kept_rows(
    rows: pa.Table, decisions: pa.Table, policy: DedupPolicy, batches: Sequence[str]
) -> npt.NDArray[np.int64]:
    """Numbers of a decided batch's kept rows, in keep order: of equally similar leaders the first in this order is named."""
    kept = np.flatnonzero(pc.equal(decisions["verdict"], "kept").to_numpy(zero_copy_only=False))
    return kept[keep_order(rows.take(pa.array(kept)), policy, batches)]


def remember(history: Kept, batch: Batch, decisions: pa.Table, policy: DedupPolicy, batches: Sequence[str]) -> None:
    """Add a decided batch's kept documents to history."""
    rows = kept_rows(batch.rows, decisions, policy, batches)
    history.names.append(batch.rows.select(NAMES).take(pa.array(rows)))
    history.bands.append(batch.bands()[rows])
    history.sets.append(Chosen(batch.sets, rows))


def decide_in_order(whole: Batch, policy: DedupPolicy, batches: Sequence[str]) -> pa.Table:
    """Decisions on documents of several batches that are all at hand, in the order of their rows.

    With batches first in the keep order, one batch after the other, as they would be decided when they came.

    Raises:
        ValueError: a row's batch is not in `batches`.
    """
    which = pc.index_in(whole.rows["batch"], value_set=pa.array(batches, pa.string()))
    if which.null_count:
        raise ValueError(f"{which.null_count} documents are of a batch that `batches` does not name")
    numbers = which.to_numpy()
    present = np.unique(numbers)
    if not policy.history_first or len(present) < 2:
        return decide(whole, Kept(), policy, batches)
    history, decided = Kept(), []
    parts = [np.flatnonzero(numbers == number) for number in present]
    bands = whole.bands()
    for part in parts:
        rows = pa.array(part)
        own = partial(bands.take, part, axis=0)
        batch = Batch(whole.rows.take(rows), own, Chosen(whole.sets, part), whole.why.take(rows))
        decided.append(decide(batch, history, policy, batches))
        remember(history, batch, decided[-1], policy, batches)
    order = np.argsort(np.concatenate(parts), kind="stable")
    return pa.concat_tables(decided).take(pa.array(order))


def still_holds(decisions: Sequence[pa.Table], later: Sequence[pa.Table]) -> list[pa.Table] | None:
    """Decisions of earlier batches as later ones leave them, or None where they must be made anew.

    A later row that replaces or deletes a document changes that document's decision. If the document was kept and
    others were dropped for it, or stands for copies in its batch, who is kept may change beyond it.

    Args:
        decisions: per batch, as `decide` gave them.
        later: the batches that came since (columns `source, locator, op`), at least one.

    Returns:
        Per batch the decisions as they are now; the very same table where nothing of it is touched.
    """
    gone = pa.concat_tables([batch.select(["source", "locator", "op"]) for batch in later])
    keys = places_of(gone)
    # The last row of a place says what became of it.
    latest = (
        pa.table({"place": keys, "op": gone["op"]}).group_by("place", use_threads=False).aggregate([("op", "last")])
    )
    became = [_became(table, latest) for table in decisions]
    current = [pc.invert(pc.is_in(table["reason"], value_set=pa.array(NOT_CURRENT))) for table in decisions]
    if not any(pc.any(pc.and_(pc.is_valid(why), now)).as_py() for why, now in zip(became, current, strict=True)):
        return [_amended(table, why) for table, why in zip(decisions, became, strict=True)]
    named: set[tuple[str, str, str]] = set()
    for table in decisions:
        dropped = table.filter(pc.is_valid(table["kept_id"]))
        named.update(zip(*(dropped[f"kept_{name}"].to_pylist() for name in NAMES), strict=True))
    for table, why, now in zip(decisions, became, current, strict=True):
        rows = table.filter(pc.and_(pc.is_valid(why), now))
        if named & set(zip(*(rows[name].to_pylist() for name in NAMES), strict=True)):
            return None
        ids = pc.value_counts(table["id"].combine_chunks())
        twice = ids.field("values").filter(pc.greater(ids.field("counts"), 1))
        if pc.any(pc.is_in(rows["id"], value_set=twice)).as_py():
            return None
    return [_amended(table, why) for table, why in zip(decisions, became, strict=True)]


def _became(table: pa.Table, latest: pa.Table) -> pa.ChunkedArray:
    # Why each document is not current from now on, null where the later rows say nothing new of it. A deletion's row stays one.
    op = latest["op_last"].take(pc.index_in(places_of(table), value_set=latest["place"].combine_chunks()))
    why = pc.if_else(pc.equal(op, "delete"), "deleted", "superseded")
    same = pc.fill_null(pc.or_(pc.equal(table["reason"], why), pc.equal(table["reason"], "deletion")), False)
    return pc.if_else(same, pa.scalar(None, pa.string()), why)


def places_of(table: pa.Table) -> pa.ChunkedArray:
    """Source and locator of each row as one string."""
    return pc.binary_join_element_wise(table["source"], table["locator"], "\0")


def _amended(table: pa.Table, why: pa.ChunkedArray) -> pa.Table:
    # The touched rows as `decide` would write rows that are not current.
    mask = pc.is_valid(why).combine_chunks()
    if not pc.any(mask).as_py():
        return table
    blank = {
        name: pa.nulls(len(table), DECISIONS.field(name).type) for name in ("kept_id", "kept_source", "kept_locator")
    }
    blank["jaccard"] = pa.nulls(len(table), pa.float64())
    columns = {name: table[name].combine_chunks() for name in DECISIONS.names}
    for name, nothing in blank.items():
        columns[name] = pc.if_else(mask, nothing, columns[name])
    columns["verdict"] = pc.if_else(mask, "dropped", columns["verdict"])
    columns["reason"] = pc.coalesce(why.combine_chunks(), columns["reason"])
    return pa.table({name: columns[name] for name in DECISIONS.names}).cast(DECISIONS)
