"""Planted errors: each is where its span says, the right answer is untouched, and length gives nothing away."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache

import pytest

from ddd_llm.feedback.agreement.spans import character_f1
from ddd_llm.feedback.constructed import KINDS, ConstructedConfig, Planted, construct
from ddd_llm.feedback.label_rules import check_label
from ddd_llm.feedback.labels import LabelSchema
from ddd_llm.instructions.build import build_dataset
from ddd_llm.instructions.recipe import DatasetConfig
from ddd_llm.instructions.split import SplitConfig
from ddd_llm_tests.feedback.samples import item, label
from ddd_llm_tests.instructions.samples import no_pairs, real_candidates, real_documents

SCHEMA = LabelSchema(
    kind="spans",
    error_types=("irrelevant", "redundant", "incoherent", "wrong-grounding", "unverifiable"),
    missing_types=("missing-answer", "missing-major-auxiliary", "missing-minor-auxiliary"),
)


@cache
def dataset():
    split = SplitConfig(validation=0.3, test=0.1, largest_held_out=1.0)
    config = DatasetConfig(
        train_size=800, validation_size=300, test_size=40, per_module=400, package_share=1, split=split
    )
    return build_dataset(real_candidates(6, 0.3), real_documents(), no_pairs(), config).table


@cache
def planted() -> tuple[Planted, ...]:
    return tuple(construct(dataset(), ConstructedConfig(train=400, held_out=120)))


def test_they_come_from_the_splits_they_say_and_never_from_test() -> None:
    rows = {row["id"]: row for row in dataset().to_pylist()}
    assert {rows[p.example]["split"] for p in planted()} == {"train", "validation"}
    for p in planted():
        row = rows[p.example]
        assert p.split == {"train": "train", "validation": "held_out"}[row["split"]]
        assert [*json.loads(p.prompt), {"role": "assistant", "content": p.right}] == json.loads(row["messages"])
        assert p.source_ids == tuple(row["source_ids"])
        assert p.passage in json.loads(p.prompt)[0]["content"]
    components = {split: {p.component for p in planted() if p.split == split} for split in ("train", "held_out")}
    assert not components["train"] & components["held_out"]


def test_outside_the_planted_error_nothing_is_touched() -> None:
    for p in planted():
        assert p.harmed != p.right
        of = item("spans", responses=(p.harmed,), passage=p.passage)
        check_label(label(of, value=p.value.model_dump()), of, SCHEMA)
        assert p.value.spans or p.value.missing
        (span,) = p.value.spans or (None,)
        if span is None:
            assert p.error == "missing_parameter"
            assert p.value.missing[0].text in p.right and p.value.missing[0].text not in p.harmed
        elif p.error != "cut_off":
            assert p.right.startswith(p.harmed[: span.start].rstrip())
            assert p.right.endswith(p.harmed[span.end :])


def test_what_is_said_to_be_wrong_by_the_passage_is_not_in_it() -> None:
    for p in planted():
        if p.error in ("wrong_default", "invented_parameter", "wrong_exception"):
            (span,) = p.value.spans
            assert p.harmed[span.start : span.end].strip("`") not in p.passage
        if p.error in ("irrelevant_sentence", "another_answer"):
            (span,) = p.value.spans
            assert p.harmed[span.start : span.end] not in p.passage
        if p.error == "cut_off":
            assert p.right.startswith(p.harmed)
        if p.error == "repeated_sentence":
            assert p.harmed == f"{p.right} {p.right}"


def test_every_kind_occurs_and_none_rules() -> None:
    kinds = Counter(p.error for p in planted())
    assert set(kinds) == set(KINDS)
    assert max(kinds.values()) < 0.35 * len(planted())


def test_the_longer_answer_is_no_hint() -> None:
    longer = sum(len(p.right) > len(p.harmed) for p in planted())
    shorter = sum(len(p.right) < len(p.harmed) for p in planted())
    assert abs(longer - shorter) <= 0.1 * len(planted())


def test_the_same_examples_give_the_same_errors_in_any_order() -> None:
    shuffled = dataset().sort_by("id")
    again = construct(shuffled, ConstructedConfig(train=400, held_out=120))
    assert [p.id for p in again] == [p.id for p in planted()]
    assert len({p.id for p in again}) == len(again)


def test_no_examples_no_errors() -> None:
    assert construct(dataset().slice(0, 0), ConstructedConfig()) == []


@pytest.mark.parametrize(("one", "two", "f1"), [([(0, 2, "a")], [(0, 2, "b")], 0.0), ([], [], 1.0)])
def test_types_tell_spans_apart(one: list, two: list, f1: float) -> None:
    assert character_f1(one, two) == f1
