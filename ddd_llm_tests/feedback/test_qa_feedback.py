"""QA-FEEDBACK's schema: read into labels that the guideline allows, written back, refused with a place."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.feedback.guidelines import FOLDER, load_versions
from ddd_llm.feedback.label_rules import check_label
from ddd_llm.feedback.labels import Missing, SpansValue
from ddd_llm.feedback.qa_feedback import (
    GUIDELINE,
    QaRecord,
    comparisons_of,
    label_of,
    read_records,
    record_of,
    write_records,
)
from ddd_llm.platform.settings import CHECKOUT
from ddd_llm_tests.feedback.samples import item

ANSWER = "Paris is the capital. It is large. It is in Spain."


def record(**changes: Any) -> dict[str, Any]:
    return {
        "question": "What is the capital of France?",
        "passages": [["France", "France is a country.", "Its capital is Paris."], ["Paris", "Paris lies on the Seine."]],
        "gold": "Paris, on the Seine.",
        "prediction 1": ANSWER, "prediction 2": "Paris.", "prediction 3": "Lyon.", "prediction 4": "Paris.",
        "preference": [2, 1, 0, 1, 0, 2],
        "feedback": {
            "errors": [
                {"start": 22, "end": 34, "error type": "Irrelevant", "explanation": ""},
                {"start": 30, "end": 36, "error type": "Irrelevant", "explanation": ""},
                {"start": 35, "end": 50, "error type": "Wrong-Grounding", "explanation": "no"},
            ],
            "missing-info": [{"error type": "Missing-Major-Auxiliary", "passage_id": 2, "sentence_id": [1, 9]}],
            "corrected-prediction": "Paris, on the Seine.",
        },
        **changes,
    }  # fmt: skip


def schema() -> Any:
    versions = load_versions(CHECKOUT / "assets" / FOLDER)
    return max((g for (name, _), g in versions.items() if name == GUIDELINE), key=lambda g: g.version).label_schema


def test_a_record_becomes_a_label_that_the_guideline_allows() -> None:
    ((read,), refused) = read_records(json.dumps([record()]))
    assert refused == []
    shown, label = label_of(read, "someone", "1")
    check_label(label, shown, schema())
    assert isinstance(label.value, SpansValue) and shown.passage is not None
    assert [(s.start, s.end, s.type) for s in label.value.spans] == [
        (22, 36, "irrelevant"),
        (35, 50, "wrong-grounding"),
    ]
    cited, nowhere = label.value.missing
    assert cited.where is not None and shown.passage[slice(*cited.where)] == cited.text == "Paris lies on the Seine."
    assert (nowhere.type, nowhere.where) == ("missing-major-auxiliary", None)
    assert label.value.corrected == "Paris, on the Seine."


def test_comparisons_that_were_decided() -> None:
    ((read,), _) = read_records(json.dumps(record()))
    assert comparisons_of(read) == [("Paris.", ANSWER), (ANSWER, "Lyon."), ("Paris.", "Lyon."), ("Paris.", "Lyon.")]


@settings(max_examples=40)
@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=9), min_size=1, max_size=4),
        max_size=4,
    )
)
def test_every_sentence_has_its_place_in_the_passage(passages: list[list[str]]) -> None:
    read = QaRecord.model_validate(record(passages=passages, feedback={}))
    text = read.passage()
    for p, sentences in enumerate(passages, 1):
        for s, sentence in enumerate(sentences):
            place = read.place(p, s)
            assert place is not None and text[slice(*place)] == sentence
    assert read.place(len(passages) + 1, 0) is None and read.place(0, 0) is None


def test_what_is_read_is_written_as_it_was() -> None:
    given_records = [
        record(),
        record(gold="", feedback={"errors": [], "missing-info": [], "corrected-prediction": "x"}),
    ]
    records, _ = read_records("\n".join(map(json.dumps, given_records)))
    assert json.loads(write_records(records)) == given_records


def test_a_label_of_ours_goes_out_and_comes_back() -> None:
    ((read,), _) = read_records(json.dumps([record()]))
    shown, label = label_of(read, "a", "1")
    assert isinstance(label.value, SpansValue)
    ((again,), refused) = read_records(write_records([record_of(shown, label.value)]))
    assert refused == []
    assert label_of(again, "a", "1") == (shown, label)


PASSAGES = st.text(st.sampled_from("ab \n."), max_size=30)


@settings(max_examples=300)
@given(data=st.data(), passage=st.none() | PASSAGES)
def test_whatever_was_cited_is_found_again(data: st.DataObject, passage: str | None) -> None:
    """The item is the same one; a citation that begins and ends at spaces is exact, and any other is covered."""
    of = item("spans", guideline=GUIDELINE, passage=passage)
    where = None
    if passage:
        start = data.draw(st.integers(0, len(passage) - 1))
        where = start, data.draw(st.integers(start + 1, len(passage)))
    value = SpansValue(missing=(Missing(type="missing-answer", where=where),))
    ((again,), refused) = read_records(write_records([record_of(of, value)]))
    back, label = label_of(again, "a", "1")
    assert refused == [] and back.id == of.id
    assert isinstance(label.value, SpansValue) and label.value.missing
    if where is None or not (passage or "")[slice(*where)].strip():
        return
    covered = {place for gap in label.value.missing if gap.where for place in range(*gap.where)}
    spoken = {place for place in range(*where) if (passage or "")[place] not in " \n"}
    assert spoken <= covered


def test_what_is_no_record_is_named() -> None:
    text = json.dumps([record(), {"question": "?"}, record(preference=[7])])
    records, refused = read_records(text)
    assert len(records) == 1
    assert [number for number, _ in refused] == [2, 3]
    assert "passages" in refused[0][1] and "preference" in refused[1][1]


@pytest.mark.skipif("DDD_LLM_DATA" not in os.environ, reason="DDD_LLM_DATA names no folder of data sets")
def test_the_published_file_round_trips_and_every_label_is_allowed() -> None:
    path = Path(os.environ["DDD_LLM_DATA"]) / "qa_feedback" / "data.jsonl.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    records, refused = read_records(text)
    assert (len(records), refused) == (294, [])
    assert json.loads(write_records(records)) == [json.loads(line) for line in text.splitlines()]
    allowed = schema()
    for read in records:
        item, label = label_of(read, "published", "1")
        check_label(label, item, allowed)
