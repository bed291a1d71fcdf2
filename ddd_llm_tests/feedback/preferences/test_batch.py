"""A batch of machine-made preferences as a whole: only where people agree with the sample does a pair come of it."""

from __future__ import annotations

from ddd_llm.feedback.labels import Item
from ddd_llm.feedback.preferences.acceptance import AcceptancePolicy
from ddd_llm.feedback.preferences.batch import judge_batch
from ddd_llm.feedback.preferences.judge import Answer
from ddd_llm.feedback.preferences.pairs import from_judge
from ddd_llm.feedback.splits import Splits
from ddd_llm_tests.feedback.samples import item

POLICY = AcceptancePolicy()


class FindsGood:
    """Prefers the answer that says GOOD, in whatever order."""

    name = "finds-good"

    def __call__(self, item: Item, a: str, b: str) -> Answer:
        return "A" if "GOOD" in a else "B"


def duels(count: int) -> list[Item]:
    rows = []
    for i in range(count):
        answers = ("GOOD.", "Bad.") if i % 3 else ("Bad.", "GOOD.")
        rows.append(item("preference", prompt=f"Question {i}?", responses=answers, slice="ab"[i % 2]))
    return rows


def right(items: list[Item]) -> dict[str, str]:
    return {one.id: "first" if one.responses[0] == "GOOD." else "second" for one in items}


def test_an_accepted_batch_gives_its_pairs_and_names_the_judge() -> None:
    items = duels(120)
    batch = judge_batch(items, FindsGood(), right(items), POLICY)
    assert batch.verdict.outcome == "accepted" and batch.acceptance()["kappa"] == 1.0
    assert {one.slice for one in batch.sample} == {"a", "b"}, "every stratum is in the sample"
    pairs, _ = from_judge(batch.judged, {one.id: one for one in items}, True, Splits(0.2))
    assert len(pairs) == 120 and all(pair["chosen"] == "GOOD." and pair["judge"] == "finds-good" for pair in pairs)
    assert judge_batch(items, FindsGood(), right(items), POLICY).sample == batch.sample, (
        "the same batch, the same sample"
    )


def test_answers_that_are_close_are_always_in_the_sample() -> None:
    close = item("preference", prompt="Close?", responses=("It is GOOD as it is.", "It is Bad. as it is."), slice="a")
    batch = judge_batch([*duels(120), close], FindsGood(), {}, POLICY)
    assert close in batch.sample and len(batch.sample) < 60


def test_people_who_disagree_close_it() -> None:
    items = duels(120)
    turned = {name: "second" if said == "first" else "first" for name, said in right(items).items()}
    batch = judge_batch(items, FindsGood(), turned, POLICY)
    assert batch.verdict.outcome == "rejected"
    accepted = batch.verdict.outcome == "accepted"
    assert from_judge(batch.judged, {one.id: one for one in items}, accepted, Splits(0.2)) == ([], [])


def test_before_people_judged_it_waits() -> None:
    items = duels(60)
    batch = judge_batch(items, FindsGood(), {}, POLICY)
    assert batch.verdict.outcome == "insufficient" and 0 < len(batch.sample) < 60
    assert "judged 0 of" in batch.verdict.sentence


def test_without_a_judge_there_is_nothing() -> None:
    batch = judge_batch(duels(3), None, {}, POLICY)
    assert (batch.judged.num_rows, batch.sample, batch.verdict.outcome) == (0, (), "insufficient")
