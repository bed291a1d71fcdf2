"""Pages and summaries of what documents are compared by: signatures of a batch, and the pairs that stayed although alike."""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.dedup.signatures import SignatureConfig
from ddd_llm.corpus.reports.common import LONGEST_SAMPLE, SHOWN
from ddd_llm.platform.plots import histogram
from ddd_llm.platform.report import KeyFigure, Page
from ddd_llm.platform.step import Step


def report_signatures(step: Step, parts: Iterable[pa.Table]) -> None:
    """Summary and page of one batch's signatures, from the names and shingle counts of its parts, each read once."""
    found: defaultdict[str, list[npt.NDArray[np.int64]]] = defaultdict(list)
    deletes = 0
    for part in parts:
        rows = part.filter(pc.not_equal(part["op"], "delete"))
        deletes += len(part) - len(rows)
        sources, shingles = rows["source"].to_numpy(), rows["shingles"].to_numpy()
        for source in np.unique(sources.astype(str)):
            found[str(source)].append(shingles[sources == source])
    by_source = {source: np.concatenate(found[source]) for source in sorted(found)}
    every = np.concatenate([np.zeros(0, np.int64), *by_source.values()])
    empty = int((every == 0).sum())
    step.summary |= {"documents": len(every), "shingles": int(every.sum()), "documents_without_words": empty}
    config = SignatureConfig.model_validate(step.config["signature"])
    page = Page("document_signatures", "What a batch's documents are compared by, without reading their text again")
    page.key_figures(
        [
            KeyFigure("documents", f"{len(every):,}", f"and {deletes:,} deletes" if deletes else ""),
            KeyFigure("shingles", f"{int(every.sum()):,}", f"word {config.ngram}-grams, repeats counted"),
            KeyFigure("without words", f"{empty:,}", "alike only where the text is equal"),
        ]
    )
    page.paragraph(
        f"A signature has {config.num_perm} numbers (MinHash). Documents that agree in {config.shared_bands} or more of "
        f"{config.bands} bands of {config.rows} of them are compared by their sets of shingles: none is dropped on an estimate."
    )
    if len(every):
        picture = histogram(np.log10(1 + every).tolist(), "Size of the documents", "log10 of shingles")
        step.put_picture("sizes", picture)
        page.figure(picture, "Histogram of shingles per document")
    page.heading("By source")
    page.table(
        ["source", "documents", "shingles", "median", "largest", "without words"],
        [
            [
                source,
                *(f"{n:,}" for n in (len(of), int(of.sum()), int(np.median(of)), int(of.max()), int((of == 0).sum()))),
            ]
            for source, of in by_source.items()
        ],
    )
    step.put_report(page.html())


def report_similar(step: Step, documents: pa.Table, pairs: pa.Table, threshold: float) -> None:
    """Summary and page of the pairs of documents that are alike and both kept.

    Args:
        documents: `source, locator, text`.
        pairs: `left, right` (rows of `documents`), `jaccard`.
        threshold: least similarity of a pair.
    """
    tied = len(pc.unique(pa.chunked_array([*pairs["left"].chunks, *pairs["right"].chunks], pairs["left"].type)))
    step.summary |= {"documents": len(documents), "pairs": len(pairs), "documents_in_pairs": tied}
    page = Page("similar_documents", "Alike, but not so much that one was removed: no split may separate them")
    page.key_figures(
        [
            KeyFigure("documents", f"{len(documents):,}"),
            KeyFigure("pairs", f"{len(pairs):,}", f"similarity of {threshold:g} or more"),
            KeyFigure("documents in pairs", f"{tied:,}"),
        ]
    )
    if not len(pairs):
        step.put_report(page.paragraph("No two documents are so much alike.").html())
        return
    picture = histogram(pairs["jaccard"].to_pylist(), "Exact similarity of what stayed", "Jaccard of word 5-grams")
    step.put_picture("similarity", picture)
    page.figure(picture, "Histogram of similarities of pairs")
    sources = [documents["source"].take(pairs[side]).to_pylist() for side in ("left", "right")]
    between = Counter(tuple(sorted(both)) for both in zip(*sources, strict=True)).most_common(SHOWN)
    page.heading("Between which sources")
    page.table(["source", "and", "pairs"], [[left, right, f"{count:,}"] for (left, right), count in between])
    page.heading("Most alike")
    page.paragraph("Words that only one has are marked.")
    order = [("jaccard", "descending"), ("left", "ascending"), ("right", "ascending")]
    for pair in pairs.sort_by(order).slice(0, SHOWN).to_pylist():
        left, right = documents.take(pa.array([pair["left"], pair["right"]])).to_pylist()
        page.side_by_side(
            f"{pair['jaccard']:.3f} alike",
            *((f"{row['source']} {row['locator']}", row["text"][:LONGEST_SAMPLE]) for row in (left, right)),
        )
    step.put_report(page.html())
