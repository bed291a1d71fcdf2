"""Answers of the model itself: sampled the same each time, what gives no item is counted; and the base model as a judge."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from ddd_llm.feedback.preferences.judge import judge_items
from ddd_llm.instructions.build import EXAMPLES_SCHEMA
from ddd_llm.instructions.prompts import compose
from ddd_llm.platform.signals import StopRequest
from ddd_llm.training.recipe import MachineRecipe
from ddd_llm.training.sampling import SamplingRecipe, sample_items
from ddd_llm.training.worker import run
from ddd_llm_tests.feedback.samples import item
from ddd_llm_tests.training.tiny import conversation, tiny_job


def examples(count: int) -> pa.Table:
    empty = dict.fromkeys(EXAMPLES_SCHEMA.names)
    rows = [
        {
            **empty,
            "id": f"e{i}",
            "task": "summary" if i % 2 else "returns",
            "split": "test" if i % 5 == 4 else "train",
            "messages": conversation(compose(None if i % 3 == 0 else f"f{i}(x)", f"What is f{i}?"), "It is."),
            "source_ids": [f"d{i}"],
        }
        for i in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=EXAMPLES_SCHEMA)


@pytest.fixture
def adapter(root: Path) -> Path:
    made = tiny_job(root, "sft", steps=1, warmup_steps=0)
    run(made, StopRequest(), lambda message: None)
    return made.output / "adapter"


def recipe(**changes: object) -> SamplingRecipe:
    settings = {"prompts": 12, "batch_size": 4, "max_new_tokens": 5, "max_length": 120, "threads": 1, "dtype": "fp32"}
    return SamplingRecipe.model_validate({**settings, **changes})


def test_two_answers_to_each_prompt_the_same_ones_every_time(root: Path, adapter: Path) -> None:
    told: list[tuple[int, int]] = []
    found = sample_items(root / "base", adapter, examples(20), recipe(), lambda *done: told.append(done))
    assert len(found.items) + sum(found.passed_over.values()) == 12 and len(found.items) > 6
    assert told[-1] == (12, 12)
    for one in found.items:
        number = one.source_ids[0].removeprefix("d")
        assert one.prompt == f"What is f{number}?" and one.passage in (None, f"f{number}(x)")
        assert one.responses[0] != one.responses[1] and one.slice in ("summary", "returns")
        assert int(number) % 5 != 4, "train prompts only"
    again = sample_items(root / "base", adapter, examples(20), recipe(), lambda *done: None)
    assert again == found
    other = sample_items(root / "base", adapter, examples(20), recipe(seed=1), lambda *done: None)
    assert other.items != found.items


def test_prompts_that_give_no_item_are_counted(root: Path, adapter: Path) -> None:
    found = sample_items(root / "base", adapter, examples(20), recipe(max_length=8), lambda *done: None)
    assert (found.items, found.passed_over) == ((), {"too_long": 12})
    assert sample_items(root / "base", adapter, examples(20), recipe(prompts=0), lambda *done: None).items == ()


def test_the_base_model_judges_in_both_orders(root: Path) -> None:
    from ddd_llm.training.local_judge import LocalJudge

    judge = LocalJudge(root / "base", MachineRecipe(max_length=2048, threads=1, dtype="fp32", device="cpu"))
    items = [item("preference", prompt=f"Question {i}?", responses=("Yes.", "No, never.")) for i in range(4)]
    judged = judge_items(items, judge)
    assert judged.table.num_rows == 4 and set(judged.refused) <= {"judge_inconsistent"}
    assert set(judged.table["judge"].to_pylist()) == {judge.name} and judge.name.startswith("tests/tiny-llama@sha256:")
    short = LocalJudge(root / "base", MachineRecipe(max_length=8, threads=1, dtype="fp32", device="cpu"))
    short._most = 8
    assert judge_items(items, short).refused == {"judge_question_too_long": 4}
