"""The coverage plan: what it asks for, held against datasets that do and do not have it."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.instructions.candidates import GENERATORS
from ddd_llm.instructions.coverage_plan import CoveragePlan, EdgeCase, hold_against, load_plan
from ddd_llm.platform.settings import load_settings

COLUMNS: tuple[str, ...] = ("split", "task", "slice", "package", "messages")


def row(
    task: str = "summary", split: str = "train", package: str = "numpy", asked: str = "What?", said: str = "That."
) -> dict[str, str]:
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    values = (split, task, "open_book", package, json.dumps(messages))
    return dict(zip(COLUMNS, values, strict=True))


def table(*rows: dict[str, str]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=pa.schema([(name, pa.string()) for name in COLUMNS]))


def plan(**changes: object) -> CoveragePlan:
    content = {"version": 1, "examples": {}, "tasks": {"summary": {"train": 2, "test": 1}}, "packages_per_task": 1}
    return CoveragePlan.model_validate(content | changes)


def short(asked: CoveragePlan, examples: pa.Table) -> list[tuple[str, str, int, int]]:
    return [(c.what, c.split, c.found, c.wanted) for c in hold_against(asked, examples) if not c.met]


def test_what_is_short_is_named_with_both_numbers() -> None:
    assert short(plan(), table(row(), row(split="test"))) == [("task summary", "train", 1, 2)]
    assert short(plan(), table(row(), row(), row(split="test"))) == []
    assert short(plan(packages_per_task=2), table(row(), row(), row(split="test"))) == [
        ("packages of summary", "train", 1, 2)
    ]
    assert ("all examples", "train", 0, 1) in short(plan(examples={"train": 1}), table())


def test_an_edge_case_counts_where_all_its_conditions_hold() -> None:
    case = EdgeCase(id="none", description="d", task="summary", prompt="default of", answer=r"\bNone\b", train=1)
    asked = plan(tasks={"summary": {}}, edge_cases=[case.model_dump()])
    right = row(asked="What is the default of x?", said="It is None.")
    assert short(asked, table(right)) == []
    for wrong in (
        row(asked="What is the default of x?", said="Nonesuch."),
        row(asked="x?", said="It is None."),
        row("returns", asked="What is the default of x?", said="It is None."),
        row(asked="It is None", said="What is the default of x?"),
    ):
        assert ("edge case none", "train", 0, 1) in short(asked, table(wrong))


@given(st.lists(st.tuples(st.sampled_from(["summary", "returns"]), st.sampled_from(["train", "test"]))))
def test_every_line_counts_exactly_its_rows(kinds: list[tuple[str, str]]) -> None:
    asked = plan(tasks={"summary": {}, "returns": {}})
    cells = {(c.what, c.split): c.found for c in hold_against(asked, table(*(row(t, s) for t, s in kinds)))}
    for task in ("summary", "returns"):
        for split in ("train", "test"):
            assert cells[f"task {task}", split] == kinds.count((task, split))


def test_the_shipped_plan_names_tasks_that_exist() -> None:
    shipped = load_plan(load_settings({}))
    known = set(GENERATORS) | {"unknown_parameter"}
    assert set(shipped.tasks) <= known
    assert {case.task for case in shipped.edge_cases} <= known | {None}
    assert len(shipped.edge_cases) >= 5


@pytest.mark.parametrize(
    "change",
    [
        {"tasks": {}},
        {"packages_per_task": 0},
        {"edge_cases": [{"id": "a", "description": "d", "prompt": "(open"}]},
        {"edge_cases": [{"id": "a", "description": "d"}, {"id": "a", "description": "e"}]},
        {"examples": {"train": -1}},
        {"unknown": 1},
    ],
)
def test_a_plan_that_says_nonsense_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        plan(**change)
