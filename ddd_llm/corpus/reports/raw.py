"""Page and summary of one ingest: what came in and why not, per source, per format and per reason, and how long it took."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.reports.common import head, per_source, put_funnel, quarantine_section
from ddd_llm.corpus.tables import counts, present
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
    held_back = quarantine.filter(pc.invert(batch.notices))  # type: ignore[attr-defined]
    per_source(page, ["documents", "quarantined"], [documents, held_back])
    _per_format(page, documents)
    _per_reason(page, quarantine, batch.notices.to_pylist())
    _timings(page, step)
    quarantine_section(page, quarantine)
    step.put_report(page.html())


def _per_format(page: Page, documents: pa.Table) -> None:
    """Documents and megabytes per media type, of what was added or updated, and how many say a date or a quality."""
    page.heading("By format")
    came = present(documents)
    found = came.select(["media_type", "bytes", "date", "quality"]).group_by("media_type").aggregate(
        [("bytes", "count"), ("bytes", "sum"), ("date", "count"), ("quality", "count")]
    )  # fmt: skip
    rows = sorted(found.to_pylist(), key=lambda row: (-row["bytes_count"], row["media_type"] or ""))
    page.table(
        ["format", "documents", "MB of text", "with a date", "with a quality score"],
        [
            [
                row["media_type"], row["bytes_count"], round(row["bytes_sum"] / 1e6, 3), row["date_count"],
                row["quality_count"],
            ]
            for row in rows
        ],
        caption="added or updated; a record of JSONL, CSV, Parquet or Arrow counts as plain text",
    )  # fmt: skip


def _per_reason(page: Page, quarantine: pa.Table, notices: list[bool]) -> None:
    """How often each reason occurs, and whether it held something back or only says something."""
    if not len(quarantine):
        return
    page.heading("By reason")
    said = Counter(zip(quarantine["reason"].to_pylist(), notices, strict=True))
    rows = sorted(said.items(), key=lambda item: (item[0][1], -item[1], item[0][0]))
    page.table(
        ["reason", "places", "kind"],
        [[reason, count, "notice; kept" if notice else "held back"] for (reason, notice), count in rows],
    )


def _timings(page: Page, step: Step) -> None:
    """The steps that are over, without their seconds: the page's bytes depend on the documents alone."""
    page.heading("Timings")
    page.paragraph(
        f"Parts of this step: {', '.join(step.timings) or 'none'}. The seconds each took are in the record and in the "
        "metadata of the run (a page says the same whenever it is made again)."
    )


def quarantine_verdict(summary: dict[str, Any]) -> tuple[bool, str, dict[str, object]]:
    """Whether so little of a batch is broken that nobody needs to look."""
    seen, broken = summary["documents_in"], summary["dropped"]
    share = broken / seen if seen else 0.0
    sentence = (
        f"{broken:,} of {seen:,} records are in quarantine ({share:.2%}; above {MOST_BROKEN:.0%} somebody should look)"
    )
    return share <= MOST_BROKEN, sentence, {"share": round(share, 6), "quarantined": broken}
