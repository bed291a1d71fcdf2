"""The gate fails closed, and a better answer never turns a pass into a failure."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ddd_llm.evaluation.gate import GatePolicy, Reason, decide
from ddd_llm_tests.evaluation.helpers import Item, compared, strong

POLICY_FILE = Path(__file__).parents[2] / "assets" / "policies" / "gate.yaml"
POLICY = GatePolicy.model_validate(yaml.safe_load(POLICY_FILE.read_text(encoding="utf-8")))


def _reasons(items: list[Item], policy: GatePolicy = POLICY) -> dict[str, Reason]:
    return {reason.rule: reason for reason in decide(compared(items), policy).reasons}


def test_a_clear_win_passes_and_names_what_was_won() -> None:
    verdict = decide(compared(strong()), POLICY)
    assert verdict.passed, verdict.sentence
    assert "item-2" in verdict.deciding_items
    assert {reason.rule for reason in verdict.reasons} == {
        "every_item_scored",
        "enough_items",
        "enough_modules",
        "detectable_effect",
        "better_than_base",
        "keeps_what_base_got_right",
        "not_worse_than_champion",
        "over_refusal",
    }


def test_too_few_items_or_modules_are_too_few_to_tell() -> None:
    few = _reasons(strong(60))["enough_items"]
    assert not few.passed
    assert "too few to tell" in few.sentence
    narrow = _reasons([replace(item, module="pkg.one") for item in strong()])
    assert not narrow["enough_modules"].passed
    assert "too few to tell" in narrow["enough_modules"].sentence
    assert not narrow["detectable_effect"].passed


def test_losing_what_the_base_got_right_fails_and_names_the_items() -> None:
    items = [
        replace(item, tuned=0.0) if item.base == 1.0 and i % 3 == 0 else item for i, item in enumerate(strong(200))
    ]
    verdict = decide(compared(items), POLICY)
    rule = next(reason for reason in verdict.reasons if reason.rule == "keeps_what_base_got_right")
    assert not verdict.passed
    assert not rule.passed
    assert rule.items
    assert all(items[int(name.removeprefix("item-"))].base == 1.0 for name in rule.items)
    assert set(rule.items) <= set(verdict.deciding_items)


def test_a_base_that_got_almost_nothing_right_needs_a_stated_choice() -> None:
    items = [replace(item, base=float(i == 0), tuned=1.0) for i, item in enumerate(strong())]
    assert "too few to tell" in _reasons(items)["keeps_what_base_got_right"].sentence
    nothing = [replace(item, base=0.0, tuned=1.0) for item in strong()]
    chosen = POLICY.model_copy(update={"retention_minimum_items": 0})
    assert decide(compared(nothing), chosen).passed


def test_worse_than_the_champion_fails_only_when_there_is_one() -> None:
    items = [replace(item, champion=1.0, tuned=float(i % 7 != 0)) for i, item in enumerate(strong())]
    assert not _reasons(items)["not_worse_than_champion"].passed
    assert "not_worse_than_champion" not in _reasons([replace(item, champion=None) for item in items])


def test_over_refusal_is_bounded() -> None:
    items = [replace(item, refused=("tuned",)) if i % 8 == 0 else item for i, item in enumerate(strong())]
    rule = _reasons(items)["over_refusal"]
    assert not rule.passed
    assert "item-0" in rule.items


@pytest.mark.parametrize("broken", ["none", "empty", "no_answerable", "no_score"])
def test_nothing_to_decide_by_fails(broken: str) -> None:
    items = {
        "empty": [],
        "no_answerable": [replace(item, refusal=True) for item in strong()],
        "no_score": [replace(item, tuned=math.nan) if i == 5 else item for i, item in enumerate(strong())],
    }
    verdict = decide(None if broken == "none" else compared(items[broken]), POLICY)
    assert not verdict.passed
    assert verdict.sentence.startswith("Failed")
    assert all(reason.value is None or math.isfinite(reason.value) for reason in verdict.reasons)


PARTS = st.sampled_from(["delta", "low", "mde", "retention", "champion"])


@given(PARTS, st.sampled_from([math.nan, -math.inf]))
@settings(max_examples=10)
def test_a_number_that_is_none_never_passes(part: str, bad: float) -> None:
    result = RESULT
    whole = result.comparison("base")
    champion = result.comparison("champion")
    assert whole is not None
    assert champion is not None
    changed = {
        "delta": replace(whole, delta=replace(whole.delta, mean_a=bad, mean_b=bad, delta=bad, low=bad, high=bad)),
        "low": replace(whole, delta=replace(whole.delta, low=bad)),
        "mde": replace(whole, mde=math.nan),
        "champion": replace(champion, delta=replace(champion.delta, low=bad)),
    }
    if part == "retention":
        result = replace(result, retention=replace(result.retention, low=bad))
    else:
        old = champion if part == "champion" else whole
        comparisons = tuple(changed[part] if c is old else c for c in result.comparisons)
        result = replace(result, comparisons=comparisons)
    assert not decide(result, POLICY).passed


RESULT = compared(strong())
RULES = ("better_than_base", "keeps_what_base_got_right", "not_worse_than_champion", "over_refusal", "enough_items")
SCORES = st.sampled_from([0.0, 0.3, 0.5, 1.0])


@given(st.lists(st.tuples(SCORES, SCORES, SCORES, st.integers(0, 9)), min_size=2, max_size=40), st.data())
@settings(max_examples=60)
def test_a_better_answer_never_turns_a_pass_into_a_failure(
    rows: list[tuple[float, float, float, int]], data: st.DataObject
) -> None:
    policy = POLICY.model_copy(update={"minimum_items": 2, "minimum_modules": 2, "retention_minimum_items": 1})
    items = [Item(base, tuned, champion, module=f"m{m}") for base, tuned, champion, m in rows]
    place = data.draw(st.integers(0, len(items) - 1))
    better = [replace(item, tuned=1.0) if i == place else item for i, item in enumerate(items)]
    before, after = _reasons(items, policy), _reasons(better, policy)
    for rule in RULES:
        assert after[rule].passed or not before[rule].passed


@given(
    st.sampled_from(["retention_margin", "champion_margin", "largest_detectable_effect", "over_refusal_at_most"]),
    st.floats(0.01, 1),
    st.floats(0.01, 1),
)
@settings(max_examples=40)
def test_a_looser_policy_never_turns_a_pass_into_a_failure(name: str, one: float, other: float) -> None:
    tight, loose = (POLICY.model_copy(update={name: value}) for value in sorted((one, other)))
    assert decide(RESULT, loose).passed or not decide(RESULT, tight).passed


@pytest.mark.parametrize(
    "change", [{"extra": 1}, {"retention_margin": -0.1}, {"champion_margin": math.nan}, {"minimum_items": 0}]
)
def test_a_policy_that_says_nonsense_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        GatePolicy.model_validate({**POLICY.model_dump(), **change})
