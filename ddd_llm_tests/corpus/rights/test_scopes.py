"""Globs over locators: what they speak of, and that the index finds what trying each would find."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ddd_llm.corpus.rights.scopes import Glob, Scopes, pattern, places


@pytest.mark.parametrize(
    ("glob", "locator", "matches"),
    [
        ("**", "a/b/c.md", True),
        ("*", "a.md", True),
        ("*", "a/b.md", False),
        ("letters/*.md", "letters/a.md", True),
        ("letters/*.md", "letters/a/b.md", False),
        ("letters/**", "letters/a/b.md", True),
        ("**/b.md", "b.md", True),
        ("**/b.md", "x/y/b.md", True),
        ("**/b.md", "xb.md", False),
        ("a?.md", "ab.md", True),
        ("a?.md", "a/.md", False),
        ("[a].md", "[a].md", True),
        ("[a].md", "a.md", False),
        ("users.jsonl", "users.jsonl#id=jane", True),
        ("users.jsonl#id=jane", "users.jsonl#id=jane", True),
        ("users.jsonl#id=jane", "users.jsonl#id=jane;2", True),
        ("users.jsonl#id=jane", "users.jsonl#id=janet", False),
        ("*.jsonl", "users.jsonl#id=a/b", True),
        ("mail.zip", "mail.zip!in/a.md#line=1", True),
        ("outer.zip!inner.zip", "outer.zip!inner.zip!a.md", True),
        ("numpy.linalg:*", "numpy.linalg:norm", True),
        ("caf\u00e9.md", "cafe\u0301.md", True),
        ("A.md", "a.md", False),
    ],
)
def test_globs(glob: str, locator: str, matches: bool) -> None:
    known = TypeAdapter(Glob).validate_python(glob)
    assert Scopes([(known, 1)]).of(locator) == ((1,) if matches else ())


@pytest.mark.parametrize("wrong", ["", " a", "/a", "./a", "../a"])
def test_what_can_match_no_locator_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Glob).validate_python(wrong)


globs = st.text("ab/*?.", min_size=1, max_size=7)
locators = st.text("ab/.!#;2", min_size=1, max_size=9)


@given(st.lists(globs, max_size=6), locators)
def test_the_index_finds_what_trying_every_glob_finds(given: list[str], locator: str) -> None:
    pairs = list(enumerate(given))
    expected = tuple(n for n, glob in pairs if any(pattern(glob).fullmatch(place) for place in places(locator)))
    assert Scopes([(glob, number) for number, glob in pairs]).of(locator) == expected
