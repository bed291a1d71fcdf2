"""Refusals by category and their benign look-alikes, on the same passages."""

from __future__ import annotations

import json

import pyarrow as pa

from ddd_llm.evaluation.delta import compare
from ddd_llm.evaluation.gate import decide, load_gate
from ddd_llm.evaluation.generate import SCHEMA as ANSWERS
from ddd_llm.evaluation.refusals import refusal_rates
from ddd_llm.evaluation.report import delta_page
from ddd_llm.evaluation.suite import SuiteConfig, select_suite
from ddd_llm.platform.settings import load_settings

POLICY = load_gate(load_settings({}))


def row(number: int, task: str, **facts: object) -> dict[str, object]:
    messages = [{"role": "user", "content": f"{task} {number}?"}, {"role": "assistant", "content": "Said."}]
    return {
        "id": f"{task}-{number}", "task": task, "split": "test", "slice": "open_book", "messages": json.dumps(messages),
        "facts": json.dumps({"task": task, "function": "f", **facts}), "source_ids": [f"d{number}"], "package": "p",
        "module": f"p.m{number}", "component": f"c{number}",
    }  # fmt: skip


def dataset(documents: int = 40) -> pa.Table:
    """Per document a summary; every fourth has a question about another object in the summary's words."""
    rows = [row(n, "summary", reference="Counts the apples of the tree.") for n in range(documents)]
    rows += [row(n, "unknown_object", object="g", form="summary") for n in range(0, documents, 4)]
    return pa.Table.from_pylist(rows)


def answers(suite: pa.Table, said: dict[str, str]) -> pa.Table:
    made = [
        {"id": one["id"], "answer": said.get(one["id"], said[one["task"]]), "tokens": 3, "finish_reason": "stop"}
        for one in suite.to_pylist()
    ]
    return pa.Table.from_pylist(made, schema=ANSWERS)


def test_a_suite_asks_the_look_alikes_of_what_must_be_refused() -> None:
    suite = select_suite(dataset(), SuiteConfig(open_book_items=16, closed_book_items=0)).to_pylist()
    refusals = {one["source_ids"][0] for one in suite if one["task"] == "unknown_object"}
    benign = [one["source_ids"][0] for one in suite if one["task"] == "summary"]
    assert len(refusals) == len(benign) == 8
    assert refusals == set(benign)


def test_rates_count_refusals_and_over_refusals_on_the_same_passages() -> None:
    suite = select_suite(dataset(), SuiteConfig(open_book_items=30, closed_book_items=0))
    twin = next(one["source_ids"][0] for one in suite.to_pylist() if one["task"] == "unknown_object").removeprefix("d")
    base = answers(suite, {"summary": "Counts the apples of the tree.", "unknown_object": "Counts the apples."})
    tuned = answers(
        suite,
        {
            "summary": "Counts the apples of the tree.",
            "unknown_object": "The documentation does not describe `g`; it is about `f`.",
            f"summary-{twin}": "The documentation does not describe `f`.",
            f"unknown_object-{twin}": "Counts the apples.",
        },
    )
    result = compare(suite, {"base": base, "tuned": tuned}, resamples=99)
    found = {rates.model: rates for rates in refusal_rates(suite, result)}
    assert {rates.category for rates in found.values()} == {"unknown_object"}
    assert (str(found["base"].refused), str(found["base"].over_refused)) == ("0 of 10", "0 of 10")
    assert (str(found["tuned"].refused), str(found["tuned"].over_refused)) == ("9 of 10", "1 of 10")
    low, high = found["tuned"].refused.interval
    assert low < 0.9 < high
    page = delta_page(suite, {"base": base, "tuned": tuned}, result, decide(result, POLICY))
    assert "Refusals by category" in page
    assert "9 of 10 (0.60 to 0.98)" in page


def test_without_refusals_there_is_nothing_to_say() -> None:
    suite = select_suite(dataset().slice(0, 40), SuiteConfig(open_book_items=10, closed_book_items=0))
    said = answers(suite, {"summary": "Counts the apples of the tree."})
    assert list(refusal_rates(suite, compare(suite, {"base": said, "tuned": said}, resamples=99))) == []
