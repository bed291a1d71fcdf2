"""Signatures: value for value datasketch's, whatever the threads and chunks."""

import datasketch
import datasketch.hashfunc
import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ddd_llm.corpus.dedup import blocks
from ddd_llm.corpus.dedup.signatures import EMPTY, SignatureConfig, signature_values, signatures
from ddd_llm.corpus.dedup.words import shingle
from ddd_llm_tests.corpus.dedup.strategies import tricky_text

HASHES = {"xxh32": xxhash.xxh32_intdigest, "sha1_hash32": datasketch.hashfunc.sha1_hash32}


@settings(deadline=None)  # the first call compiles
@given(
    texts=st.lists(tricky_text, max_size=4),
    config=st.builds(
        SignatureConfig,
        num_perm=st.sampled_from([4, 64, 128]),
        seed=st.integers(0, 2**32 - 1),
        hash=st.sampled_from(sorted(HASHES)),
        ngram=st.integers(1, 6),
    ),
)
def test_datasketch_agrees(texts: list[str], config: SignatureConfig) -> None:
    table = signatures(pa.array(texts, pa.string()), config)
    values = signature_values(table["signature"], config)
    for row, text in enumerate(texts):
        pieces = shingle(text, config.ngram)
        minhash = datasketch.MinHash(config.num_perm, config.seed, hashfunc=HASHES[config.hash], scheme=config.scheme)
        minhash.update_batch(piece.encode() for piece in pieces)
        assert np.array_equal(minhash.hashvalues, values[row])
        assert table["shingles"][row].as_py() == len(pieces)


def test_estimate_through_datasketch() -> None:
    config = SignatureConfig()
    words = [f"word{i}" for i in range(300)]
    texts = [" ".join(words), " ".join(words[:250])]
    one, other = (
        datasketch.MinHash(hashvalues=row, seed=config.seed, scheme=config.scheme)
        for row in signature_values(signatures(pa.array(texts), config)["signature"], config)
    )
    assert one.jaccard(other) == pytest.approx(246 / 296, abs=0.15)


def test_text_without_tokens() -> None:
    table = signatures(pa.array(["", " ... ", None]), SignatureConfig())
    assert (signature_values(table["signature"], SignatureConfig()) == EMPTY).all()
    assert table["shingles"].to_pylist() == [0, 0, 0]


@settings(deadline=None)  # the first call compiles
@given(st.lists(tricky_text, max_size=12), st.integers(0, 12), st.integers(1, 4))
def test_threads_and_chunks_change_nothing(texts: list[str], cut: int, threads: int) -> None:
    array = pa.array(texts, pa.string())
    chunked = pa.chunked_array([array.slice(0, cut), array.slice(cut)], pa.string())
    expected = signatures(array, SignatureConfig(), threads=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", 20)
        assert signatures(chunked, SignatureConfig(), threads=threads).equals(expected)


def test_nothing_in_nothing_out() -> None:
    table = signatures(pa.chunked_array([], pa.string()), SignatureConfig())
    assert table.num_rows == 0
    assert table.schema.field("signature").type == pa.binary(512)


def test_configuration_and_width_are_checked() -> None:
    with pytest.raises(ValidationError):
        SignatureConfig(num_perm=130)
    with pytest.raises(ValidationError):
        SignatureConfig.model_validate({"permutations": 128})
    column = signatures(pa.array(["a b"]), SignatureConfig(num_perm=64))["signature"]
    with pytest.raises(ValueError, match="512 bytes"):
        signature_values(column, SignatureConfig())
