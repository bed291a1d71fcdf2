"""Rewards lie on the tokens where segments end, add up as weighted, and follow their rules."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.feedback.segments import sentence
from ddd_llm.training.errors import BadRecipe
from ddd_llm.training.rlhf.brevity import brevity
from ddd_llm.training.rlhf.figures import conflicts, distinct
from ddd_llm.training.rlhf.listing import listing, names, omissions
from ddd_llm.training.rlhf.recipe import FINE_GRAINED, RewardSpec, RlhfRecipe
from ddd_llm.training.rlhf.rewards import Scored, on_tokens, score, totals
from ddd_llm.training.rlhf.toxicity import HttpScorer, NonToxicity, ToxicityDelta, packaged_scorer
from ddd_llm_tests.training.rlhf.samples import TOKENIZER, fixed, sampled

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")) | st.sampled_from(". \n"), max_size=40)


@settings(max_examples=60)
@given(TEXTS, st.integers(0, 5))
def test_offsets_cover_the_text_in_order(text: str, cut: int) -> None:
    """Also where the answer stops in the middle of a character: tokens of this tokenizer are bytes."""
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    from ddd_llm.training.rlhf.answers import read_answer

    answer = read_answer("p", [1], ids[: len(ids) - cut] if cut else ids, {}, TOKENIZER)
    assert len(answer.offsets) == len(answer.ids)
    reached = 0
    for start, end in answer.offsets:
        assert start <= end <= len(answer.text) and start <= reached and end >= reached - 1
        reached = max(reached, end)
    assert reached == len(answer.text) or not answer.ids
    if not cut:
        assert answer.text == text


def test_a_token_outside_the_tokenizers_own_words_still_has_its_place() -> None:
    answer = sampled("aé.")
    assert answer.text == "aé." and answer.offsets == [(0, 1), (1, 2), (1, 2), (2, 3), (3, 3)]


def test_rewards_are_zero_but_on_segment_ends_and_add_up() -> None:
    recipe = RlhfRecipe(rewards={"a": RewardSpec(weight=0.5), "b": RewardSpec(weight=2.0)})
    answers = [sampled("xy z"), sampled("q")]
    given_scores = {
        "a": fixed([[Scored(1, 1.0, 0, 2), Scored(3, -1.0, 2, 4)], []]),
        "b": fixed([[Scored(3, 0.25, 0, 4)], [Scored(0, -1.0, 0, 1)]]),
    }
    scores = score(given_scores, answers)
    assert on_tokens(scores, answers, recipe) == [[0.0, 0.5, 0.0, 0.0, 0.0], [-2.0, 0.0]]
    assert totals(scores, recipe) == [0.5, -2.0]
    whole = on_tokens(scores, answers, recipe.model_copy(update={"credit": "sequence"}))
    assert whole == [[0.0, 0.0, 0.0, 0.0, 0.5], [0.0, -2.0]], "the same sum, at the end"


def test_names_of_a_list_are_checked_one_by_one() -> None:
    facts = {"parameters": ["a", "b", "c"]}
    answer = sampled("It takes `a`, `*b` and `x`, `a`.", facts)
    (row,) = listing([answer])
    assert [(s.value, answer.text[s.start : s.end]) for s in row] == [
        (1.0, "`a`"), (1.0, "`*b`"), (-1.0, "`x`"), (-1.0, "`a`"), (-1.0, "")
    ]  # fmt: skip
    assert [answer.text[answer.offsets[s.token][0]] for s in row[:-1]] == ["`"] * 4, "the token that ends the name"
    assert row[-1].token == len(answer.ids) - 1
    assert listing([sampled("anything", {"default": "1"})]) == [[]], "questions without such facts earn nothing"
    assert listing([sampled("It takes no parameters.", {"parameters": []})]) == [[]]
    assert names([answer]) == [row[:-1]]
    assert omissions([answer]) == [row[-1:]], "its two parts are rewards by themselves"


def test_brevity_costs_a_tenth_a_word() -> None:
    first, empty = brevity([sampled("One two, three. Four"), sampled("  ")])
    assert [segment.value for segment in first] == [pytest.approx(v) for v in (-0.2, -0.1, -0.1)]
    assert empty == []


def by_length(texts: Sequence[str]) -> list[float]:
    return [min(1.0, sum(map(ord, text)) % 97 / 97) if text else 0.0 for text in texts]


@settings(max_examples=60)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_toxicity_deltas_telescope(texts: list[str]) -> None:
    """Their sum is minus the toxicity of the whole answer, whatever the sentences and the scorer."""
    answers = [sampled(text) for text in texts]
    for text, row in zip(texts, ToxicityDelta(by_length)(answers), strict=True):
        assert sum(segment.value for segment in row) == pytest.approx(-by_length([text])[0], abs=1e-9)
        assert [(s.start, s.end) for s in row] == sentence(text)


def test_the_holistic_reward_is_one_minus_the_toxicity_of_the_whole() -> None:
    answers = [sampled("One. Two."), sampled("")]
    (whole, *more), empty = NonToxicity(by_length)(answers)
    assert whole.value == 1 - by_length(["One. Two."])[0] and more == []
    assert whole.token == len(answers[0].ids) - 1
    assert [segment.value for segment in empty] == [1.0] * bool(answers[1].ids)


def test_the_packaged_scorer_knows_an_insult() -> None:
    nice, rude, empty = packaged_scorer(["Thank you for the lovely flowers.", "You are a fucking idiot.", " "])
    assert empty == 0.0 and nice < 0.3 < 0.8 < rude
    answer = sampled("Thank you. You are a fucking idiot. Have a nice day.")
    rewards = [segment.value for segment in ToxicityDelta(packaged_scorer)([answer])[0]]
    assert rewards[1] < -0.4 and abs(rewards[0]) < 0.3, "the sentence with the insult is the one that is punished"


class _Service(BaseHTTPRequestHandler):
    answer = b""
    faults: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "busy":
            self.send_error(503)
            return
        if fault:
            self.wfile.write(
                {"garbage": b"no HTTP at all\r\n", "cut": b"HTTP/1.0 200 OK\r\nContent-Length: 99\r\n\r\n{"}[fault]
            )
            return
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = self.answer or json.dumps({"toxicity": [0.5] * len(asked["texts"])}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def service() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _Service.answer = b""
    yield f"http://127.0.0.1:{server.server_port}/score"
    server.shutdown()


def test_a_service_may_score_in_its_place(service: str) -> None:
    assert HttpScorer(service)(["a", "b"]) == [0.5, 0.5]
    for nonsense in (b"no json", b'{"toxicity": [1]}', b'{"toxicity": [0.5, 7]}', b'{"other": []}'):
        _Service.answer = nonsense
        with pytest.raises(BadRecipe):
            HttpScorer(service)(["a", "b"])
    with pytest.raises(BadRecipe, match="http"):
        HttpScorer("file:///etc/passwd")
    with pytest.raises(BadRecipe, match="no usable answer"):
        HttpScorer("http://127.0.0.1:9/", lambda _: None)(["a"])


def test_a_service_that_falters_is_asked_again(service: str) -> None:
    waits: list[float] = []
    _Service.faults[:] = ["busy", "garbage", "cut"]
    assert HttpScorer(service, waits.append)(["a"]) == [0.5] and waits == [0.5, 1.0, 2.0]
    _Service.faults[:] = ["garbage"] * 4
    with pytest.raises(BadRecipe, match="no usable answer"):
        HttpScorer(service, waits.append)(["a"])


def test_conflicts_are_correlations_of_segments() -> None:
    fine = [[Scored(0, v, 2 * i, 2 * i + 2) for i, v in enumerate(row)] for row in ([1.0, -1.0], [1.0, 1.0])]
    coarse = [[Scored(0, -1.0, 0, 4)], [Scored(0, 1.0, 0, 4)]]
    (row,) = conflicts({"fine": fine, "coarse": coarse})
    assert row["rewards"] == ["coarse", "fine"] and row["segments"] == 4
    # (1,-1), (-1,-1), (1,1), (1,1)
    assert row["correlation"] == pytest.approx(0.57735, abs=1e-4)
    assert conflicts({"fine": fine, "flat": [[Scored(0, 1.0, 0, 4)]] * 2})[0]["correlation"] is None


def test_distinct_n_grams() -> None:
    assert distinct(["a b a b", "a b"], 2) == pytest.approx(2 / 4)
    assert distinct(["a"], 2) == 0.0


def test_recipes_that_cannot_be_run_are_refused() -> None:
    with pytest.raises(ValueError, match="divide the 6 answers"):
        RlhfRecipe(prompts=3, samples=2, batch_size=4)
    with pytest.raises(ValueError, match="url belongs to"):
        RewardSpec(url="http://x")
    assert {name: spec.weight for name, spec in FINE_GRAINED.items()} == {
        "relevance": 0.3, "factuality": 0.5, "completeness": 0.3
    }  # fmt: skip
    assert RlhfRecipe(steps=9, prompts=2, samples=2, batch_size=4, passes=4).rollouts == 3
