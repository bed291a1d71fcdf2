"""The exact join against comparing every pair."""

from itertools import combinations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.corpus.dedup import similar
from ddd_llm.corpus.dedup.similar import similar_pairs
from ddd_llm_tests.corpus.dedup.strategies import set_similarity, similar_texts, small_text, tricky_text

corpora = st.lists(small_text, max_size=25) | st.lists(similar_texts() | tricky_text, max_size=25)


def brute_force(texts: list[str], threshold: float, ngram: int) -> list[tuple[int, int, float]]:
    pairs = [(a, b, set_similarity(texts[a], texts[b], ngram)) for a, b in combinations(range(len(texts)), 2)]
    return [pair for pair in pairs if pair[2] >= threshold]


@given(corpora, st.sampled_from([0.1, 0.3, 0.5, 2 / 3, 0.8, 1.0]), st.integers(1, 6), st.integers(1, 3))
def test_finds_exactly_the_similar_pairs(texts: list[str], threshold: float, ngram: int, threads: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similar, "_TEXTS_PER_TASK", 7)
        patch.setattr(similar, "_CANDIDATES_PER_CALL", 1)  # so that calls stop and go on
        found = similar_pairs(pa.array(texts, pa.string()), threshold, ngram, threads)
    assert list(zip(*found.to_pydict().values(), strict=True)) == brute_force(texts, threshold, ngram)


def test_threshold_is_met_exactly() -> None:
    words = [f"w{i}" for i in range(13)]  # 9 shingles; without the last 3 words 6 of them
    pairs = similar_pairs(pa.array([" ".join(words), " ".join(words[:-3])]), threshold=6 / 9)
    assert pairs.to_pylist() == [{"left": 0, "right": 1, "jaccard": 6 / 9}]


def test_threshold_out_of_range() -> None:
    for threshold in (0, -1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="threshold"):
            similar_pairs(pa.array(["a"]), threshold)
