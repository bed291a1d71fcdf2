"""What each corpus asset shows: counts for the UI, a funnel picture, and a report page in the store.

Belongs here: wording and pictures of the corpus stage. Documents appear on pages only after pseudonymisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.tables import counts
from ddd_llm.platform.plots import funnel, histogram
from ddd_llm.platform.report import KeyFigure, Page, Sample
from ddd_llm.platform.step import Step

MOST_BROKEN = 0.1
SHOWN = 12
LONGEST_SAMPLE = 1500


def _funnel(step: Step, label: str, seen: int, kept: int, reasons: dict[str, int]) -> None:
    """The conservation law as summary and picture: in = kept + dropped.

    Raises:
        ValueError: a document is unaccounted for.
    """
    dropped = sum(reasons.values())
    if seen != kept + dropped:
        raise ValueError(f"{label}: {seen} in, {kept} kept, {dropped} dropped: {seen - kept - dropped} unaccounted for")
    step.summary |= {"documents_in": seen, "kept": kept, "dropped": dropped, "dropped_by_reason": reasons}
    step.put_picture("funnel", funnel([(label, kept, reasons)], title=f"{label}: in = kept + dropped"))


def _head(page: Page, step: Step) -> Page:
    said = step.summary
    share = f"{said['kept'] / said['documents_in']:.1%} of what came in" if said["documents_in"] else ""
    return page.key_figures(
        [
            KeyFigure("in", f"{said['documents_in']:,}"),
            KeyFigure("kept", f"{said['kept']:,}", share),
            KeyFigure("dropped", f"{said['dropped']:,}", f"{len(said['dropped_by_reason'])} reasons"),
        ]
    ).figure(step.pictures["funnel"], "Documents kept and dropped, by reason")


def _per_source(page: Page, names: Sequence[str], tables: Sequence[pa.Table]) -> None:
    found = [counts(table["source"]) for table in tables]
    sources = sorted({source for part in found for source in part})
    page.heading("By source")
    page.table(["source", *names], [[s, *(f"{part.get(s, 0):,}" for part in found)] for s in sources])


def _quarantine(page: Page, quarantine: pa.Table) -> None:
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


def report_raw(step: Step, batch: Any) -> None:
    """Summary and page of one ingest."""
    documents, quarantine = batch.documents, batch.quarantine
    refused = counts(quarantine.filter(pc.invert(batch.notices))["reason"])  # type: ignore[attr-defined]
    _funnel(step, "raw_documents", len(documents) + sum(refused.values()), len(documents), refused)
    step.summary |= {f"documents_{op}": count for op, count in counts(documents["op"]).items()}
    step.summary |= {"megabytes": round((pc.sum(documents["bytes"]).as_py() or 0) / 1e6, 1)}  # type: ignore[attr-defined]
    page = _head(Page("raw_documents", f"Ingest {step.partition}: changes against all batches before"), step)
    _per_source(page, ["documents", "quarantined"], [documents, quarantine])
    _quarantine(page, quarantine)
    step.put_report(page.html())


def quarantine_verdict(summary: dict[str, Any]) -> tuple[bool, str, dict[str, object]]:
    """Whether so little of a batch is broken that nobody needs to look."""
    seen, broken = summary["documents_in"], summary["dropped"]
    share = broken / seen if seen else 0.0
    sentence = (
        f"{broken:,} of {seen:,} records are in quarantine ({share:.2%}; above {MOST_BROKEN:.0%} somebody should look)"
    )
    return share <= MOST_BROKEN, sentence, {"share": round(share, 6), "quarantined": broken}


def report_governed(step: Step, raw: pa.Table, kept: pa.Table, quarantine: pa.Table) -> None:
    """Summary and page of one batch's governance."""
    reasons = counts(quarantine["reason"])
    _funnel(step, "governed_documents", len(raw), len(kept), reasons)
    replaced = pc.sum(kept["identifiers"]).as_py() or 0  # type: ignore[attr-defined]
    step.summary |= {
        "identifiers_replaced": replaced,
        "sources_held_back": sorted(set(quarantine["source"].to_pylist())),
    }
    page = _head(Page("governed_documents", f"Batch {step.partition}: right to use, and pseudonyms"), step)
    page.paragraph(f"{replaced:,} direct identifiers were replaced by keyed pseudonyms.")
    _per_source(page, ["kept", "held back"], [kept, quarantine])
    _quarantine(page, quarantine)
    step.put_report(page.html())


def report_signatures(step: Step, table: pa.Table) -> None:
    """Summary of one batch's signatures."""
    empty = pc.sum(pc.equal(table["shingles"], 0)).as_py() or 0  # type: ignore[attr-defined]
    shingles = pc.sum(table["shingles"]).as_py() or 0  # type: ignore[attr-defined]
    step.summary |= {"documents": len(table), "shingles": shingles, "documents_without_words": empty}


def report_deduplicated(step: Step, kept: pa.Table, decisions: pa.Table, pairs: pa.Table) -> None:
    """Summary and page of deduplication, with the largest groups side by side."""
    reasons = counts(decisions["reason"])
    _funnel(step, "deduplicated_documents", len(decisions), len(kept), reasons)
    near = decisions.filter(pc.equal(decisions["reason"], "near_duplicate"))  # type: ignore[attr-defined]
    step.summary |= {"similar_pairs_kept": len(pairs), "groups": len(counts(near["kept_id"]))}
    page = _head(Page("deduplicated_documents", "Near-duplicates, each named with the document kept for it"), step)
    if len(near):
        picture = histogram(
            near["jaccard"].to_pylist(), "Exact similarity of what was dropped", "Jaccard of word 5-grams"
        )
        step.put_picture("similarity", picture)
        page.figure(picture, "Histogram of similarities of dropped documents")
    dropped = decisions.filter(pc.equal(decisions["verdict"], "dropped"))  # type: ignore[attr-defined]
    _per_source(page, ["kept", "dropped"], [kept, dropped])
    page.heading("Largest groups")
    page.samples(_groups(kept, near))
    step.put_report(page.html())


def _groups(kept: pa.Table, near: pa.Table) -> list[Sample]:
    found = []
    for leader, size in list(counts(near["kept_id"]).items())[:SHOWN]:
        row = kept.filter(pc.equal(kept["id"], leader)).slice(0, 1).to_pylist()[0]  # type: ignore[attr-defined]
        twins = near.filter(pc.equal(near["kept_id"], leader)).to_pylist()  # type: ignore[attr-defined]
        lines = [f"{t['jaccard']:.3f}  {t['source']}  {t['locator']}" for t in twins[:40]]
        parts = {
            f"kept: {row['source']} {row['locator']}": row["text"][:LONGEST_SAMPLE],
            "dropped for it": "\n".join(lines),
        }
        found.append(Sample(f"{size + 1} alike: {row['title'] or row['locator']}", parts))
    return found


def report_curated(step: Step, kept: pa.Table, decisions: pa.Table, documents: pa.Table) -> None:
    """Summary and page of curation, with a few dropped documents per rule."""
    _funnel(step, "curated_documents", len(decisions), len(kept), counts(decisions["reason"]))
    page = _head(Page("curated_documents", "Quality rules of assets/policies/curation.yaml"), step)
    dropped = decisions.filter(pc.equal(decisions["verdict"], "dropped"))  # type: ignore[attr-defined]
    _per_source(page, ["kept", "dropped"], [kept, dropped])
    page.heading("Dropped, by rule")
    for reason, count in counts(dropped["reason"]).items():
        ids = dropped.filter(pc.equal(dropped["reason"], reason))["id"].slice(0, 3)  # type: ignore[attr-defined]
        rows = documents.filter(pc.is_in(documents["id"], value_set=ids.combine_chunks())).to_pylist()  # type: ignore[attr-defined]
        page.paragraph(f"{reason}: {count:,}")
        page.samples([Sample(f"{r['source']} {r['locator']}", {"text": r["text"][:LONGEST_SAMPLE]}) for r in rows])
    step.put_report(page.html())


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
