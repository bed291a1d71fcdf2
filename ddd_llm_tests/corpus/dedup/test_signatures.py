"""Signatures: value for value datasketch's over the same shingles, whatever the threads and chunks."""

import datasketch
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ddd_llm.corpus.dedup import blocks
from ddd_llm.corpus.dedup.signatures import EMPTY, SignatureConfig, sketch
from ddd_llm.corpus.dedup.words import minhash_hash, shingle, shingle_hash
from ddd_llm_tests.corpus.dedup.strategies import set_similarity, similar_texts, tricky_text


@given(
    texts=st.lists(tricky_text, max_size=4),
    num_perm=st.sampled_from([4, 64, 128]),
    seed=st.integers(0, 2**32 - 1),
    ngram=st.integers(1, 6),
)
def test_datasketch_agrees(texts: list[str], num_perm: int, seed: int, ngram: int) -> None:
    config = SignatureConfig(num_perm=num_perm, seed=seed, ngram=ngram, bands=2, rows=2)
    made = sketch(pa.array(texts, pa.string()), config, signatures=True, sets=True)
    assert made.signatures is not None and made.sets is not None
    for row, text in enumerate(texts):
        pieces = [piece.encode() for piece in shingle(text, ngram)]
        minhash = datasketch.MinHash(num_perm, seed, hashfunc=minhash_hash, scheme=config.scheme)
        minhash.update_batch(pieces)
        assert np.array_equal(minhash.hashvalues, made.signatures[row])
        assert made.shingles[row] == len(pieces)
        own = made.sets.hashes[made.sets.offsets[row] : made.sets.offsets[row + 1]]
        assert own.tolist() == list(dict.fromkeys(shingle_hash(piece) for piece in pieces))


@settings(max_examples=50)  # the first call compiles
@given(similar_texts(), similar_texts())
def test_estimate_through_datasketch(one: str, other: str) -> None:
    config = SignatureConfig()
    values = sketch(pa.array([one, other]), config, signatures=True).signatures
    assert values is not None
    made = [datasketch.MinHash(hashvalues=row, seed=config.seed, scheme=config.scheme) for row in values]
    # Six standard deviations of 128 values at most.
    assert made[0].jaccard(made[1]) == pytest.approx(set_similarity(one, other), abs=0.27)


def test_text_without_tokens() -> None:
    made = sketch(pa.array(["", " ... ", None]), SignatureConfig(), signatures=True)
    assert made.signatures is not None and (made.signatures == EMPTY).all()
    assert made.shingles.tolist() == [0, 0, 0]


@given(st.lists(tricky_text, max_size=12), st.integers(0, 12), st.integers(1, 4))
def test_threads_and_chunks_change_nothing(texts: list[str], cut: int, threads: int) -> None:
    array = pa.array(texts, pa.string())
    chunked = pa.chunked_array([array.slice(0, cut), array.slice(cut)], pa.string())
    one = sketch(array, SignatureConfig(), threads=1, signatures=True, sets=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", 20)
        other = sketch(chunked, SignatureConfig(), threads=threads, signatures=True, sets=True)
    assert one.sets is not None and other.sets is not None and one.signatures is not None
    assert np.array_equal(one.bands, other.bands) and np.array_equal(one.signatures, other.signatures)  # type: ignore[arg-type]
    assert np.array_equal(one.sets.hashes, other.sets.hashes) and np.array_equal(one.sets.offsets, other.sets.offsets)


def test_equal_bands_and_no_others_share_a_key() -> None:
    config = SignatureConfig(num_perm=8, bands=4, rows=2, ngram=1)
    made = sketch(pa.array([f"w{i} w{i + 1} w{i + 2}" for i in range(200)]), config, signatures=True)
    assert made.signatures is not None
    values = made.signatures.reshape(200, 4, 2)
    for band in range(4):
        same = (values[:, None, band] == values[None, :, band]).all(axis=2)
        assert np.array_equal(same, made.bands[:, None, band] == made.bands[None, :, band])
    assert not set(made.bands[:, 0].tolist()) & set(made.bands[:, 1].tolist())  # a band's key says which band


def test_nothing_in_nothing_out() -> None:
    made = sketch(pa.chunked_array([], pa.string()), SignatureConfig(), signatures=True, sets=True)
    assert made.bands.shape == (0, 25) and made.signatures is not None and made.signatures.shape == (0, 128)


def test_configuration_is_checked() -> None:
    for wrong in ({"num_perm": 130}, {"permutations": 128}, {"shared_bands": 26}):
        with pytest.raises(ValidationError):
            SignatureConfig.model_validate(wrong)
    with pytest.raises(ValidationError, match="need 160 permutations"):
        SignatureConfig(bands=32, rows=5)
