"""Summary and page of examples that a model wrote.

Belongs here: what the page says. Does not: writing and checking (`synthetic`), nor the look of a page (`platform.report`).
"""

from __future__ import annotations

from ddd_llm.corpus.tables import counts
from ddd_llm.instructions.report import SHOWN, example_sample
from ddd_llm.instructions.synthetic import Synthetic
from ddd_llm.instructions.writers import SyntheticConfig
from ddd_llm.platform.plots import funnel
from ddd_llm.platform.report import KeyFigure, Page, Sample
from ddd_llm.platform.step import Step

_MOST = 8 * SHOWN


def report_synthetic(step: Step, made: Synthetic, config: SyntheticConfig, writer: str | None) -> None:
    """Put figures and page into the record."""
    reasons = counts(made.decisions["reason"])
    figures = {
        "writer": writer,
        "documents": len(made.decisions),
        "written": made.written,
        "kept": len(made.table),
        "tokens": made.tokens,
        "budget_tokens": config.most_tokens,
    }
    step.put_json("synthetic.json", figures)
    step.summary |= {**figures, "dropped_by_reason": reasons}
    each = made.tokens / len(made.table) if len(made.table) else None
    cost = None if config.price_per_million is None else made.tokens * config.price_per_million / 1e6
    step.summary |= {"tokens_per_example": None if each is None else round(each, 1), "cost": cost}
    page = Page("synthetic_candidates", f"Written by {writer}" if writer else "No model writes examples")
    page.key_figures(
        [
            KeyFigure("examples", f"{len(made.table):,}", f"from {len(made.decisions):,} documents"),
            KeyFigure("tokens", f"{made.tokens:,}", f"of {config.most_tokens:,} at most"),
            KeyFigure("tokens per example", "–" if each is None else f"{each:,.0f}"),
            *([] if cost is None else [KeyFigure("cost", f"{cost:.4f}", f"at {config.price_per_million} a million")]),
        ]
    )
    if writer:
        picture = funnel([("written and kept", len(made.table), reasons)], title="What came of each document")
        step.put_picture("funnel", picture)
        page.figure(picture, "Documents whose example was kept, and why others were not")
    page.paragraph(
        "Nobody checked what is right: an answer is kept if it has the form asked for and its words stand in the passage. "
        "Examples written from documents of the validation and test splits are not trained on, and none is ever a test question."
    )
    page.heading("Kept")
    page.samples([example_sample(row) for row in made.table.slice(0, _MOST).to_pylist()])
    page.heading("Not kept")
    page.samples(
        [Sample(f"{reason}: {' '.join(text.split())[:90]}", {"written": text}) for reason, text in made.refused[:_MOST]]
    )
    step.put_report(page.html())
