"""What the report pages of the corpus stage share: the funnel, figures per source, the quarantine. Not here: any one page."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from ddd_llm.corpus.tables import counts
from ddd_llm.platform.plots import funnel
from ddd_llm.platform.report import KeyFigure, Page
from ddd_llm.platform.step import Step

SHOWN = 12
LONGEST_SAMPLE = 1500


def put_funnel(step: Step, label: str, seen: int, kept: int, reasons: dict[str, int]) -> None:
    """The conservation law as summary and picture: in = kept + dropped.

    Raises:
        ValueError: a document is unaccounted for.
    """
    dropped = sum(reasons.values())
    if seen != kept + dropped:
        raise ValueError(f"{label}: {seen} in, {kept} kept, {dropped} dropped: {seen - kept - dropped} unaccounted for")
    step.summary |= {"documents_in": seen, "kept": kept, "dropped": dropped, "dropped_by_reason": reasons}
    step.put_picture("funnel", funnel([(label, kept, reasons)], title=f"{label}: in = kept + dropped"))


def head(page: Page, step: Step) -> Page:
    """The page's key figures and funnel, from the step's summary."""
    said = step.summary
    share = f"{said['kept'] / said['documents_in']:.1%} of what came in" if said["documents_in"] else ""
    return page.key_figures(
        [
            KeyFigure("in", f"{said['documents_in']:,}"),
            KeyFigure("kept", f"{said['kept']:,}", share),
            KeyFigure("dropped", f"{said['dropped']:,}", f"{len(said['dropped_by_reason'])} reasons"),
        ]
    ).figure(step.pictures["funnel"], "Documents kept and dropped, by reason")


def per_source(page: Page, names: Sequence[str], tables: Sequence[pa.Table]) -> None:
    """A table of row counts per source, one column per given table."""
    found = [counts(table["source"]) for table in tables]
    sources = sorted({source for part in found for source in part})
    page.heading("By source")
    page.table(["source", *names], [[s, *(f"{part.get(s, 0):,}" for part in found)] for s in sources])


def quarantine_section(page: Page, quarantine: pa.Table) -> None:
    """What was held back, with reason and place, at most 200 rows."""
    page.heading("Quarantine")
    if not len(quarantine):
        page.paragraph("Nothing was held back.")
        return
    rows = quarantine.slice(0, 200).to_pylist()
    page.table(
        ["source", "locator", "reason", "what is wrong", "byte"],
        [
            [r["source"], r["locator"], r["reason"], r["detail"], "" if r["offset"] is None else r["offset"]]
            for r in rows
        ],
        caption="" if len(rows) == len(quarantine) else f"the first {len(rows)} of {len(quarantine):,}",
    )
