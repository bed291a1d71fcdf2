"""The part of the curation page on fairness: keep rates per slice, as a table and as intervals."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ddd_llm.corpus.fairness import TOO_FEW, FairnessPolicy, disparity_verdict
from ddd_llm.platform.plots import Interval, interval_plot
from ddd_llm.platform.report import Page
from ddd_llm.platform.step import Step

PLOTTED = 40


def fairness_section(step: Step, page: Page, rates: pa.Table, policy: FairnessPolicy) -> None:
    """Add the verdict, the plot and the table of `fairness.slice_rates` to the page; the plot also to the step."""
    passed, sentence, metadata = disparity_verdict(rates, policy.model_dump(mode="json"))
    step.summary |= {"slices_kept_less": metadata["slices_kept_less"]}
    page.heading("Fairness of curation")
    page.callout(sentence, passed=passed)
    page.paragraph(
        "Spelling, markers and readability are proxies of how people write, not of who they are. In a dimension, documents "
        "are left out that it says nothing of, and those dropped for a reason that is the policy of that dimension itself. "
        f"Intervals hold at {policy.confidence:.0%} for all slices together. A slice that is too small to tell is not "
        "shown to be treated alike."
    )
    rows = sorted(rates.to_pylist(), key=lambda row: (row["verdict"] == TOO_FEW, row["verdict"] != "kept less"))
    large = [row for row in rows if row["documents"] >= policy.least_documents]
    plotted = [row for row in large if row["to_rest_low"] is not None][:PLOTTED]
    if plotted:
        picture = interval_plot(
            [_interval(row) for row in plotted],
            "Keep rate of a slice minus that of the rest",
            "difference of keep rates; the interval says what the documents can tell",
        )
        step.put_picture("fairness", picture)
        caption = (
            "" if len(plotted) == len(rates) else f"{len(plotted)} of {len(rates)} slices; the others are in the table"
        )
        page.figure(picture, "Differences of keep rates with intervals, by slice", caption)
    page.table(
        [
            "dimension",
            "slice",
            "documents",
            "kept",
            "interval",
            "to overall",
            "ratio",
            "to the rest",
            "most often for",
            "",
        ],
        [
            [
                row["dimension"],
                row["slice"],
                f"{row['documents']:,}",
                f"{row['rate']:.1%}",
                f"{row['rate_low']:.1%} to {row['rate_high']:.1%}",
                f"{100 * row['difference']:+.1f}",
                "—" if row["ratio"] is None else f"{row['ratio']:.2f}",
                "—" if row["to_rest"] is None else f"{100 * row['to_rest']:+.1f}",
                row["commonest_reason"],
                row["verdict"],
            ]
            for row in rows
        ],
        caption="differences in points of the keep rate",
    )


def _interval(row: dict[str, Any]) -> Interval:
    return Interval(
        f"{row['dimension']}: {row['slice']}",
        row["to_rest"],
        row["to_rest_low"],
        row["to_rest_high"],
        f"n={row['documents']:,}",
        row["verdict"],
    )
