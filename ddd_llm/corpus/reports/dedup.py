"""Pages and summaries of signatures and deduplication."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.reports.common import LONGEST_SAMPLE, SHOWN, head, per_source, put_funnel
from ddd_llm.corpus.tables import counts
from ddd_llm.platform.plots import histogram
from ddd_llm.platform.report import Page, Sample
from ddd_llm.platform.step import Step


def report_signatures(step: Step, table: pa.Table) -> None:
    """Summary of one batch's signatures."""
    empty = pc.sum(pc.equal(table["shingles"], 0)).as_py() or 0  # type: ignore[attr-defined]
    shingles = pc.sum(table["shingles"]).as_py() or 0  # type: ignore[attr-defined]
    step.summary |= {"documents": len(table), "shingles": shingles, "documents_without_words": empty}


def report_deduplicated(step: Step, kept: pa.Table, decisions: pa.Table, pairs: pa.Table) -> None:
    """Summary and page of deduplication, with the largest groups side by side."""
    reasons = counts(decisions["reason"])
    put_funnel(step, "deduplicated_documents", len(decisions), len(kept), reasons)
    near = decisions.filter(pc.equal(decisions["reason"], "near_duplicate"))  # type: ignore[attr-defined]
    step.summary |= {"similar_pairs_kept": len(pairs), "groups": len(counts(near["kept_id"]))}
    page = head(Page("deduplicated_documents", "Near-duplicates, each named with the document kept for it"), step)
    if len(near):
        picture = histogram(
            near["jaccard"].to_pylist(), "Exact similarity of what was dropped", "Jaccard of word 5-grams"
        )
        step.put_picture("similarity", picture)
        page.figure(picture, "Histogram of similarities of dropped documents")
    dropped = decisions.filter(pc.equal(decisions["verdict"], "dropped"))  # type: ignore[attr-defined]
    per_source(page, ["kept", "dropped"], [kept, dropped])
    page.heading("Largest groups")
    page.samples(_groups(kept, near))
    step.put_report(page.html())


def _groups(kept: pa.Table, near: pa.Table) -> list[Sample]:
    found = []
    for leader, size in list(counts(near["kept_id"]).items())[:SHOWN]:
        row = kept.filter(pc.equal(kept["id"], leader)).slice(0, 1).to_pylist()[0]  # type: ignore[attr-defined]
        twins = near.filter(pc.equal(near["kept_id"], leader)).to_pylist()  # type: ignore[attr-defined]
        lines = [f"{t['jaccard']:.3f}  {t['source']}  {t['locator']}" for t in twins[:40]]
        parts = {
            f"kept: {row['source']} {row['locator']}": row["text"][:LONGEST_SAMPLE],
            "dropped for it": "\n".join(lines),
        }
        found.append(Sample(f"{size + 1} alike: {row['title'] or row['locator']}", parts))
    return found
