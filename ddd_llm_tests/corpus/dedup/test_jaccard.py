"""Exact similarity against Python's sets."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.corpus.dedup.jaccard import jaccard, shingle_sets
from ddd_llm.corpus.dedup.words import shingle
from ddd_llm_tests.corpus.dedup.strategies import similar_texts, small_text, tricky_text


def set_similarity(one: str, other: str, ngram: int = 5) -> float:
    a, b = set(shingle(one, ngram)), set(shingle(other, ngram))
    return len(a & b) / len(a | b) if a | b else 0.0


@settings(deadline=None)  # the first call compiles
@given(
    st.lists(small_text | tricky_text | similar_texts(), min_size=1, max_size=8), st.integers(1, 6), st.integers(0, 20)
)
def test_all_pairs(texts: list[str], ngram: int, twentieths: int) -> None:
    sets = shingle_sets(pa.array(texts), ngram)
    assert sets.sizes.tolist() == [len(set(shingle(text, ngram))) for text in texts]
    left, right = (axis.ravel() for axis in np.indices((len(texts), len(texts))))
    expected = [set_similarity(texts[a], texts[b], ngram) for a, b in zip(left, right, strict=True)]
    assert jaccard(sets, left, right).tolist() == expected
    at_least = twentieths / 20
    found = jaccard(sets, left, right, at_least=at_least)
    assert all(got == want or (want < at_least and got == -1) for got, want in zip(found, expected, strict=True))
