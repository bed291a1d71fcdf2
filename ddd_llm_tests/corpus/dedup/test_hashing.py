"""Hash kernels against the reference implementations."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.corpus.dedup.hashing import shingle_hashes
from ddd_llm.corpus.dedup.tokens import normalise
from ddd_llm.corpus.dedup.words import shingle
from ddd_llm_tests.corpus.dedup.strategies import tricky_text

ORACLES = {
    "xxh32": xxhash.xxh32_intdigest,
    "xxh64": xxhash.xxh64_intdigest,
    "sha1_hash32": lambda data: int.from_bytes(hashlib.sha1(data).digest()[:4], "little"),
}


@pytest.mark.parametrize("function", ORACLES)
@settings(deadline=None)  # the first call compiles
@given(texts=st.lists(tricky_text, max_size=5), ngram=st.integers(1, 6))
def test_values_of_shingles(function: str, texts: list[str], ngram: int) -> None:
    hashes, offsets = shingle_hashes(normalise(pa.array(texts, pa.string())), ngram, function)
    expected = [[ORACLES[function](s.encode()) for s in shingle(text, ngram)] for text in texts]
    assert np.diff(offsets).tolist() == [len(values) for values in expected]
    assert hashes.tolist() == [value for values in expected for value in values]


@pytest.mark.parametrize("function", ORACLES)
def test_every_length_across_block_boundaries(function: str) -> None:
    texts = ["x" * size for size in range(1, 300)]
    hashes, _ = shingle_hashes(normalise(pa.array(texts)), 5, function)
    assert hashes.tolist() == [ORACLES[function](text.encode()) for text in texts]


def test_unknown_function_is_named() -> None:
    with pytest.raises(ValueError, match="md5"):
        shingle_hashes(normalise(pa.array(["a"])), 5, "md5")
