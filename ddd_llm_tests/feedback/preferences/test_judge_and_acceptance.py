"""A judge behind a real HTTP server that misbehaves, and the acceptance of what it judged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from ddd_llm.feedback.labels import Item
from ddd_llm.feedback.preferences.acceptance import AcceptancePolicy, decide, draw, sampling_plan
from ddd_llm.feedback.preferences.judge import EndpointJudge, JudgeError, judge_items, read_verdict
from ddd_llm.feedback.preferences.policy import JudgePolicy
from ddd_llm_tests.chat_server import Server, endpoint
from ddd_llm_tests.feedback.samples import item

KEY = "sk-planted-secret-key"


@pytest.fixture
def server() -> Iterator[Server]:
    """Prefers the answer with the word GOOD."""

    def verdict(said: str) -> str:
        first = said.index("GOOD") < said.index("### Answer B") if "GOOD" in said else True
        return f"So. **Verdict: {'A' if first else 'B'}**"

    with endpoint(verdict, {"garbage": "I like both.", "always": "VERDICT: A"}) as made:
        yield made


def judge(server: Server, **changes: Any) -> EndpointJudge:
    policy = {"kind": "endpoint", "url": server.url, "model": "m", "api_key_env": "JUDGE_KEY", "seconds": 0.7}
    return EndpointJudge(JudgePolicy.model_validate(policy | changes), wait=lambda seconds: None)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)


def duel(number: int = 0, good: int = 1) -> Item:
    responses = ["Bad.", "Bad."]
    responses[good] = "GOOD."
    return item("preference", prompt=f"Question {number}?", responses=tuple(responses))


def test_both_orders_are_asked_and_the_answer_is_read(server: Server) -> None:
    asked = judge(server)
    found = judge_items([duel(0, 1), duel(1, 0)], asked)
    assert found.preferences() == {duel(0, 1).id: "second", duel(1, 0).id: "first"}
    assert len(server.seen) == 4
    path, headers, body = server.seen[0]
    assert (path, headers["Authorization"], body["model"]) == ("/v1/chat/completions", f"Bearer {KEY}", "m")
    assert "Question 0?" in body["messages"][1]["content"]
    assert asked.tokens == 400


def test_a_busy_endpoint_is_asked_again(server: Server) -> None:
    server.script = ["429", "503", "judge", "500", "drop"]
    assert judge_items([duel()], judge(server)).preferences() == {duel().id: "second"}
    server.script = ["noise", "cut"]
    assert judge_items([duel()], judge(server)).preferences() == {duel().id: "second"}, "it breaks off, or is no server"


@pytest.mark.parametrize(
    ("script", "reason", "requests"),
    [
        (["garbage"], "judge_unreadable", 1),
        (["html"], "judge_unreadable", 1),
        (["huge"], "judge_unreadable", 1),
        (["slow"] * 4, "judge_timeout", 4),
        (["503"] * 4, "judge_failed", 4),
        (["noise", "noise", "cut", "cut"], "judge_failed", 4),
        (["401"], "judge_failed", 1),
        (["always", "always"], "judge_inconsistent", 2),
    ],
)
def test_a_judge_that_fails_is_counted_and_costs_the_others_nothing(
    server: Server, script: list[str], reason: str, requests: int
) -> None:
    server.script = list(script)
    found = judge_items([duel(0), duel(1)], judge(server))
    assert found.refused == {reason: 1}
    assert list(found.preferences()) == [duel(1).id]
    assert len(server.seen) == requests + 2
    rows = {row["item_id"]: row for row in found.table.to_pylist()}
    assert (rows[duel(0).id]["preferred"], rows[duel(0).id]["reason"]) == (None, reason)


def test_the_budget_ends_a_batch(server: Server) -> None:
    found = judge_items([duel(i) for i in range(3)], judge(server, most_tokens=350))
    assert len(found.preferences()) == 2
    assert found.refused == {"budget_spent": 1}


def test_no_endpoint_and_no_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(JudgeError) as refused:
        judge(server, url="http://127.0.0.1:9/v1")(duel(), "a", "b")
    assert refused.value.reason == "judge_failed"
    assert KEY not in str(refused.value) and "Question" not in str(refused.value)
    monkeypatch.delenv("JUDGE_KEY")
    with pytest.raises(ValueError, match="JUDGE_KEY: it is not set"):
        judge(server)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("VERDICT: A", "A"),
        ("verdict is **B**\nVERDICT: B", "B"),
        ("Verdict: TIE.", "tie"),
        ("VERDICT: A\nVERDICT: B", "B"),
    ],
)
def test_verdicts_are_read_as_they_are_written(text: str, answer: str) -> None:
    assert read_verdict(text) == answer


@settings(max_examples=30)
@given(batch=st.integers(20, 400), aql=st.floats(0.02, 0.15), gap=st.floats(0.1, 0.4))
def test_the_plan_keeps_both_risks_and_no_smaller_one_does(batch: int, aql: float, gap: float) -> None:
    policy = AcceptancePolicy(aql=aql, ltpd=aql + gap)
    plan = sampling_plan(batch, policy)
    good, bad = round(policy.aql * batch), round(policy.ltpd * batch)

    def keeps(size: int, accept: int) -> bool:
        return bool(
            hypergeom.cdf(accept, batch, good, size) >= 1 - policy.alpha
            and hypergeom.cdf(accept, batch, bad, size) <= policy.beta
        )

    assert keeps(plan.size, plan.accept)
    if plan.size < batch and plan.size > 1:
        assert not any(keeps(plan.size - 1, accept) for accept in range(plan.size))


def test_the_operating_characteristic_falls() -> None:
    """Large batches come near the binomial plan of the textbooks: aql 1%, ltpd 5%, 5% and 10%: n 132, c 3."""
    plan = sampling_plan(100_000, AcceptancePolicy(aql=0.01, ltpd=0.05))
    assert (plan.size, plan.accept) == (132, 3)
    curve = [plan.acceptance(share / 100) for share in range(0, 12)]
    assert curve == sorted(curve, reverse=True)
    with pytest.raises(ValueError, match="smaller than ltpd"):
        AcceptancePolicy(aql=0.3, ltpd=0.2)


@settings(max_examples=60)
@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4), size=st.integers(0, 60), seed=st.text(max_size=3))
def test_the_sample_is_of_its_size_and_every_stratum_is_in_it(sizes: list[int], size: int, seed: str) -> None:
    strata = {f"{name}-{i}": str(name) for name, count in enumerate(sizes) for i in range(count)}
    chosen = draw(strata, size, seed)
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= strata.keys()
    assert chosen == draw(dict(reversed(strata.items())), size, seed)
    if size >= len(sizes):
        assert len(chosen) == min(size, len(strata))
        assert {strata[item_] for item_ in chosen} == set(strata.values())


def batch(unlike: int, size: int = 60) -> tuple[dict[str, str], dict[str, str], list[str]]:
    said = {f"i{i:03}": "first" if i % 2 else "second" for i in range(size)}
    sample = sorted(said)[: sampling_plan(size, AcceptancePolicy()).size]
    people = {name: said[name] for name in sample}
    for name in sample[:unlike]:
        people[name] = "tie"
    return said, people, sample


def test_only_a_judged_and_agreeing_sample_lets_a_batch_through() -> None:
    policy = AcceptancePolicy()
    plan = sampling_plan(60, policy)
    accepted = decide(*batch(plan.accept), policy)
    assert accepted.outcome == "accepted"
    assert accepted.agreement is not None and accepted.low is not None and accepted.low < accepted.agreement
    assert accepted.curve[0] == (0.0, 1.0) and accepted.curve[-1][1] == 0.0
    assert decide(*batch(plan.accept + 1), policy).outcome == "rejected"
    said, people, sample = batch(0)
    assert decide(said, dict(list(people.items())[1:]), sample, policy).outcome == "insufficient"
    assert decide(said, people, sample[1:], policy).outcome == "insufficient"
    assert decide({}, {}, [], policy).outcome == "insufficient"


def test_agreement_by_chance_is_no_agreement() -> None:
    said = {f"i{i:03}": "first" for i in range(60)}
    sample = sorted(said)[: sampling_plan(60, AcceptancePolicy()).size]
    people = dict.fromkeys(sample, "first") | {sample[0]: "second"}
    found = decide(said, people, sample, AcceptancePolicy())
    assert (found.outcome, found.kappa) == ("rejected", 0.0)
    assert "by chance" in found.sentence
