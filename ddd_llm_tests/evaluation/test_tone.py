"""The tone rubric: what each criterion of the shipped policy catches, paired changes, and holding the scorer against people."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ddd_llm.evaluation.tone import FILE, AnswerSet, Criterion, TonePolicy, changes, validate
from ddd_llm.evaluation.tone_page import scores_table
from ddd_llm.platform.inputs import load_yaml
from ddd_llm.platform.settings import CHECKOUT

POLICY = load_yaml(CHECKOUT / "assets" / FILE, TonePolicy)
PLAIN = "`mode` defaults to `'r'`."


@pytest.mark.parametrize(
    ("answer", "broken"),
    [
        (PLAIN, set()),
        ("It returns `I` and `me!`, as `sorry()` does.", set()),
        ("Sure, `mode` defaults to `'r'`.", {"no-chatter"}),
        ("I think that `mode` defaults to `'r'`.", {"nobody-speaks"}),
        ("As an AI language model, nothing can be said.", {"nobody-speaks"}),
        ("Unfortunately there is no such parameter.", {"no-apology"}),
        ("It is closed!", {"no-shouting"}),
        ("It just closes the stuff.", {"no-slang"}),
        ("An amazing reader of files.", {"nothing-sold"}),
        ("It returns the", {"whole-sentence"}),
        (" ".join(["word"] * 41) + ".", {"short-sentences"}),
        (" ".join(["word"] * 40) + ". " + " ".join(["word"] * 40) + ".", set()),
        ("```\nI am code!\n```", set()),
    ],
)
def test_what_the_shipped_policy_catches(answer: str, broken: set[str]) -> None:
    assert {name for name, kept in POLICY.kept(answer).items() if not kept} == broken
    assert POLICY.score(answer) == pytest.approx(1 - len(broken) / len(POLICY.criteria))


def test_an_empty_answer_has_no_tone() -> None:
    assert POLICY.score(" \n") is None
    table = scores_table(POLICY, [AnswerSet("some", "a", {"a": ["", PLAIN]}, ["x", "y"], ["1", "2"])])
    assert table["score"].to_pylist() == [None, 1.0]
    assert table["broken"].to_pylist() == [[], []]


@given(st.text())
def test_every_score_lies_between_0_and_1(answer: str) -> None:
    score = POLICY.score(answer)
    assert score is None or 0 <= score <= 1


def test_weights_count() -> None:
    heavy = TonePolicy(
        version=1,
        criteria=(
            Criterion(id="a", description="a", avoid=("x",), weight=3),
            Criterion(id="b", description="b", avoid=("y",)),
        ),
    )
    assert [heavy.score(text) for text in ("z", "x", "y", "xy")] == [1, 0.25, 0.75, 0]


@pytest.mark.parametrize(
    "wrong", [{}, {"avoid": ["("]}, {"avoid": ["x"], "weight": 0}, {"sentence_words_at_most": 0}, {"forbid": ["x"]}]
)
def test_a_criterion_that_says_nothing_or_nonsense_is_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        Criterion.model_validate({"id": "a", "description": "a", **wrong})


def test_changes_are_paired_over_answers_that_both_gave() -> None:
    answers = {"supervised": [PLAIN, "Sorry!", "", PLAIN], "dpo": ["It is closed!", PLAIN, PLAIN, PLAIN]}
    (change,) = changes(POLICY, [AnswerSet("attacks", "supervised", answers, list("abcd"), list("abcd"))])
    assert (change.model, change.before, change.change.n) == ("dpo", "supervised", 3)
    assert change.change.mean_a == pytest.approx((1 + 6 / 8 + 1) / 3)
    assert change.change.mean_b == pytest.approx((7 / 8 + 1 + 1) / 3)
    assert change.change.low <= change.change.delta <= change.change.high
    nothing = AnswerSet("attacks", "supervised", {"supervised": [""], "dpo": ["x."]}, ["a"], ["a"])
    assert math.isnan(changes(POLICY, [nothing])[0].change.delta)


def test_the_scorer_is_held_against_people() -> None:
    rude = "Sorry, I hope this stuff helps!"
    agreeing = [((PLAIN, rude), (5, 2)), ((rude, PLAIN), (1, 4))] * 12
    found = validate(POLICY, [*agreeing, ((PLAIN, rude), (3, 3)), ((PLAIN, PLAIN), (4, 2))])
    assert (found.outcome, found.pairs, found.right, found.wrong) == ("agrees", 25, 24, 0)
    turned = [(answers, (two, one)) for answers, (one, two) in agreeing]
    assert validate(POLICY, turned).outcome == "does_not_agree"
    few = validate(POLICY, agreeing[:4])
    assert few.outcome == "insufficient" and "of 4 pairs" in few.sentence
    none = validate(POLICY, [])
    assert none.outcome == "insufficient" and math.isnan(none.low)
