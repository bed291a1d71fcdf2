"""Segments cover a text, code is not cut, and their ends fall on the right tokens, also where a text was cut off."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.feedback.labels import SpansValue
from ddd_llm.feedback.segments import SEGMENTERS, segment_end_tokens, segmenter, sentence, sub_sentence
from ddd_llm.feedback.span_feedback import (
    COMPLETENESS,
    FACTUALITY,
    RELEVANCE,
    error_counts,
    from_constructed,
    segment_labels,
    span_table,
)
from ddd_llm_tests.feedback.samples import texts
from ddd_llm_tests.training.tiny import tiny_tokenizer

TOKENIZER = tiny_tokenizer()


@given(texts)
def test_segments_cover_the_text_in_order(text: str) -> None:
    for cut in SEGMENTERS.values():
        found = cut(text)
        assert "".join(text[a:b] for a, b in found) == text
        assert all(a < b for a, b in found)
        if text.strip():
            assert all(text[a:b].strip() for a, b in found)


@given(texts)
def test_clauses_lie_in_sentences(text: str) -> None:
    borders = {end for _, end in sub_sentence(text)}
    assert {end for _, end in sentence(text)} <= borders


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("It is. So!  Yes?", ["It is.", " So!", "  Yes?"]),
        ("See e.g. np.array, which is 1.5 times.", ["See e.g. np.array, which is 1.5 times."]),
        ("Use `a. b` here. Then stop.", ["Use `a. b` here.", " Then stop."]),
        ("Run:\n```python\nx = 1. \ny\n```\nDone.", ["Run:\n```python\nx = 1. \ny\n```\nDone."]),
        ("1. First\n2. Second", ["1. First\n2. Second"]),
        ("It.\n\nB", ["It.", "\n\nB"]),
        ("So:\n- one\n- two", ["So:\n", "- one\n", "- two"]),
    ],
)
def test_sentences(text: str, parts: list[str]) -> None:
    assert [text[a:b] for a, b in sentence(text)] == parts


def test_clauses() -> None:
    text = "First, `a, b`; then 1,000 - or: so."
    assert [text[a:b] for a, b in sub_sentence(text)] == ["First,", " `a, b`;", " then 1,000 -", " or:", " so."]
    with pytest.raises(ValueError, match="there are sub_sentence, sentence, sequence"):
        segmenter("word")


@settings(max_examples=150)
@given(texts, st.sampled_from(list(SEGMENTERS)), st.data())
def test_ends_fall_on_the_last_token_of_their_last_character(text: str, name: str, data: st.DataObject) -> None:
    encoded = TOKENIZER(text, add_special_tokens=False, return_offsets_mapping=True)
    offsets = [tuple(pair) for pair in encoded["offset_mapping"]]
    keep = data.draw(st.integers(0, len(offsets)))
    segments = segmenter(name)(text)
    found = segment_end_tokens(offsets[:keep], segments, text, name == "sequence")
    assert len(found) == len(segments)
    for (start, end), token in zip(segments, found, strict=True):
        stripped = text[start:end].rstrip()
        if not stripped:
            continue
        last = start + len(stripped) - 1
        holding = [i for i, (a, b) in enumerate(offsets[:keep]) if a <= last < b]
        if holding:
            assert token == holding[-1]
        elif name == "sequence" and any(b > a for a, b in offsets[:keep]):
            assert token == keep - 1
        else:
            assert token is None
    placed = [token for token in found if token is not None]
    assert placed == sorted(placed)


def test_a_character_of_several_tokens_and_an_end_token() -> None:
    offsets = [(0, 1), (0, 1), (0, 1), (0, 1), (1, 2), (2, 2)]
    assert segment_end_tokens(offsets, [(0, 1), (1, 2)], "😀.", False) == [3, 4]
    assert segment_end_tokens([], [(0, 2)], "ab", True) == [None]
    assert segment_end_tokens([(0, 3)], [(0, 2), (2, 3)], "abc", False) == [0, 0]


def value(*spans: tuple[int, int, str], missing: str | None = None, corrected: str | None = None) -> SpansValue:
    return SpansValue.model_validate(
        {
            "spans": [{"start": a, "end": b, "type": kind} for a, b, kind in spans],
            "missing": [{"type": missing}] if missing else [],
            "corrected": corrected,
        }
    )


def test_a_segment_is_in_error_by_its_own_types_only() -> None:
    text = "Right here, this is off. And that is wrong."
    off, wrong = (12, 24, "irrelevant"), (25, 43, "wrong-grounding")
    marked = value(off, wrong)
    assert [bad for _, bad in segment_labels(text, marked, RELEVANCE)] == [False, True, False]
    assert [bad for _, bad in segment_labels(text, marked, FACTUALITY)] == [False, True]
    assert [bad for _, bad in segment_labels(text, marked, COMPLETENESS)] == [False]
    assert [bad for _, bad in segment_labels(text, value(missing="missing-answer"), COMPLETENESS)] == [True]
    name = value((0, 5, "wrong-grounding"))
    assert [bad for _, bad in segment_labels(text, name, FACTUALITY)] == [True, False], (
        "one wrong name spoils its sentence"
    )
    border = value((20, 30, "wrong-grounding"))
    assert [bad for _, bad in segment_labels(text, border, FACTUALITY)] == [False, True], (
        "a span that leaks over the border"
    )


def test_constructed_feedback_has_both_answers_and_its_correction() -> None:
    from ddd_llm_tests.feedback.test_constructed import planted

    made = planted()
    table = span_table(from_constructed(made))
    assert 1.5 * len(made) < table.num_rows <= 2 * len(made)
    kinds = {"relevance": RELEVANCE, "factuality": FACTUALITY, "completeness": COMPLETENESS}
    for name, (segments, wrong) in error_counts(table, kinds).items():
        assert 0.05 * segments < wrong < 0.6 * segments, name
    corrected = {json.loads(value)["corrected"] for value in table["value"].to_pylist()} - {None}
    assert corrected == {p.right for p in made}
    assert json.loads(table["prompt"][0].as_py())[-1]["role"] == "user"
