"""Deduplication of a batch against what is kept already: every document kept, or dropped for one it verifiably resembles.

Here: copies, keep order, and decisions as tables. Not here: candidates, similarities and the walk (`candidates`, `sets`,
`election`), several batches (`history`).

A document is dropped if it is a copy of one that comes before it, or by the greedy leader of `election`. Chains of similar
documents therefore never drop a document that resembles none of the kept ones, as connected components do.
"""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.dedup.candidates import group
from ddd_llm.corpus.dedup.election import elect
from ddd_llm.corpus.dedup.order import keep_order
from ddd_llm.corpus.dedup.policy import DECISIONS, DedupPolicy
from ddd_llm.corpus.dedup.sets import Chosen, JoinedSets, SetSource

NAMES = ("id", "source", "locator")


@dataclass(frozen=True)
class Batch:
    """One batch to decide: a row per document.

    `rows`: columns `id, source, locator, batch`, `shingles` (int32, 0 for a document that resembles nothing) and those of
    `order.NEEDED` that the policy looks at. `bands`: gives the LSH keys, uint64, shape (rows, bands); `decide`
    asks once and lets them go before it compares sets. `sets`: shingle sets by row.
    `why`: why a row is not current (`state.fold`), null where it is.
    """

    rows: pa.Table
    bands: Callable[[], npt.NDArray[np.uint64]]
    sets: SetSource
    why: pa.Array


@dataclass(frozen=True)
class Kept:
    """The kept documents of earlier batches, in parts: names (`NAMES`), LSH keys and shingle sets by row of the part."""

    names: list[pa.Table] = field(default_factory=list)
    bands: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    sets: list[SetSource] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(map(len, self.names))


def decide(batch: Batch, history: Kept, policy: DedupPolicy, batches: Sequence[str]) -> pa.Table:
    """A decision on every row of a batch, in the order of its rows (`policy.DECISIONS`).

    Rows of equal `id` are one document: the first in keep order stands for it, and a kept document of history before all.
    A dropped row names the kept document that it resembles most and their exact similarity, at least
    `policy.threshold`; this holds for copies of a dropped document too. A document without tokens resembles nothing.

    Raises:
        ValueError: a row's batch is not in `batches`.
    """
    current = np.flatnonzero(pc.is_null(batch.why).to_numpy(zero_copy_only=False))
    rows = batch.rows if len(current) == len(batch.rows) else batch.rows.take(pa.array(current))
    order = keep_order(rows, policy, batches)
    numbers = current[order]  # place in keep order -> row of the batch
    before = len(history)
    ids = rows["id"].take(pa.array(order))
    first = first_of_id(ids)
    places = np.arange(len(numbers))
    known = _known(ids, history.names)[first]
    shingles = batch.rows["shingles"].to_numpy()[numbers]
    walking = np.flatnonzero((first == places) & (known < 0) & (shingles > 0))
    shared = policy.signature.shared_bands
    pa.default_memory_pool().release_unused()  # of ordering and of looking for copies, before the largest step
    groups = group(history.bands, batch.bands(), numbers[walking], walking + before, shared)
    earlier = int(np.searchsorted(groups.members, before))
    sets = JoinedSets(
        [*history.sets, Chosen(batch.sets, numbers)], [*(len(names) for names in history.names), len(numbers)]
    )
    election = elect(groups, earlier, sets, policy.threshold, shared)

    # Leaders as numbers: those of history first, then places in keep order. -1: kept.
    near = np.full(len(places), -1, np.int64)
    similarity = np.ones(len(places))
    walked = groups.members[earlier:] - before
    led = election.leader[earlier:]
    near[walked] = np.where(led >= 0, np.append(groups.members, -1)[led], -1)
    similarity[walked] = election.similarity[earlier:]
    is_near = near[first] >= 0
    leader = np.where(known >= 0, known, np.where(is_near, near[first], np.where(first == places, -1, first + before)))
    jaccard = np.where(is_near & (known < 0), similarity[first], 1.0)

    names = pa.concat_tables([*history.names, rows.select(NAMES).take(pa.array(order))])
    return _decisions(batch, numbers, leader, is_near & (known < 0), jaccard, names)


def first_of_id(ids: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """For each place the first place of the same id."""
    codes = pc.dictionary_encode(ids.combine_chunks()).indices.to_numpy(zero_copy_only=False)
    first = np.empty(len(codes), np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]  # of equal codes the last one written stays: the first place
    return first[codes]


def _known(ids: pa.ChunkedArray, history: Sequence[pa.Table]) -> npt.NDArray[np.int64]:
    # For each place the number of history's kept document of the same id, or -1.
    found = np.full(len(ids), -1, np.int64)
    begin = 0
    for names in history:
        place = pc.index_in(names["id"], value_set=ids)
        hits = np.flatnonzero(pc.is_valid(place).to_numpy(zero_copy_only=False))
        found[place.take(pa.array(hits)).to_numpy(zero_copy_only=False)] = hits + begin
        begin += len(names)
    return found


def _decisions(
    batch: Batch,
    numbers: npt.NDArray[np.int64],
    leader: npt.NDArray[np.int64],
    near: npt.NDArray[np.bool_],
    jaccard: npt.NDArray[np.float64],
    names: pa.Table,
) -> pa.Table:
    # From keep order back to the order of the rows.
    count = len(batch.rows)
    place = np.full(count, -1, np.int64)
    place[numbers] = np.arange(len(numbers))
    lead = np.append(leader, -1)[place]
    dropped = lead >= 0
    kept = names.take(pa.array(lead, mask=~dropped))
    reason = pa.array(np.where(np.append(near, False)[place], "near_duplicate", "exact_duplicate"), mask=~dropped)
    columns = {name: batch.rows[name] for name in (*NAMES, "batch")}
    columns["reason"] = pc.coalesce(batch.why, reason.cast(pa.string()))
    columns["verdict"] = pc.if_else(pc.is_null(columns["reason"]), "kept", "dropped")
    columns["kept_id"], columns["kept_source"], columns["kept_locator"] = (kept[name] for name in NAMES)
    columns["jaccard"] = pa.array(np.append(jaccard, np.nan)[place], mask=~dropped)
    return pa.table({name: columns[name] for name in DECISIONS.names}).cast(DECISIONS)
