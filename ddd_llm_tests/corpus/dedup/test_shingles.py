"""Shingle hashes: the kernel against the definition."""

import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ddd_llm.corpus.dedup.shingles import content_keys, shingle_hashes
from ddd_llm.corpus.dedup.words import shingle, shingle_hash
from ddd_llm_tests.corpus.dedup.strategies import small_text, tricky_text


def defined(text: str, ngram: int) -> list[int]:
    return [shingle_hash(piece.encode("utf-8", "surrogatepass")) for piece in shingle(text, ngram)]


def rows(texts: pa.Array, ngram: int) -> list[list[int]]:
    hashes, starts = shingle_hashes(texts, ngram)
    return [part.tolist() for part in np.split(hashes, starts[1:-1])] if len(texts) else []


@given(st.lists(tricky_text | small_text, max_size=8), st.integers(1, 7))
def test_kernel_finds_the_defined_hashes(texts: list[str], ngram: int) -> None:
    assert rows(pa.array(texts, pa.string()), ngram) == [defined(text, ngram) for text in texts]


def test_kernel_treats_every_code_point_as_python_does() -> None:
    points = [chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000]
    texts = [" ".join(points[i : i + 499]) for i in range(0, len(points), 499)]
    assert rows(pa.array(texts), 1) == [defined(text, 1) for text in texts]


def test_tokens_of_every_length() -> None:
    texts = ["x" * size for size in range(1, 100)] + ["é" * size for size in range(1, 40)]
    assert rows(pa.array(texts), 5) == [defined(text, 5) for text in texts]


def test_null_slice_and_view_arrays() -> None:
    array = pa.array(["skipped", "a B", None, "文", "skipped"])
    for kind in (pa.string(), pa.large_string(), pa.string_view()):
        assert rows(array.cast(kind).slice(1, 3), 5) == [defined("a B", 5), [], defined("文", 5)]


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match="int64"):
        shingle_hashes(pa.array([1]), 5)


@given(st.lists(st.binary(max_size=40), max_size=5))
@example([b"a\xe0\x80\xb0b", b"a\xf0\x80\x80\xb0b", b"\xe0\x80\xb0"])
def test_malformed_bytes_separate_words_and_stay_inside_their_text(raw: list[bytes]) -> None:
    offsets = pa.py_buffer(np.cumsum([0, *map(len, raw)], dtype=np.int64))
    array = pa.LargeStringArray.from_buffers(len(raw), offsets, pa.py_buffer(b"".join(raw) + b"word"))
    assert rows(array, 2) == [defined(text.decode("utf-8", "replace"), 2) for text in raw]


def test_a_million_different_shingles_have_different_hashes() -> None:
    text = " ".join(str(number) for number in range(10**6))
    hashes, _ = shingle_hashes(pa.array([text]), 2)
    assert len(np.unique(hashes)) == len(hashes) == 10**6 - 1
    swapped, _ = shingle_hashes(pa.array(["a b", "b a", "ab", "a a b", "a b b"]), 3)
    assert len(set(swapped.tolist())) == 5


@given(st.lists(small_text | tricky_text, max_size=12))
def test_equal_texts_and_no_others_share_a_name(texts: list[str]) -> None:
    names = content_keys(pa.array(texts, pa.string())).tolist()
    assert [[a == b for a in names] for b in names] == [[a == b for a in texts] for b in texts]
