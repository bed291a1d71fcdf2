"""Page and summary of one ingest."""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc

from ddd_llm.corpus.reports.common import head, per_source, put_funnel, quarantine_section
from ddd_llm.corpus.tables import counts
from ddd_llm.platform.report import Page
from ddd_llm.platform.step import Step

MOST_BROKEN = 0.1


def report_raw(step: Step, batch: Any) -> None:
    """Summary and page of one ingest."""
    documents, quarantine = batch.documents, batch.quarantine
    refused = counts(quarantine.filter(pc.invert(batch.notices))["reason"])  # type: ignore[attr-defined]
    put_funnel(step, "raw_documents", len(documents) + sum(refused.values()), len(documents), refused)
    step.summary |= {f"documents_{op}": count for op, count in counts(documents["op"]).items()}
    step.summary |= {"megabytes": round((pc.sum(documents["bytes"]).as_py() or 0) / 1e6, 1)}  # type: ignore[attr-defined]
    page = head(Page("raw_documents", f"Ingest {step.partition}: changes against all batches before"), step)
    per_source(page, ["documents", "quarantined"], [documents, quarantine])
    quarantine_section(page, quarantine)
    step.put_report(page.html())


def quarantine_verdict(summary: dict[str, Any]) -> tuple[bool, str, dict[str, object]]:
    """Whether so little of a batch is broken that nobody needs to look."""
    seen, broken = summary["documents_in"], summary["dropped"]
    share = broken / seen if seen else 0.0
    sentence = (
        f"{broken:,} of {seen:,} records are in quarantine ({share:.2%}; above {MOST_BROKEN:.0%} somebody should look)"
    )
    return share <= MOST_BROKEN, sentence, {"share": round(share, 6), "quarantined": broken}
