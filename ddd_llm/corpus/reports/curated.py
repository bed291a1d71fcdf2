"""Page and summary of curation."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.reports.common import LONGEST_SAMPLE, head, per_source, put_funnel
from ddd_llm.corpus.tables import counts
from ddd_llm.platform.report import Page, Sample
from ddd_llm.platform.step import Step


def report_curated(step: Step, kept: pa.Table, decisions: pa.Table, documents: pa.Table) -> None:
    """Summary and page of curation, with a few dropped documents per rule."""
    put_funnel(step, "curated_documents", len(decisions), len(kept), counts(decisions["reason"]))
    page = head(Page("curated_documents", "Quality rules of assets/policies/curation.yaml"), step)
    dropped = decisions.filter(pc.equal(decisions["verdict"], "dropped"))  # type: ignore[attr-defined]
    per_source(page, ["kept", "dropped"], [kept, dropped])
    page.heading("Dropped, by rule")
    for reason, count in counts(dropped["reason"]).items():
        ids = dropped.filter(pc.equal(dropped["reason"], reason))["id"].slice(0, 3)  # type: ignore[attr-defined]
        rows = documents.filter(pc.is_in(documents["id"], value_set=ids.combine_chunks())).to_pylist()  # type: ignore[attr-defined]
        page.paragraph(f"{reason}: {count:,}")
        page.samples([Sample(f"{r['source']} {r['locator']}", {"text": r["text"][:LONGEST_SAMPLE]}) for r in rows])
    step.put_report(page.html())
