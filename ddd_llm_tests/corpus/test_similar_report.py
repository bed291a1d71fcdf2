"""Pages of what documents are compared by: figures are those of the rows, and texts stand beside one another as text."""

from __future__ import annotations

import pyarrow as pa

from ddd_llm.corpus.dedup.similar import similar_pairs
from ddd_llm.corpus.reports.similar import report_similar
from ddd_llm.platform.settings import Settings
from ddd_llm.store.artifact_store import open_store
from ddd_llm.store.session import Held
from ddd_llm_tests.corpus.test_deduplication import governed, run, settings, signed  # noqa: F401  (a fixture)

LONG = " ".join(f"w{n}" for n in range(40))


def page(home: Settings, held: Held) -> str:
    return open_store(home.store).read_bytes(held.record.files["report/index.html"]).decode()


def test_page_of_signatures_counts_the_rows(settings: Settings) -> None:  # noqa: F811
    rows = [("add", "a", LONG), ("add", "b", LONG + " more"), ("add", "c", "..."), ("delete", "d", "")]
    held = signed(settings, governed(settings, "batch-1", rows))
    assert held.record.summary == {"documents": 3, "shingles": 36 + 37, "documents_without_words": 1}
    found = page(settings, held)
    assert "and 1 deletes" in found and "By source" in found and "data:image/png" in found


def test_a_batch_of_deletes_alone_has_a_page(settings: Settings) -> None:  # noqa: F811
    held = signed(settings, governed(settings, "batch-1", [("delete", "d", "")]))
    assert held.record.summary == {"documents": 0, "shingles": 0, "documents_without_words": 0}
    assert "and 1 deletes" in page(settings, held)


def similar(home: Settings, texts: list[str]) -> Held:
    documents = pa.table(
        {"source": ["s", "t", "s"][: len(texts)], "locator": ["a", "b", "c"][: len(texts)], "text": texts}
    )
    pairs = similar_pairs(documents["text"], 0.5)
    return run(home, "similar_documents", None, {}, {}, lambda step: report_similar(step, documents, pairs, 0.5))


def test_page_of_similar_documents_shows_the_most_alike(settings: Settings) -> None:  # noqa: F811
    held = similar(settings, [LONG, LONG + " <b>more</b>", "quite another text of seven words here"])
    assert held.record.summary == {"documents": 3, "pairs": 1, "documents_in_pairs": 2}
    found = page(settings, held)
    assert "0.923 alike" in found  # 36 of 39 shingles
    assert "<b>" not in found and "&lt;b&gt;" in found and "<mark>" in found


def test_nothing_alike_is_said(settings: Settings) -> None:  # noqa: F811
    held = similar(settings, [LONG])
    assert held.record.summary == {"documents": 1, "pairs": 0, "documents_in_pairs": 0}
    assert "No two documents" in page(settings, held)
