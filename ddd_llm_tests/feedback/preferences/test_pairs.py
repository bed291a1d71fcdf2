"""Merging preferences of every origin: nothing lost, nothing twice, nothing both ways, and the QA report over them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.feedback.adjudication import AdjudicationPolicy, adjudicate
from ddd_llm.feedback.constructed import Planted
from ddd_llm.feedback.labels import SpansValue
from ddd_llm.feedback.preferences.adversarial import SafetyGap, SafetyGaps, from_red_team
from ddd_llm.feedback.preferences.judge import JUDGED_SCHEMA
from ddd_llm.feedback.preferences.pairs import (
    PAIRS_SCHEMA,
    Pair,
    from_constructed,
    from_judge,
    from_people,
    merge,
    pair_id,
    settled_preferences,
)
from ddd_llm.feedback.preferences.policy import QaPolicy, alignment_plan
from ddd_llm.feedback.preferences.qa import Finding, examine, similarity
from ddd_llm.feedback.splits import Splits
from ddd_llm.platform.inputs import load_yaml
from ddd_llm.platform.settings import load_settings
from ddd_llm_tests.feedback.samples import item, label

ASSETS = load_settings({}).assets
FIFTH = Splits(0.2)


def pair(
    chosen: str = "a", rejected: str = "b", prompt: str = "p", origin: str = "people", split: str = "train"
) -> Pair:
    empty = {"annotators": [], "label_ids": [], "source_ids": []}
    body = {"id": pair_id(prompt, chosen, rejected), "prompt": prompt, "chosen": chosen, "rejected": rejected}
    return {
        **dict.fromkeys(PAIRS_SCHEMA.names),
        **empty,
        **body,
        "origins": [origin],
        "split": split,
        "component": prompt,
    }


def reasons(table: pa.Table) -> list[str]:
    return table["reason"].to_pylist()


def test_one_pair_of_two_origins_stands_once_and_names_both() -> None:
    found = merge([pair(), pair(origin="rlaif", split="held_out")])
    (row,) = found.pairs.to_pylist()
    assert (row["origins"], row["split"]) == (["people", "rlaif"], "held_out")
    assert found.pairs.schema == PAIRS_SCHEMA


def test_what_contradicts_or_says_nothing_is_quarantined() -> None:
    found = merge([pair("a", "b"), pair("b", "a", origin="rlaif"), pair("c", "c"), pair("a", "d")])
    assert [(row["chosen"], row["rejected"]) for row in found.pairs.to_pylist()] == [("a", "d")]
    assert sorted(reasons(found.quarantine)) == ["contradiction", "contradiction", "same_answers"]


def test_a_held_out_prompt_is_not_trained_on() -> None:
    found = merge([pair("a", "b"), pair("a", "c", split="held_out")])
    assert found.pairs["split"].to_pylist() == ["held_out"]
    assert reasons(found.quarantine) == ["split_conflict"]


def test_no_document_is_learnt_from_and_measured_on() -> None:
    learnt, measured = pair("a", "b", "p"), pair("a", "b", "q", split="held_out")
    learnt["source_ids"], measured["source_ids"] = ["d1", "d2"], ["d2"]
    found = merge([learnt, measured, pair("a", "b", "r")])
    assert sorted(found.pairs["prompt"].to_pylist()) == ["q", "r"]
    assert reasons(found.quarantine) == ["split_conflict"]


def test_feedback_falls_where_the_dataset_has_its_documents() -> None:
    rows = [
        {"task": "returns", "source_ids": ["d1", "d2"], "component": "one", "split": "train"},
        {"task": "own", "source_ids": ["d1"], "component": "own:chats", "split": "train"},
        {"task": "returns", "source_ids": ["d3"], "component": "two", "split": "test"},
        {"task": "returns", "source_ids": ["d4"], "component": "three", "split": "validation"},
    ]
    splits = Splits.beside(pa.Table.from_pylist(rows), 0.2)
    assert splits.of(item(source_ids=("d2",))) == splits.of(item(source_ids=("d1",), prompt="Another?"))
    assert splits.of(item(source_ids=("d1",)))[0] == "one"
    assert splits.of(item(source_ids=("d3",))) == ("two", "held_out")
    assert splits.of(item(source_ids=("d1", "d4")))[1] == "held_out"
    assert splits.of(item(source_ids=("new",)))[0] == splits.of(item(source_ids=("new",), prompt="Else?"))[0]
    sides = [splits.side(str(n)) for n in range(2_000)]
    assert 0.17 < sides.count("held_out") / len(sides) < 0.23


answers = st.sampled_from("abcd")


@settings(max_examples=100)
@given(st.lists(st.tuples(answers, answers, st.sampled_from("pq"), st.sampled_from(["people", "rlaif"])), max_size=20))
def test_every_pair_is_kept_or_counted(given_: list[tuple[str, str, str, str]]) -> None:
    pairs = [pair(*row, split=Splits(0.5).side(row[2])) for row in given_]
    found = merge(pairs)
    kept = {row["id"] for row in found.pairs.to_pylist()}
    refused = set(found.quarantine["place"].to_pylist())
    assert {p["id"] for p in pairs} == kept | refused
    assert not kept & refused
    assert len(kept) == found.pairs.num_rows
    both = {(row["prompt"], row["chosen"], row["rejected"]) for row in found.pairs.to_pylist()}
    assert not any((prompt, worse, better) in both for prompt, better, worse in both)
    assert merge(pairs[::-1]).pairs.equals(found.pairs)


def test_people_prefer_by_what_was_settled() -> None:
    won, tied = item("preference"), item("preference", prompt="Tied?")
    given_ = [label(won, name, {"preferred": "second", "rubrics": {"safety": [1, 5], "tone": [2, 3]}}) for name in "ab"]
    given_ += [label(tied, name, {"preferred": "tie", "rubrics": {"safety": [3, 3], "tone": [3, 3]}}) for name in "ab"]
    settled = adjudicate(given_, [], AdjudicationPolicy()).settled
    pairs, ties = from_people(settled, {won.id: won, tied.id: tied}, FIFTH)
    assert ties == {"people": 1}
    (row,) = pairs
    assert (row["chosen"], row["rejected"]) == ("No.", "Yes, it is.")
    assert json.loads(row["rubrics"]) == {"safety": [5, 1], "tone": [3, 2]}
    assert row["annotators"] == ["a", "b"]
    assert json.loads(row["prompt"])[0]["content"].startswith("Documentation:\nIt is.")


def test_a_red_team_names_declared_gaps(tmp_path: Path) -> None:
    gaps = SafetyGaps(gaps=(SafetyGap(id="known", description="d", severity=2),))
    line = {"gap": "known", "prompt": "p", "chosen": "a", "rejected": "b", "author": "ada"}
    lines = [line, {**line, "gap": "new"}, {**line, "chosen": ""}, 5]
    path = tmp_path / "red.jsonl"
    path.write_text("\n".join([*map(json.dumps, lines), "{"]))
    pairs, refused = from_red_team(path, gaps, FIFTH)
    assert [(p["gap"], p["annotators"]) for p in pairs] == [("known", ["ada"])]
    assert [(r["place"], r["reason"]) for r in refused] == [
        ("red.jsonl:2", "undeclared_gap"),
        ("red.jsonl:3", "invalid_adversarialpair"),
        ("red.jsonl:4", "invalid_adversarialpair"),
        ("red.jsonl:5", "invalid_json"),
    ]


def test_the_shipped_red_team_covers_every_gap() -> None:
    gaps = load_yaml(ASSETS / "preferences" / "safety-gaps.yaml", SafetyGaps)
    pairs, refused = from_red_team(ASSETS / "preferences" / "adversarial.jsonl", gaps, FIFTH)
    assert refused == []
    assert {p["gap"] for p in pairs} == {gap.id for gap in gaps.gaps}
    assert all("demonstration" in p["annotators"][0] for p in pairs)
    assert alignment_plan(load_settings({})).version >= 1


def test_a_judged_batch_gives_pairs_only_if_accepted() -> None:
    of, other = item("preference"), item("preference", prompt="Other?")
    rows = [
        {"item_id": of.id, "preferred": "second", "reason": None, "judge": "m"},
        {"item_id": other.id, "preferred": "tie", "reason": None, "judge": "m"},
    ]
    table, known = pa.Table.from_pylist(rows, schema=JUDGED_SCHEMA), {of.id: of, other.id: other}
    assert from_judge(table, known, False, FIFTH) == ([], [])
    (made,), refused = from_judge(table, known, True, FIFTH)
    assert (made["chosen"], made["judge"], made["origins"]) == ("No.", "m", ["rlaif"]) and refused == []


def test_what_people_say_of_a_judged_item_stands() -> None:
    duels = [item("preference", prompt=f"{n}?") for n in range(4)]
    rows = [{"item_id": of.id, "preferred": "first", "reason": None, "judge": "m"} for of in duels]
    said = {duels[0].id: "first", duels[1].id: "second", duels[2].id: "tie"}  # of the fourth they say nothing
    scores = {"rubrics": {"safety": [3, 3], "tone": [3, 3]}}
    people = [label(of, who, {"preferred": said[of.id], **scores}) for of in duels[:3] for who in "ab"]
    settled = adjudicate(people, [], AdjudicationPolicy()).settled
    known = {of.id: of for of in duels}
    machine, overruled = from_judge(
        pa.Table.from_pylist(rows, schema=JUDGED_SCHEMA), known, True, FIFTH, settled_preferences(settled)
    )
    assert {row["place"]: row["reason"] for row in overruled} == dict.fromkeys(
        (duels[1].id, duels[2].id), "overruled_by_people"
    )
    found = merge([*from_people(settled, known, FIFTH)[0], *machine], overruled)
    origins = {row["item_id"]: (row["chosen"], row["origins"]) for row in found.pairs.to_pylist()}
    assert origins == {
        duels[0].id: ("Yes, it is.", ["people", "rlaif"]),
        duels[1].id: ("No.", ["people"]),
        duels[3].id: ("Yes, it is.", ["rlaif"]),
    }


def test_constructed_pairs_say_what_was_planted() -> None:
    planted = Planted("e", "[]", "p", "right", "wrong", "cut_off", SpansValue(), "held_out", "c", ("d2", "d1"))
    (made,) = from_constructed([planted])
    assert (made["chosen"], made["rejected"], made["error"], made["split"]) == ("right", "wrong", "cut_off", "held_out")
    assert made["source_ids"] == ["d1", "d2"]


def findings(pairs: list[Pair], labels: list | None = None) -> dict[str, Finding]:
    table = pa.Table.from_pylist(pairs, schema=PAIRS_SCHEMA)
    return {found.name: found for found in examine(table, labels or [], QaPolicy())}


def test_a_circle_of_preferences_is_found() -> None:
    found = findings([pair("a", "b"), pair("b", "c"), pair("c", "a"), pair("a", "b", prompt="q")])["cycles"]
    assert (found.passed, found.value) == (False, 1)
    assert len(found.examples) == 3
    assert findings([pair("a", "b"), pair("b", "c"), pair("a", "c")])["cycles"].passed


def test_length_bias_is_told_from_chance() -> None:
    biased = [pair("a" * (i + 2), "b", prompt=str(i)) for i in range(40)]
    found = findings(biased)
    assert (found["length_bias"].passed, found["length_bias"].value) == (False, 1.0)
    assert not found["length_bias_people"].passed
    assert findings(biased[:2])["length_bias"].passed, "two pairs show nothing"
    mixed = [pair("aa", "b", prompt=str(i)) if i % 2 else pair("a", "bb", prompt=str(i)) for i in range(40)]
    assert findings(mixed)["length_bias"].value == 0.5
    assert findings([pair("a", "b")])["length_bias"].value is None


def test_answers_that_are_nearly_the_same_are_counted() -> None:
    long = "The quick brown fox jumps over the lazy dog. " * 3
    found = findings([pair(long, long + "."), pair("x", "completely different")])["nearly_equal"]
    assert (found.passed, found.value) == (False, 0.5)
    assert similarity("ab", "ba") == similarity("ba", "ab")


def test_prompts_that_differ_in_spaces_only_are_one() -> None:
    found = findings([pair(prompt="Is it?"), pair(prompt="is  it?", split="held_out")])["prompts_in_both_splits"]
    assert (found.passed, found.value) == (False, 1)


def test_position_bias_and_noise_come_from_single_judgements() -> None:
    def judged(i: int, who: str, first: bool, shown: str = "first_second"):
        preferred = "first" if first == (shown == "first_second") else "second"
        value = {"preferred": preferred, "rubrics": {"safety": [3, 3], "tone": [3, 3]}}
        return label(item("preference", prompt=str(i)), who, value, shown=shown)

    labels = [judged(i, "ada", True, "second_first" if i % 2 else "first_second") for i in range(30)]
    labels += [judged(i, "ben", i % 2 == 1) for i in range(30)]
    found = findings([], labels)
    assert (found["position_bias_ada"].passed, found["position_bias_ada"].value) == (False, 1.0)
    assert (found["position_bias_ben"].passed, found["position_bias_ben"].value) == (True, 0.5)
    assert found["label_noise"].count == 30
    assert found["label_noise"].value is not None and found["label_noise"].value > 0.2
    assert not found["label_noise"].passed
    assert findings([])["label_noise"].value is None


@pytest.mark.parametrize("judge", [{"kind": "endpoint"}, {"kind": "endpoint", "url": "ftp://x", "model": "m"}])
def test_an_endpoint_must_be_named(judge: dict) -> None:
    from ddd_llm.feedback.preferences.policy import JudgePolicy

    with pytest.raises(ValueError):
        JudgePolicy.model_validate(judge)
