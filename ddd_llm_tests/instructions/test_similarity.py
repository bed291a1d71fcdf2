"""Exact near-duplicate search against brute force."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.instructions.similarity import near_pairs


def shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    if 0 < len(words) < 5:
        return {tuple(words)}
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}


def brute(texts: list[str], threshold: float) -> dict[tuple[str, str], float]:
    found = {}
    for i, left in enumerate(texts):
        for j in range(i + 1, len(texts)):
            a, b = shingles(left), shingles(texts[j])
            jaccard = len(a & b) / len(a | b) if a | b else 0.0
            if jaccard >= threshold:
                found[f"{i:03}", f"{j:03}"] = jaccard
    return found


_TEXT = st.lists(st.sampled_from("a b c".split()), max_size=14).map(" ".join)  # noqa: SIM905


@given(st.lists(_TEXT, max_size=12), st.sampled_from([0.2, 0.5, 0.75, 1.0]))
def test_finds_what_brute_force_finds(texts: list[str], threshold: float) -> None:
    pairs = near_pairs([f"{i:03}" for i in range(len(texts))], texts, threshold).to_pylist()
    assert {(p["left_id"], p["right_id"]): p["jaccard"] for p in pairs} == pytest.approx(brute(texts, threshold))


def test_texts_of_one_id_are_no_pair() -> None:
    assert near_pairs(["a", "a"], ["x y z", "x y z"]).num_rows == 0


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="ids"):
        near_pairs(["a"], [])
    with pytest.raises(ValueError, match="threshold"):
        near_pairs([], [], 0.0)
