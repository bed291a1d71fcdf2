"""Candidates: right answers, within budget, with matched refusals, and a reason for every document without one."""

import json
import re
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from ddd_llm.evaluation.scoring import score
from ddd_llm.instructions.candidates import GENERATORS, CandidateConfig, candidates
from ddd_llm.instructions.prompts import estimate_tokens, passage_of
from ddd_llm.instructions.prose import words
from ddd_llm.instructions.selection import REFUSAL_TASKS
from ddd_llm_tests.instructions.samples import LOCATORS, real_candidates, real_documents, table


def opened(made: pa.Table) -> list[dict[str, Any]]:
    """Rows with messages and facts parsed."""
    return [
        {**row, "messages": json.loads(row["messages"]), "facts": json.loads(row["facts"])} for row in made.to_pylist()
    ]


def rows() -> list[dict[str, Any]]:
    """All that the generators can make of the real documents."""
    return opened(real_candidates(20, 1.0))


def answers(locator: str, text: str) -> dict[str, tuple[str, str]]:
    """Question and answer per open-book task of one document."""
    found = {}
    documents = table({**LOCATORS, locator: text})
    (document,) = [row["id"] for row in documents.to_pylist() if row["locator"] == locator]
    for row in opened(candidates(documents, CandidateConfig(per_document=20)).table):
        if row["slice"] == "open_book" and row["source_ids"] == [document]:
            prompt, answer = row["messages"]
            found[row["task"]] = (prompt["content"].rpartition("Question: ")[2], answer["content"])
    return found


def test_every_task_gives_examples_and_every_reference_answer_is_right() -> None:
    made = rows()
    assert {row["task"] for row in made} == set(GENERATORS)
    for row in made:
        result = score(row["facts"], row["messages"][-1]["content"])
        assert (result.score, result.correct, result.facts_invented) == (1.0, True, 0), row["facts"]
        assert result.refused == result.refusal_expected == (row["task"] in REFUSAL_TASKS)
        assert result.facts_right == result.facts_expected
        assert score(row["facts"], "").score == 0.0
        assert not score(row["facts"], "").correct


def test_reciting_the_passage_is_never_right() -> None:
    for row in rows():
        passage = passage_of(row["messages"][0]["content"])
        if passage is not None:
            result = score(row["facts"], passage)
            assert not result.correct
            assert result.score <= 0.5


def test_passages_and_answers_keep_within_budget() -> None:
    config = CandidateConfig(per_document=20, passage_tokens=120, answer_tokens=30)
    for row in opened(candidates(real_documents(), config).table):
        passage = passage_of(row["messages"][0]["content"])
        assert estimate_tokens(row["messages"][-1]["content"]) <= 30
        assert passage is None or estimate_tokens(passage) <= 120
        assert (passage is None) == (row["slice"] == "closed_book")


def test_what_is_asked_stands_in_the_passage_and_what_is_refused_does_not() -> None:
    for row in rows():
        prompt = row["messages"][0]["content"]
        passage, facts = passage_of(prompt), row["facts"]
        if passage is None:
            assert row["module"] in prompt
            continue
        shown = set(words(passage))
        if row["task"] == "unknown_parameter":
            assert facts["parameter"].lower() not in shown
        elif row["task"] == "unknown_object":
            assert facts["object"].rpartition(".")[2].lower() not in shown
        elif row["task"] == "undescribed_parameter":
            signature, _, text = passage.partition("\n")
            assert facts["parameter"].lower() in words(signature)
            assert facts["parameter"].lower() not in words(text)
        elif "parameter" in facts:
            assert facts["parameter"].lower() in shown
        for name in [*facts.get("exceptions", ()), *(facts.get("parameters") or ())]:
            assert name in passage
        if facts.get("default") is not None:
            assert f"{facts['parameter']}={facts['default']}" in passage


def test_every_refusal_has_a_benign_twin_that_differs_in_the_name_alone() -> None:
    made = opened(real_candidates(3, 0.1))
    prompts = {row["messages"][0]["content"]: row for row in made}
    refusals = [row for row in made if row["task"] in REFUSAL_TASKS]
    assert {row["task"] for row in refusals} == set(REFUSAL_TASKS)
    assert all(count == 1 for count in Counter(row["source_ids"][0] for row in refusals).values())
    for row in refusals:
        twins = [r for r in made if r["source_ids"] == row["source_ids"] and r["task"] == row["facts"]["form"]]
        (twin,) = [r for r in twins if r["slice"] == "open_book"]
        if row["task"] == "unknown_object":
            asked, known = row["facts"]["object"], row["messages"][1]["content"].split("`")[3]
        else:
            asked, known = row["facts"]["parameter"], twin["facts"]["parameter"]
        swapped = row["messages"][0]["content"].rpartition("Question: ")
        question = swapped[2].replace(f"`{asked}`", f"`{known}`")
        assert prompts[f"{swapped[0]}Question: {question}"] == twin


def test_answers_of_the_samples() -> None:
    numpydoc = answers("pkg.stats:resample", LOCATORS["pkg.stats:resample"])
    assert numpydoc["summary"][1] == "Resample a signal along an axis."
    assert numpydoc["parameters"][1] == "It takes `x`, `size`, `method`, `axis` and `**kwargs`."
    assert numpydoc["returns"][1] == "ndarray: The resampled signal."
    assert numpydoc["raises"][1] == "It can raise `ValueError` and `LinAlgError`."
    assert numpydoc["example"][1] == "```python\nout = pkg.stats.resample([1, 2], 4)\n```"
    assert "unknown_parameter" not in numpydoc  # **kwargs may accept any name
    rest = answers("pkg.net:Client.send", LOCATORS["pkg.net:Client.send"])
    assert rest["default_value"][1] == "`timeout` defaults to `1.5`."
    assert rest["unknown_parameter"][1].startswith("`Client.send` has no parameter `")


def test_the_two_other_categories_of_refusals() -> None:
    silent = """def pkg.stats.shift(values, by, mode='wrap')

Move values along by some places.

Parameters
----------
values : list
    The numbers that are moved along.
"""
    found = answers("pkg.stats:shift", silent)
    question, answer = found["undescribed_parameter"]
    (name,) = re.findall("what `(by|mode)` means", answer)
    assert f"`{name}`" in question and answer == f"The documentation does not say what `{name}` means."
    found = answers("pkg.stats:middle", "def pkg.stats.middle(*values)\n\nFind the number that lies in the middle.")
    question, answer = found["unknown_object"]
    (asked,) = re.findall(r"does not describe `([\w.]+)`; it is about `middle`\.$", answer)
    assert f"`{asked}`" in question and "middle" not in question


@pytest.mark.parametrize(
    ("locator", "text", "reason"),
    [
        ("m:f", "no signature\n\nText.", "unreadable_signature"),
        ("m:_f", "def m._f(x=1)\n\nDo the one thing it does.", "private"),
        ("m:C.__init__", "def m.C.__init__(self, x=1)\n\nDo the one thing it does.", "private"),
        ("m:f", "def m.f(x=1)\n\nDo one thing.\n\n.. deprecated:: 1.0\n   Use g.", "deprecated"),
        ("m:C", "class m.C(Base)\n\nSee `D`.", "no_checkable_fact"),
    ],
)
def test_a_document_without_examples_says_why(locator: str, text: str, reason: str) -> None:
    made = candidates(table({locator: text}), CandidateConfig())
    assert made.table.num_rows == 0
    assert made.decisions["reason"].to_pylist() == [reason]
    assert made.reasons == {reason: 1}


def test_other_media_types_are_counted() -> None:
    made = candidates(table({"a.md": "# Title"}, media_type="text/markdown"), CandidateConfig())
    assert made.reasons == {"not_a_docstring": 1}


def test_one_decision_per_document_and_no_more_examples_than_asked_for() -> None:
    made = candidates(real_documents(), CandidateConfig(per_document=2, closed_book_share=0.0))
    assert made.decisions["id"].to_pylist() == real_documents()["id"].to_pylist()
    kept = {row["id"] for row in made.decisions.to_pylist() if row["verdict"] == "kept"}
    per_document = Counter(row["source_ids"][0] for row in made.table.to_pylist())
    assert set(per_document) == kept
    refused = {r["source_ids"][0] for r in made.table.to_pylist() if r["task"] in REFUSAL_TASKS}
    assert all(count <= 2 + (document in refused) for document, count in per_document.items())
    assert len(set(made.table["id"].to_pylist())) == made.table.num_rows


def test_a_document_keeps_its_passages_whatever_else_is_in_the_corpus() -> None:
    whole = real_documents()
    part = candidates(whole.slice(0, 40), CandidateConfig()).table.to_pylist()
    grown = candidates(whole, CandidateConfig()).table.to_pylist()
    ids = set(whole["id"].to_pylist()[:40])

    def passages(made: list[dict]) -> set[tuple[str, str | None]]:
        pairs = [(row["source_ids"][0], row["messages"]) for row in made if row["source_ids"][0] in ids]
        return {(source, passage_of(json.loads(messages)[0]["content"])) for source, messages in pairs}

    assert passages(part) == passages(grown)


def test_same_input_same_output_in_any_order_of_documents() -> None:
    whole = real_documents()
    turned = whole.take(list(reversed(range(whole.num_rows))))
    one = candidates(whole, CandidateConfig()).table
    other = candidates(turned, CandidateConfig()).table
    assert one.sort_by("id").equals(other.sort_by("id"))
    assert one.equals(candidates(whole, CandidateConfig()).table)


def test_config_refuses_unknown_tasks_and_fields() -> None:
    with pytest.raises(ValidationError, match="poetry"):
        CandidateConfig(tasks=("poetry",))
    with pytest.raises(ValidationError, match="extra"):
        CandidateConfig.model_validate({"taks": ["summary"]})
