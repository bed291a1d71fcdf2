"""Tokens and shingles: the kernel against the definition, and the definition against Python's re."""

import re
import sys
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.corpus.dedup.tokens import Normalised, normalise
from ddd_llm.corpus.dedup.words import shingle, tokenise
from ddd_llm_tests.corpus.dedup.strategies import tricky_text


def words(normalised: Normalised) -> list[list[str]]:
    bounds = normalised.first.tolist()
    data = normalised.data.tobytes()
    rows = [normalised.starts[a:b].tolist() for a, b in pairwise(bounds)]
    return [[data[i : j - 1].decode() for i, j in pairwise(row)] for row in rows]


@settings(deadline=None)  # the first call compiles
@given(st.lists(tricky_text, max_size=8))
def test_kernel_finds_the_defined_tokens(texts: list[str]) -> None:
    assert words(normalise(pa.array(texts, pa.string()))) == [tokenise(text) for text in texts]


def test_kernel_treats_every_code_point_as_python_does() -> None:
    points = [chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000]
    texts = ["".join(points[i : i + 997]) for i in range(0, len(points), 997)]
    texts += [" ".join(points[i : i + 997]) for i in range(0, len(points), 997)]
    assert words(normalise(pa.array(texts))) == [tokenise(text) for text in texts]


@settings(deadline=None)  # the first call compiles
@given(st.text(st.characters(max_codepoint=0x2FF)) | st.text("aΣ.σİ \u0301"))
def test_tokens_are_words_of_the_lower_cased_text(text: str) -> None:
    assert tokenise(text) == re.findall(r"\w+", text.lower())


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("重复数据 deduplication数据", ["重", "复", "数", "据", "deduplication", "数", "据"]),
        ("カタカナとABCひらがな", [*"カタカナと", "abc", *"ひらがな"]),
        ("한국어 문서", ["한국어", "문서"]),
        ("ไทย", ["ไ", "ท", "ย"]),
        ("ΟΔΟΣ ΟΔΟΣΑ", ["οδος", "οδοσα"]),
        ("", []),
        (" \n.,;", []),
    ],
)
def test_scripts(text: str, tokens: list[str]) -> None:
    assert tokenise(text) == tokens
    assert words(normalise(pa.array([text]))) == [tokens]


def test_shingles_of_short_texts() -> None:
    assert shingle("", 5) == []
    assert shingle("One two", 5) == ["one two"]
    assert shingle("a b c d e", 5) == ["a b c d e"]
    assert shingle("a b c d e f", 5) == ["a b c d e", "b c d e f"]


@settings(deadline=None)  # the first call compiles
@given(st.lists(tricky_text, max_size=6), st.integers(1, 7))
def test_shingle_counts(texts: list[str], ngram: int) -> None:
    counts = normalise(pa.array(texts, pa.large_string())).shingle_counts(ngram)
    assert counts.tolist() == [len(shingle(text, ngram)) for text in texts]


def test_null_slice_and_view_arrays() -> None:
    array = pa.array(["skipped", "a B", None, "文", "skipped"])
    for kind in (pa.string(), pa.large_string(), pa.string_view()):
        assert words(normalise(array.cast(kind).slice(1, 3))) == [["a", "b"], [], ["文"]]


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match="int64"):
        normalise(pa.array([1]))


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.binary(max_size=40), max_size=5))
def test_malformed_bytes_separate_words_and_stay_inside_their_text(raw: list[bytes]) -> None:
    offsets = pa.py_buffer(np.cumsum([0, *map(len, raw)], dtype=np.int64))
    array = pa.LargeStringArray.from_buffers(len(raw), offsets, pa.py_buffer(b"".join(raw) + b"word"))
    assert words(normalise(array)) == [tokenise(text.decode("utf-8", "replace")) for text in raw]
