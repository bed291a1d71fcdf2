"""Page and summary of one batch's governance."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.reports.common import head, per_source, put_funnel, quarantine_section
from ddd_llm.corpus.tables import counts
from ddd_llm.platform.report import Page
from ddd_llm.platform.step import Step


def report_governed(step: Step, raw: pa.Table, kept: pa.Table, quarantine: pa.Table) -> None:
    """Summary and page of one batch's governance."""
    reasons = counts(quarantine["reason"])
    put_funnel(step, "governed_documents", len(raw), len(kept), reasons)
    replaced = pc.sum(kept["identifiers"]).as_py() or 0  # type: ignore[attr-defined]
    step.summary |= {
        "identifiers_replaced": replaced,
        "sources_held_back": sorted(set(quarantine["source"].to_pylist())),
    }
    page = head(Page("governed_documents", f"Batch {step.partition}: right to use, and pseudonyms"), step)
    page.paragraph(f"{replaced:,} direct identifiers were replaced by keyed pseudonyms.")
    per_source(page, ["kept", "held back"], [kept, quarantine])
    quarantine_section(page, quarantine)
    step.put_report(page.html())
