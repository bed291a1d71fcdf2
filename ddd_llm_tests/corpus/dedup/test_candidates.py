"""Bands, buckets and the signature filter."""

from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from ddd_llm.corpus.dedup.candidates import band_keys, fewest_matches, rare_buckets, share_a_band
from ddd_llm.corpus.dedup.jaccard import shingle_sets
from ddd_llm_tests.corpus.dedup.strategies import similar_texts, small_text
from ddd_llm_tests.corpus.dedup.test_jaccard import set_similarity


def test_equal_bands_and_no_others_share_a_key() -> None:
    values = np.arange(24, dtype=np.uint32).reshape(2, 12)
    values[1, 3:6] = values[0, 3:6]
    keys = band_keys(values, bands=4, rows=3)
    assert (keys[0] == keys[1]).tolist() == [False, True, False, False]
    assert len(set(keys.ravel().tolist())) == 7


def test_same_values_in_another_order_or_band_differ() -> None:
    keys = band_keys(np.array([[1, 2, 1, 2], [2, 1, 2, 1]], np.uint32), bands=2, rows=2)
    assert len(set(keys.ravel().tolist())) == 4


def test_too_many_bands_are_refused() -> None:
    with pytest.raises(ValueError, match="33 bands of 4"):
        band_keys(np.zeros((1, 128), np.uint32), 33, 4)


def test_those_present_that_share_a_key() -> None:
    keys = np.array([[1, 1], [1, 2], [1, 3], [2, 2], [3, 1]], np.uint64)
    present = np.array([True, True, False, True, False])
    assert share_a_band(keys, present).tolist() == [True, True, False, True, False]


@settings(deadline=None)  # the first call compiles
@given(st.lists(small_text | similar_texts(), max_size=12), st.sampled_from([0.1, 0.5, 0.8, 1.0]))
def test_similar_texts_share_a_rare_bucket(texts: list[str], threshold: float) -> None:
    sets = shingle_sets(pa.array(texts, pa.string()), 5)
    found = rare_buckets(sets.hashes, sets.offsets, threshold)
    buckets = [set(found.ids[a:b].tolist()) for a, b in pairwise(found.offsets.tolist())]
    members = Counter(bucket for group in buckets for bucket in group)
    assert [members[bucket] for bucket in range(len(found.sizes))] == found.sizes.tolist()
    assert min(members.values(), default=2) >= 2
    for a, b in combinations(range(len(texts)), 2):
        assert set_similarity(texts[a], texts[b]) < threshold or buckets[a] & buckets[b]


def test_words_that_all_have_in_common_make_no_bucket() -> None:
    template = " ".join(f"w{i}" for i in range(100))
    sets = shingle_sets(pa.array([f"{template} {' '.join(f'{n}x{i}' for i in range(60))}" for n in range(50)]), 5)
    assert rare_buckets(sets.hashes, sets.offsets, 0.8).sizes.tolist() == []


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("num_perm", [16, 128, 256])
def test_filter_loses_a_pair_at_the_threshold_almost_never(num_perm: int, threshold: float) -> None:
    matches = fewest_matches(num_perm, threshold)
    assert binom.cdf(matches - 1, num_perm, threshold) <= 1e-9 * 1.001
    assert matches == num_perm or binom.cdf(matches, num_perm, threshold) > 1e-9
