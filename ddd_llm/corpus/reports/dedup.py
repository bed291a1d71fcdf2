"""Page and summary of deduplication."""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.dedup.policy import DedupPolicy
from ddd_llm.corpus.dedup.similar import similar_pairs
from ddd_llm.corpus.deduplication import Decided
from ddd_llm.corpus.reports.common import LONGEST_SAMPLE, SHOWN, head, put_funnel
from ddd_llm.corpus.tables import counts
from ddd_llm.platform.plots import histogram
from ddd_llm.platform.report import Page
from ddd_llm.platform.step import Step
from ddd_llm.store.errors import Corrupt


def report_deduplicated(step: Step, decided: Sequence[Decided]) -> None:
    """Summary and page of deduplication, with the largest groups side by side."""
    decisions = pa.concat_tables([one.decisions for one in decided])
    kept = decisions.filter(pc.equal(decisions["verdict"], "kept"))
    put_funnel(step, "deduplicated_documents", len(decisions), len(kept), counts(decisions["reason"]))
    near = decisions.filter(pc.equal(decisions["reason"], "near_duplicate"))
    groups = _groups(decided)
    step.summary |= {"groups": groups.total}
    subtitle = "Each removed document is named with the one kept for it and their exact similarity"
    page = head(Page("deduplicated_documents", subtitle), step)
    policy = DedupPolicy.model_validate(step.config)
    page.paragraph(
        f"Similarity is the Jaccard index of the sets of word {policy.signature.ngram}-grams; at {policy.threshold} or more "
        f"a document is removed. Kept first: {', '.join(policy.order)}."
    )
    if len(near):
        picture = histogram(
            near["jaccard"].to_pylist(), "Exact similarity of what was removed", "Jaccard of word 5-grams"
        )
        step.put_picture("similarity", picture)
        page.figure(picture, "Histogram of similarities of removed documents")
    _per_source(page, decisions)
    page.heading("Per batch")
    page.table(
        ["batch", "rows", "kept", "exact copies", "near-duplicates", "no longer current"], [_row(o) for o in decided]
    )
    if groups.largest:
        page.heading("Largest groups")
        page.paragraph(
            "The kept document and the least similar one removed for it; words that only one has are marked."
        )
        for group in groups.largest:
            left, right = _texts(step, decided, group)
            page.side_by_side(
                f"{group.size + 1:,} alike; the least similar {group.jaccard:.3f}",
                (f"kept: {group.kept.named(decided)}", left[:LONGEST_SAMPLE]),
                (f"removed: {group.removed.named(decided)}", right[:LONGEST_SAMPLE]),
            )
    step.put_report(page.html())


@dataclass(frozen=True)
class _Place:
    """Row `row` of batch number `batch`."""

    batch: int
    row: int

    def named(self, decided: Sequence[Decided]) -> str:
        row = decided[self.batch].decisions.slice(self.row, 1).to_pylist()[0]
        return f"{row['source']} {row['locator']} ({row['batch']})"


@dataclass(frozen=True)
class _Group:
    """A kept document, how many were removed for it, and the least similar of them."""

    size: int
    kept: _Place
    removed: _Place
    jaccard: float


@dataclass(frozen=True)
class _Groups:
    total: int
    largest: list[_Group]


def _key(table: pa.Table, prefix: str = "") -> pa.ChunkedArray:
    return pc.binary_join_element_wise(table[f"{prefix}source"], table[f"{prefix}locator"], "\0")


def _groups(decided: Sequence[Decided]) -> _Groups:
    removed = pa.concat_tables(
        [
            pa.table({"leader": _key(rows, "kept_"), "jaccard": rows["jaccard"]})
            .append_column("row", pa.array(range(len(rows)), pa.int64()))
            .append_column("batch", pa.repeat(pa.scalar(number, pa.int64()), len(rows)))
            .filter(pc.is_valid(rows["kept_id"]))
            for number, rows in enumerate(one.decisions for one in decided)
        ]
    )
    sizes = counts(removed["leader"])
    shown = list(sizes)[:SHOWN]
    places: dict[str, _Place] = {}
    for number, one in enumerate(decided):
        found = pc.index_in(_key(one.decisions), value_set=pa.array(shown, pa.string()))
        found = pc.if_else(pc.equal(one.decisions["verdict"], "kept"), found, None)
        for row in np.flatnonzero(pc.is_valid(found).to_numpy(zero_copy_only=False)).tolist():
            places[shown[found[row].as_py()]] = _Place(number, row)
    largest = []
    for leader in shown:
        twins = removed.filter(pc.equal(removed["leader"], leader)).sort_by(
            [("jaccard", "ascending"), ("batch", "ascending"), ("row", "ascending")]
        )
        twin = twins.slice(0, 1).to_pylist()[0]
        largest.append(_Group(sizes[leader], places[leader], _Place(twin["batch"], twin["row"]), twin["jaccard"]))
    return _Groups(len(sizes), largest)


def _texts(step: Step, decided: Sequence[Decided], group: _Group) -> list[str]:
    """The two texts of a group, told right by their similarity being the one decided on."""
    governed = step.inputs("governed_documents")
    texts = []
    for place in (group.kept, group.removed):
        (segment,) = governed[place.batch].record.tables["documents"].segments
        texts.append(step.store.peek_rows(segment, [place.row], ["text"])["text"][0].as_py())
    policy = DedupPolicy.model_validate(step.config)
    pairs = similar_pairs(pa.array(texts), policy.threshold, policy.signature.ngram, threads=1)
    if texts[0] != texts[1] and pairs["jaccard"].to_pylist() != [group.jaccard]:
        raise Corrupt(f"{group.removed.named(decided)}: its stored text is not the one that was compared")
    return texts


def _per_source(page: Page, decisions: pa.Table) -> None:
    kept, dropped = (counts(decisions.filter(pc.equal(decisions["verdict"], v))["source"]) for v in ("kept", "dropped"))
    page.heading("By source")
    rows = [
        [name, f"{kept.get(name, 0):,}", f"{dropped.get(name, 0):,}"] for name in sorted(kept.keys() | dropped.keys())
    ]
    page.table(["source", "kept", "dropped"], rows)


def _row(one: Decided) -> list[str]:
    found = counts(one.decisions["reason"])
    copies, alike = found.pop("exact_duplicate", 0), found.pop("near_duplicate", 0)
    gone = sum(found.values())
    kept = len(one.decisions) - copies - alike - gone
    return [one.batch, *(f"{number:,}" for number in (len(one.decisions), kept, copies, alike, gone))]
