"""Planted leaks are found and named."""

import json
import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.instructions.build import EXAMPLES_SCHEMA
from ddd_llm.instructions.leakage import Finding, find_leaks
from ddd_llm.instructions.prompts import compose

WORDS = [f"w{i}" for i in range(40)]


def row(name: str, split: str, passage: str | None = None, **more: Any) -> dict[str, object]:
    prompt = compose(passage if passage is not None else f"{name} alone", f"What is {name}?")
    given_ = {
        "id": name,
        "task": "summary",
        "split": split,
        "slice": "open_book",
        "messages": prompt,
        "facts": "{}",
        "source_ids": [f"doc-{name}"],
        "package": "p",
        "module": f"m-{name}",
        "component": f"m-{name}",
        "generator": "tasks_prose.Summary",
        "generator_version": "1",
        **more,
    }
    messages = [{"role": "user", "content": given_["messages"]}, {"role": "assistant", "content": "x"}]
    return {**given_, "messages": json.dumps(messages)}


def leaks(*rows: dict[str, object]) -> list[Finding]:
    return find_leaks(pa.Table.from_pylist(list(rows), schema=EXAMPLES_SCHEMA))


def test_a_clean_dataset_has_none() -> None:
    assert leaks(row("a", "train"), row("b", "test"), row("c", "validation")) == []
    assert leaks() == []


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"module": "m"}, "same_module"),
        ({"component": "m"}, "same_component"),
        ({"source_ids": ["d", "e"]}, "same_source"),
        ({"messages": "one prompt"}, "same_prompt"),
    ],
)
def test_what_two_splits_share_is_named(change: dict[str, Any], kind: str) -> None:
    found = leaks(row("a", "train", **change), row("b", "test", **change))
    assert (kind, "a", "train", "b", "test") in {
        (f.kind, f.left_id, f.left_split, f.right_id, f.right_split) for f in found
    }
    assert leaks(row("a", "train", **change), row("b", "train", **change)) == []


def test_near_duplicate_passages_are_found_at_the_threshold_and_not_below() -> None:
    text = " ".join(WORDS)
    near = " ".join([*WORDS[:-12], *(f"other{i}" for i in range(12))])  # 24 of 48 5-grams shared: J = .5
    far = " ".join([*WORDS[:-13], *(f"other{i}" for i in range(13))])
    (found,) = leaks(row("a", "validation", text), row("b", "test", near))
    assert found == Finding("near_duplicate_passage", "a", "validation", "b", "test", 0.5)
    assert leaks(row("a", "validation", text), row("b", "test", far)) == []


def test_closed_book_wording_is_no_leak_but_an_own_prompt_that_quotes_a_test_passage_is() -> None:
    text = " ".join(WORDS)
    asked: dict[str, Any] = {"slice": "closed_book", "messages": text}
    assert [f.kind for f in leaks(row("a", "train", **asked), row("b", "test", text))] == []
    own = leaks(row("a", "train", **asked, generator="own"), row("b", "test", text))
    assert [f.kind for f in own] == ["near_duplicate_passage"]


def jaccard(left: str, right: str) -> float:
    def grams(text: str) -> set[str]:
        words = re.findall(r"\w+", text.lower())
        return {" ".join(words[i : i + 5]) for i in range(max(1, len(words) - 4))} if words else set()

    a, b = grams(left), grams(right)
    return len(a & b) / len(a | b) if a | b else 0.0


@given(st.lists(st.tuples(st.sampled_from(["train", "validation", "test"]), st.text("abc ", max_size=24)), max_size=8))
def test_agrees_with_brute_force(items: list[tuple[str, str]]) -> None:
    found = {(f.left_id, f.right_id) for f in leaks(*(row(f"r{i}", s, t) for i, (s, t) in enumerate(items)))}
    for i, (one, left) in enumerate(items):
        for j, (other, right) in enumerate(items):
            if i < j and one != other and jaccard(left, right) >= 0.5 and left not in [t for _, t in items[:i]]:
                duplicates = [k for k, (s, t) in enumerate(items) if s == other and t == right]
                firsts = [k for k, (s, t) in enumerate(items) if s == one and t == left]
                pair = tuple(sorted((f"r{firsts[0]}", f"r{duplicates[0]}")))
                assert pair in found
