"""Label Studio's form: a round trip loses nothing, and what its users make there is read as they meant it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.feedback.label_rules import check_label
from ddd_llm.feedback.label_studio import EXTRAS, Imported, from_tasks, to_tasks
from ddd_llm.feedback.label_studio_interface import interface
from ddd_llm.feedback.labels import ChoiceValue, PreferenceValue, SpansValue
from ddd_llm.feedback.reading import feedback_files, read_feedback
from ddd_llm.feedback.records import line_of
from ddd_llm_tests.feedback.samples import SCHEMAS, VERSIONS, guideline, item, items, label, labels

CURRENT = {f"by-{kind}": "1" for kind in SCHEMAS}


@settings(max_examples=200)
@given(data=st.data())
def test_a_round_trip_loses_nothing(data: st.DataObject) -> None:
    shown = data.draw(st.lists(items(), min_size=1, max_size=3, unique_by=lambda i: i.id))
    given_ = [data.draw(labels(of)) for of in shown for _ in range(data.draw(st.integers(0, 2)))]
    swapped = frozenset(of.id for of in shown if data.draw(st.booleans()))
    text = json.dumps(to_tasks(shown, given_, CURRENT, swapped))
    found = from_tasks(json.loads(text))
    assert found.refused == []
    assert found.items == shown
    assert sorted(found.labels, key=lambda x: x.id) == sorted(given_, key=lambda x: x.id)


def exported(kind: str, results: list[dict[str, Any]], swapped: bool = False, **annotation: Any) -> Imported:
    """As the tool writes it: no result of ours, the annotator a number, more keys than we know."""
    of = item(kind)
    (task,) = to_tasks([of], [], CURRENT, frozenset({of.id}) if swapped else frozenset())
    body = {
        "id": 7,
        "completed_by": 3,
        "result": results,
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2026-11-26T10:00:00.000000Z",
        "lead_time": 8.4,
        **annotation,
    }
    return from_tasks([{**task, "id": 1, "annotations": [body], "drafts": [{}], "predictions": [{}, {}], "project": 2}])


def region(start: int, end: int, text: str, identity: str = "x", name: str = "error", kind: str = "irrelevant") -> dict:
    value = {"start": start, "end": end, "text": text, "labels": [kind], "globalOffsets": {"start": start, "end": end}}
    return {
        "id": identity,
        "from_name": name,
        "to_name": "response",
        "type": "labels",
        "origin": "manual",
        "value": value,
    }


def test_what_people_mark_there_is_read() -> None:
    note = {"id": "x", "from_name": "note", "to_name": "response", "type": "textarea", "value": {"text": ["So?"]}}
    found = exported("spans", [region(12, 23, "So I think."), note])
    (made,) = found.labels
    assert isinstance(made.value, SpansValue)
    assert [(s.start, s.end, s.type, s.note) for s in made.value.spans] == [(12, 23, "irrelevant", "So?")]
    assert (made.annotator, made.seconds, made.guideline_version, made.origin) == ("3", 8.4, "1", "people")
    assert found.passed_over == {"drafts": 1, "predictions": 2}
    check_label(made, item("spans"), SCHEMAS["spans"])


def test_an_answer_changed_there_is_the_later_one(tmp_path: Path) -> None:
    """Whether it was exported from here or made there: `created_at` stays as it was, `updated_at` moves."""
    of = item()
    mine = label(of, value={"choice": "right"}, labelled_at="2026-11-26T10:00:00+00:00")
    (task,) = to_tasks([of], [mine], CURRENT)
    (annotation,) = task["annotations"]
    annotation |= {"updated_at": "2026-11-27T09:00:00Z"}
    assert from_tasks([task]).labels == [mine], "handed in there, and not changed"
    annotation["result"][0]["value"]["choices"] = ["wrong"]
    (tmp_path / "b.json").write_text(json.dumps([task]))
    (tmp_path / "a.jsonl").write_bytes(line_of(of) + line_of(mine))
    found = read_feedback(feedback_files([tmp_path]), VERSIONS)
    assert (found.superseded, found.quarantine) == ([mine], [])
    assert found.labels[0].value == ChoiceValue(choice="wrong")
    choice = [{"from_name": "choice", "to_name": "response", "type": "choices", "value": {"choices": ["right"]}}]
    (native,) = exported("choice", choice, updated_at="2026-11-27T09:00:00Z").labels
    assert native.labelled_at == "2026-11-27T09:00:00Z"


def test_everything_submitted_in_a_text_area_is_kept() -> None:
    def said(name: str, *entries: str, **more: str) -> dict[str, Any]:
        return {"from_name": name, "to_name": "response", "type": "textarea", "value": {"text": list(entries)}, **more}

    results = [
        region(12, 23, "So I think."),
        said("note", "So?", "Who?", id="x"),
        said("missing-missing-answer", "the one", "the other"),
        said("corrected", "Yes,", "it is."),
    ]
    value = exported("spans", results).labels[0].value
    assert isinstance(value, SpansValue)
    assert value.spans[0].note == "So?\nWho?"
    assert [(m.type, m.text) for m in value.missing] == [("missing-answer", "the one"), ("missing-answer", "the other")]
    assert value.corrected == "Yes,\nit is."


def test_left_and_right_mean_what_was_shown_there() -> None:
    results = [
        {"from_name": "preferred", "to_name": "left", "type": "pairwise", "value": {"selected": "left"}},
        *(
            {"from_name": f"{name}-{side}", "to_name": side, "type": "rating", "value": {"rating": score}}
            for name in ("safety", "tone")
            for side, score in (("left", 5), ("right", 2))
        ),
    ]
    for swapped, preferred, scores in ((False, "first", (5, 2)), (True, "second", (2, 5))):
        (made,) = exported("preference", results, swapped).labels
        assert isinstance(made.value, PreferenceValue)
        assert made.value.preferred == preferred
        assert made.value.rubrics == {"safety": scores, "tone": scores}
        assert made.shown == ("second_first" if swapped else "first_second")


@pytest.mark.parametrize(("start", "end"), [(2, 5), (3, 6)])
def test_both_ways_of_counting_an_emoji_are_understood(start: int, end: int) -> None:
    of = item("spans", responses=("😀 bad",))
    (task,) = to_tasks([of], [], CURRENT)
    annotation = {"completed_by": {"id": 1}, "result": [region(start, end, "bad")]}
    (made,) = from_tasks([{**task, "annotations": [annotation]}]).labels
    assert isinstance(made.value, SpansValue)
    assert (made.value.spans[0].start, made.value.spans[0].end) == (2, 5)


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ({"result": [region(0, 3, "Now")]}, "span_text_mismatch"),
        ({"completed_by": None}, "no_annotator"),
        ({"result": [{"from_name": "error"}]}, "wrong_shape"),
        ({"result": 5}, "wrong_shape"),
        ({"lead_time": -1}, "invalid_label"),
    ],
)
def test_one_bad_annotation_is_counted_with_its_place(annotation: dict[str, Any], reason: str) -> None:
    found = exported("spans", [], **annotation)
    assert [(place, why) for place, why, _ in found.refused] == [("task 0, annotation 0", reason)]
    assert len(found.items) == 1


def test_cancelled_answers_and_foreign_tasks_are_no_labels() -> None:
    assert exported("choice", [], was_cancelled=True).passed_over["cancelled"] == 1
    found = from_tasks([{"data": {"text": "x"}}, 3, {"meta": {EXTRAS: {"item": {}}}}])
    assert [reason for _, reason, _ in found.refused] == ["foreign_task", "foreign_task", "invalid_item"]
    assert from_tasks({}).refused[0][1] == "wrong_shape"
    assert exported("choice", []).refused[0][1] == "incomplete_answer"


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_interface_names_everything_that_is_read(kind: str) -> None:
    tree = ET.fromstring(interface(guideline(kind)))
    names = {element.get("name") for element in tree.iter()}
    wanted = {
        "choice": {"choice"},
        "preference": {"preferred", "safety-left", "safety-right", "tone-left", "tone-right"},
        "spans": {"error", "missing", "note", "missing-text", "missing-missing-answer", "corrected"},
    }[kind]
    assert wanted <= names
    shown = {element.get("value") for element in tree.iter("Text")}
    of = item(kind)
    (task,) = to_tasks([of], [label(of)], CURRENT)
    assert {f"${name}" for name in task["data"]} == shown
