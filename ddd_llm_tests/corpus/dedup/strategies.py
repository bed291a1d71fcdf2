"""Texts and corpora to try deduplication on."""

import pyarrow as pa
from hypothesis import strategies as st

from ddd_llm.corpus.dedup.words import shingle

# Letters that grow or depend on neighbours in lower case, marks, digits, joiners, and scripts without spaces.
_TRICKY = "aAzZ09_ .-\n\tßẞΣσς'\u00adİıIéÉe\u0301ǅȺK٣²½ªᏓꭰ文字。々かナーไทยກမခ한글עبह\u093fि𝔄𐐀𠀀😀\x00\ufeff\u200d"

tricky_text = st.text(st.sampled_from(_TRICKY), max_size=60) | st.text(max_size=60)

# Few words and few lengths, so that equal, similar and chained texts abound.
small_text = st.lists(st.sampled_from("abcde"), max_size=12).map(" ".join)


@st.composite
def similar_texts(draw: st.DrawFn) -> str:
    """One of few base texts of distinct words with few words changed: similarities on both sides of 0.8."""
    base = draw(st.integers(0, 2))
    words = [f"w{base}x{i}" for i in range(draw(st.sampled_from([30, 60, 61])))]
    for place in draw(st.lists(st.integers(0, len(words) - 1), max_size=2)):
        words[place] = draw(st.sampled_from(["other", "word"]))
    return " ".join(words)


def corpus(texts: list[str], sources: list[str] | None = None, batches: list[str] | None = None) -> pa.Table:
    """A document table: equal texts have equal ids, every row a locator of its own."""
    return pa.table(
        {
            "id": pa.array([f"id-{text}" for text in texts], pa.string()),
            "source": pa.array(sources or ["s"] * len(texts), pa.string()),
            "locator": pa.array([f"{i:05}" for i in range(len(texts))], pa.string()),
            "batch": pa.array(batches or ["b"] * len(texts), pa.string()),
            "text": pa.array(texts, pa.string()),
        }
    )


def set_similarity(one: str, other: str, ngram: int = 5) -> float:
    """Jaccard similarity of two texts by Python's sets."""
    a, b = set(shingle(one, ngram)), set(shingle(other, ngram))
    return len(a & b) / len(a | b) if a | b else 0.0
