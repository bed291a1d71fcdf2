"""Page and summary of the corpus profile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.platform.plots import heatmap, histogram
from ddd_llm.platform.report import KeyFigure, Page
from ddd_llm.platform.step import Step

SOURCES_DRAWN = 40
KINDS = {"languages": "language", "licences": "licence", "media_types": "media type", "years": "year"}


def report_profile(step: Step, found: dict[str, Any], documents: pa.Table) -> None:
    """Summary and page of `profile`'s result."""
    step.summary |= {name: found[name] for name in ("documents", "words", "languages", "licences")}
    page = Page("corpus_profile", "Counted from the rows of curated_documents")
    page.key_figures([KeyFigure(name, f"{found[name]:,}") for name in ("documents", "words", "characters")])
    if len(documents):
        _lengths(step, page, found, documents)
    _sources(page, found["sources"])
    for kind, name in KINDS.items():
        page.heading(kind.replace("_", " ").capitalize())
        page.table([name, "documents", "share"], _shares(found[kind], found["documents"]))
        if len(found["sources"]) > 1:
            page.table(
                ["source", f"commonest {name}", "share", f"different {kind.replace('_', ' ')}"],
                [[source, *_commonest(part[kind], part["documents"])] for source, part in found["sources"].items()],
            )
    page.heading("For comparing corpora")
    page.paragraph(
        f"profile.json holds, for the whole and for each source, {len(found['token_buckets']):,} hashed buckets of token counts "
        "and lengths over fixed edges, so that a later corpus can be compared source by source."
    )
    step.put_report(page.html())


def _lengths(step: Step, page: Page, found: dict[str, Any], documents: pa.Table) -> None:
    lengths = pc.utf8_length(documents["text"].drop_null())  # type: ignore[attr-defined]
    if len(lengths):
        # log10(1 + n), so that an empty text has a place.
        logs = pc.log10(pc.add(lengths, 1)).to_pylist()  # type: ignore[attr-defined]
        picture = histogram(logs, "Length of the documents", "log10 of characters")
        step.put_picture("lengths", picture)
        page.figure(picture, "Histogram of document lengths")
    largest = sorted(found["sources"], key=lambda name: (-found["sources"][name]["documents"], name))[:SOURCES_DRAWN]
    edges = found["edges"]["words"]
    cells = [found["sources"][name]["length_in_words"] for name in largest]
    used = [i for i in range(len(edges)) if any(row[i] for row in cells)]
    shares = [[row[i] / sum(row) for i in used] for row in cells]
    picture = heatmap(largest, [f"{edges[i]:,}+" for i in used], shares, "Share of each source's documents, by words")
    step.put_picture("lengths_by_source", picture)
    caption = (
        f"the {len(largest)} largest of {len(found['sources'])} sources" if len(largest) < len(found["sources"]) else ""
    )
    page.figure(picture, "Heatmap of document lengths by source", caption)


def _sources(page: Page, sources: dict[str, Any]) -> None:
    page.heading("Sources")
    names = ("p5", "p50", "p95")
    page.table(
        ["source", "documents", "words", "characters", *(f"words, {name}" for name in names)],
        [
            [
                source,
                *(f"{part[what]:,}" for what in ("documents", "words", "characters")),
                *(f"{part['words_per_document'][name]:,}" for name in names),
            ]
            for source, part in sources.items()
        ],
    )


def _shares(found: dict[str, int], total: int) -> Sequence[Sequence[str]]:
    return [[name, f"{count:,}", f"{count / total:.1%}"] for name, count in found.items()]


def _commonest(found: dict[str, int], total: int) -> list[str]:
    name, count = min(found.items(), key=lambda item: (-item[1], item[0]))
    return [name, f"{count / total:.1%}", f"{len(found):,}"]
