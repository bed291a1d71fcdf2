"""What makes a label valid for its item, and that it survives every form it is kept in."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.feedback.label_rules import check_label, splits_character
from ddd_llm.feedback.labels import ITEMS_SCHEMA, LABELS_SCHEMA, LabelError, LabelSchema
from ddd_llm.feedback.reading import items_of, labels_of, labels_table
from ddd_llm.feedback.records import entry_of, line_of
from ddd_llm_tests.feedback.samples import SCHEMAS, item, items, label, labels


@given(st.data())
def test_valid_labels_pass_and_come_back_from_lines_and_tables(data: st.DataObject) -> None:
    of = data.draw(items())
    made = data.draw(labels(of))
    check_label(made, of, SCHEMAS[of.kind])
    assert entry_of(line_of(of)) == of
    assert entry_of(line_of(made)) == made
    assert labels_of(labels_table([made])) == [made]
    assert labels_table([made]).schema == LABELS_SCHEMA
    assert items_of(pa.Table.from_pylist([of.row()], schema=ITEMS_SCHEMA)) == {of.id: of}


def spans(*found: tuple[int, int, str]) -> dict[str, Any]:
    return {"spans": [{"start": a, "end": b, "type": kind} for a, b, kind in found]}


TEXT = "Yes, it is. So I think."  # 23 characters


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("choice", {"choice": "maybe"}, "unknown_choice"),
        ("preference", {"preferred": "first", "rubrics": {"safety": [1, 2]}}, "missing_rubric"),
        ("preference", {"preferred": "first", "rubrics": {"safety": [1, 2], "tone": [1, 6]}}, "score_out_of_range"),
        (
            "preference",
            {"preferred": "tie", "rubrics": {"safety": [1, 2], "tone": [1, 2], "wit": [1, 1]}},
            "unknown_rubric",
        ),
        ("spans", spans((0, 3, "rude")), "unknown_error_type"),
        ("spans", spans((0, 24, "irrelevant")), "span_outside_text"),
        ("spans", spans((-1, 3, "irrelevant")), "span_outside_text"),
        ("spans", spans((3, 3, "irrelevant")), "span_empty"),
        ("spans", spans((5, 3, "irrelevant")), "span_empty"),
        ("spans", spans((0, 5, "irrelevant"), (4, 8, "irrelevant")), "spans_overlap"),
        ("spans", {"missing": [{"type": "missing-all"}]}, "unknown_missing_type"),
        ("spans", {"missing": [{"type": "missing-answer", "where": [2, 99]}]}, "passage_span_outside_text"),
    ],
)
def test_what_is_no_answer_is_refused_with_its_reason(kind: str, value: dict[str, Any], reason: str) -> None:
    of = item(kind)
    with pytest.raises(LabelError) as refused:
        check_label(label(of, value=value), of, SCHEMAS[kind])
    assert refused.value.reason == reason
    assert "think" not in str(refused.value)


def test_types_may_overlap_and_so_may_neighbours_touch() -> None:
    of = item("spans")
    for value in (
        spans((0, 5, "irrelevant"), (5, 8, "irrelevant")),
        spans((0, 5, "irrelevant"), (2, 8, "wrong-grounding")),
    ):
        check_label(label(of, value=value), of, SCHEMAS["spans"])


@pytest.mark.parametrize(
    ("text", "at"),
    [("e\u0301t", 1), ("👩🏽", 1), ("👩\u200d🔬", 1), ("👩\u200d🔬", 2), ("\r\n", 1), ("☂\ufe0f", 1)],
)
def test_a_span_may_not_cut_a_character_from_its_marks(text: str, at: int) -> None:
    assert splits_character(text, at)
    of = item("spans", responses=(text,))
    with pytest.raises(LabelError) as refused:
        check_label(label(of, value=spans((0, at, "irrelevant"))), of, SCHEMAS["spans"])
    assert refused.value.reason == "span_splits_character"
    check_label(label(of, value=spans((0, len(text), "irrelevant"))), of, SCHEMAS["spans"])


def test_a_label_for_something_else_is_refused() -> None:
    of, other = item(), item(prompt="Was it?")
    for made, reason in (
        (label(other), "wrong_item"),
        (label(item("spans")).model_copy(update={"item_id": of.id}), "wrong_kind"),
    ):
        with pytest.raises(LabelError) as refused:
            check_label(made, of, SCHEMAS["choice"])
        assert refused.value.reason == reason
    pair = item("preference")
    with pytest.raises(LabelError) as unordered:
        check_label(label(pair, shown=None), pair, SCHEMAS["preference"])
    assert unordered.value.reason == "missing_order"


def test_an_item_is_what_is_shown() -> None:
    assert item().id == item(slice="x", gold='{"choice":"right"}', source_ids=("d",)).id
    assert len({item().id, item(prompt="?").id, item(passage=None).id, item(responses=("No.",)).id}) == 4


@pytest.mark.parametrize(
    "schema",
    [
        {"kind": "choice"},
        {"kind": "spans"},
        {"kind": "choice", "choices": ["a", "a"]},
        {"kind": "choice", "choices": ["Not a name"]},
        {"kind": "essay"},
    ],
)
def test_a_schema_that_allows_nothing_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        LabelSchema.model_validate(schema)
