"""Sections on the optional passes, for the page of curation. Not here: the passes, the rest of the page."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.passes.run import PassResult
from ddd_llm.corpus.reports.common import LONGEST_SAMPLE, SHOWN
from ddd_llm.platform.report import KeyFigure, Page, Sample


def pass_summary(result: PassResult) -> dict[str, int]:
    """What the passes did, in numbers, for a step's summary; no text of documents."""
    return {f"{name}_rows": len(table) for name, table in result.tables.items()}


def pass_sections(page: Page, result: PassResult, documents: pa.Table) -> None:
    """One section per pass that ran: figures and samples.

    Args:
        page: gets the sections.
        result: of `apply_passes`.
        documents: what the passes were given.
    """
    writers = {
        "boilerplate": _boilerplate,
        "contamination": _contamination,
        "semantic": _semantic,
        "tags": _tags,
        "poisoning": _poisoning,
    }
    for name, write in writers.items():
        if name in result.summary:
            write(page, result, documents)
    missing = [name for name in writers if name not in result.summary]
    if missing:
        page.paragraph(f"Passes not run: {', '.join(missing)} (assets/policies/passes.yaml).")


def _figures(page: Page, summary: dict[str, Any], *names: str) -> None:
    page.key_figures([KeyFigure(name.replace("_", " "), f"{summary[name]:,}") for name in names])


def _rows(documents: pa.Table, ids: list[str]) -> list[dict[str, Any]]:
    """The first document of each id, in order of the ids."""
    found: dict[str, dict[str, Any]] = {}
    wanted = documents.filter(pc.is_in(documents["id"], value_set=pa.array(ids, pa.string())))  # type: ignore[attr-defined]
    for row in wanted.select(["id", "source", "locator", "text"]).to_pylist():
        found.setdefault(row["id"], row)
    return [found[one] for one in ids]


def _sample(row: dict[str, Any], summary: str) -> Sample:
    return Sample(f"{summary}: {row['source']} {row['locator']}", {"text": row["text"][:LONGEST_SAMPLE]})


def _boilerplate(page: Page, result: PassResult, documents: pa.Table) -> None:
    summary = result.summary["boilerplate"]
    page.heading("Boilerplate paragraphs")
    _figures(page, summary, "shared_paragraphs", "paragraphs_removed", "documents_changed", "documents_dropped")
    page.samples(
        [Sample(f"a shared paragraph, {len(text)} characters shown", {"text": text}) for text in summary["samples"]]
    )
    still = pc.is_in(result.cleaning["id"], value_set=result.documents["id"])  # type: ignore[attr-defined]
    shown = result.cleaning.filter(still).slice(0, SHOWN).to_pylist()
    after = _rows(result.documents, [row["id"] for row in shown])
    for row, before, now in zip(shown, _rows(documents, [row["id"] for row in shown]), after, strict=True):
        parts = {"before": before["text"][:LONGEST_SAMPLE], "after": now["text"][:LONGEST_SAMPLE]}
        title = f"{row['paragraphs']} paragraphs gone: {before['source']} {before['locator']}"
        page.samples([Sample(title, parts)])


def _contamination(page: Page, result: PassResult, documents: pa.Table) -> None:
    page.heading("Evaluation items in documents")
    _figures(page, result.summary["contamination"], "items", "items_found", "documents_found", "documents_dropped")
    page.paragraph(
        f"Items too short to look for: {result.summary['contamination']['items_too_short']:,}. A document is named with every "
        "item found in it, and the share of the item."
    )
    rows = result.contamination.slice(0, 200).to_pylist()
    if rows:
        names = _rows(documents, [row["id"] for row in rows])
        page.table(
            ["set", "item", "share", "source", "locator"],
            [[r["set"], r["item"], r["share"], n["source"], n["locator"]] for r, n in zip(rows, names, strict=True)],
            caption="" if len(rows) == len(result.contamination) else f"the first {len(rows)}",
        )


def _semantic(page: Page, result: PassResult, documents: pa.Table) -> None:
    page.heading("Duplicates by meaning")
    _figures(page, result.summary["semantic"], "documents_dropped", "too_short", "too_long")
    rows = result.semantic.sort_by([("cosine", "ascending")]).slice(0, SHOWN).to_pylist()
    dropped = _rows(documents, [row["id"] for row in rows])
    kept = _rows(documents, [row["kept_id"] for row in rows])
    for row, one, other in zip(rows, dropped, kept, strict=True):
        parts = {"dropped": one["text"][:LONGEST_SAMPLE], "kept": other["text"][:LONGEST_SAMPLE]}
        page.samples([Sample(f"{row['cosine']:.4f}  {one['source']} {one['locator']}", parts)])


def _tags(page: Page, result: PassResult, documents: pa.Table) -> None:
    summary = result.summary["tags"]
    page.heading("Toxicity and profanity")
    _figures(page, summary, "documents", "toxicity_rows", "profanity_rows")
    page.table(["toxicity from", "documents"], [[low, n] for low, n in summary["toxicity_histogram"].items()])
    for tag in ("toxicity", "profanity"):
        rows = result.tags.filter(pc.equal(result.tags["tag"], tag))  # type: ignore[attr-defined]
        rows = rows.sort_by([("score", "descending"), ("id", "ascending")]).slice(0, 6).to_pylist()
        found = _rows(documents, [row["id"] for row in rows])
        page.samples([_sample(d, f"{tag} {r['score']:.3f}") for r, d in zip(rows, found, strict=True)])


def _poisoning(page: Page, result: PassResult, documents: pa.Table) -> None:
    page.heading("Possible triggers")
    _figures(page, result.summary["poisoning"], "candidates", "triggers")
    if "note" in result.summary["poisoning"]:
        page.paragraph(f"Not looked for: {result.summary['poisoning']['note']}.")
        return
    if not len(result.triggers):
        page.paragraph("No rare token repeats over unlike documents as a trigger would.")
        return
    rows = result.triggers.slice(0, 50).to_pylist()
    page.table(
        ["token", "documents", "evidence", "gibberish", "places", "examples"],
        [
            [r["trigger"][:80], r["documents"], r["evidence"], r["gibberish"], r["places"], ", ".join(r["examples"])]
            for r in rows
        ],
    )
    for row in rows[:SHOWN]:
        first = _rows(documents, row["examples"][:1])
        page.samples([_sample(d, f"{row['trigger'][:80]} in {row['documents']:,} documents") for d in first])
