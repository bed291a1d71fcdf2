"""Page and summary of the corpus profile."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.platform.plots import histogram
from ddd_llm.platform.report import KeyFigure, Page
from ddd_llm.platform.step import Step


def report_profile(step: Step, found: dict[str, Any], documents: pa.Table) -> None:
    """Summary and page of the corpus profile."""
    step.summary |= {name: found[name] for name in ("documents", "words", "languages", "licences")}
    page = Page("corpus_profile", "Counted from the rows of curated_documents")
    page.key_figures([KeyFigure(name, f"{found[name]:,}") for name in ("documents", "words", "characters")])
    if len(documents):
        picture = histogram(
            pc.log10(pc.utf8_length(documents["text"])).to_pylist(),  # type: ignore[attr-defined]
            "Length of the documents",
            "log10 of characters",
        )
        step.put_picture("lengths", picture)
        page.figure(picture, "Histogram of document lengths")
    page.heading("Sources")
    rows = [[name, f"{part['documents']:,}", f"{part['words']:,}"] for name, part in found["sources"].items()]
    page.table(["source", "documents", "words"], rows)
    for title in ("languages", "licences", "media_types"):
        page.heading(title.replace("_", " ").capitalize())
        page.table([title[:-1].replace("_", " "), "documents"], [[k, f"{v:,}"] for k, v in found[title].items()])
    step.put_report(page.html())
