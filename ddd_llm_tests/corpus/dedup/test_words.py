"""What a token is: the definition against Python's re."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.corpus.dedup.words import shingle, tokenise


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


def test_shingles_of_short_texts() -> None:
    assert shingle("", 5) == []
    assert shingle("One two", 5) == ["one two"]
    assert shingle("a b c d e", 5) == ["a b c d e"]
    assert shingle("a b c d e f", 5) == ["a b c d e", "b c d e f"]
