"""The coverage plan: how many examples of which kind the dataset must hold before anybody trains on it.

Here: the plan as data (`assets/policies/coverage.yaml`) and what a dataset lacks of it. Not here: counting for the report
(`coverage`), nor choosing examples (`selection`).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, field_validator

from ddd_llm.platform.approvals import Approvable
from ddd_llm.platform.inputs import load_yaml
from ddd_llm.platform.settings import Settings

FILE = "policies/coverage.yaml"


class Floor(BaseModel):
    """Least numbers of examples, per split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: int = Field(default=0, ge=0)
    test: int = Field(default=0, ge=0)


class EdgeCase(Floor):
    """A kind of question that is rare and must not be missing. All conditions that are given must hold."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    description: str = Field(min_length=1)
    task: str | None = Field(default=None, description="Task of the example.")
    slice: str | None = Field(default=None, description="open_book or closed_book.")
    prompt: str | None = Field(default=None, description="Regular expression found in what is asked.")
    answer: str | None = Field(default=None, description="Regular expression found in the answer.")

    @field_validator("prompt", "answer")
    @classmethod
    def _is_an_expression(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from None
        return value

    def covers(self, row: dict[str, Any]) -> bool:
        """Is the example (a row with task, slice and messages) such a case?"""
        if self.task not in (None, row["task"]) or self.slice not in (None, row["slice"]):
            return False
        messages = json.loads(row["messages"])
        asked = "\n".join(message["content"] for message in messages[:-1])
        wanted = ((self.prompt, asked), (self.answer, messages[-1]["content"]))
        return all(pattern is None or re.search(pattern, text) is not None for pattern, text in wanted)


class CoveragePlan(Approvable):
    """What the instruction dataset must cover."""

    examples: Floor = Field(description="In all; fewer is a warning that the model may learn too little.")
    tasks: dict[str, Floor] = Field(min_length=1, description="Per task.")
    packages_per_task: int = Field(ge=1, description="Each task must come from at least so many packages in train.")
    edge_cases: tuple[EdgeCase, ...] = ()

    @field_validator("edge_cases")
    @classmethod
    def _ids_differ(cls, cases: tuple[EdgeCase, ...]) -> tuple[EdgeCase, ...]:
        if len({case.id for case in cases}) != len(cases):
            raise ValueError("two edge cases share an id")
        return cases


@dataclass(frozen=True)
class Cell:
    """One line of the plan: what is asked for and what is there, in one split."""

    what: str
    split: str
    wanted: int
    found: int

    @property
    def met(self) -> bool:
        """Is there enough?"""
        return self.found >= self.wanted


def load_plan(settings: Settings) -> CoveragePlan:
    """The plan as people wrote it. Raises InputError."""
    return load_yaml(settings.assets / FILE, CoveragePlan)


def hold_against(plan: CoveragePlan, examples: pa.Table) -> list[Cell]:
    """Every line of the plan with what a dataset holds of it.

    Args:
        plan: the plan.
        examples: rows of the dataset; columns split, task, slice, package and messages are read.
    """
    rows = examples.select(["split", "task", "slice", "package", "messages"]).to_pylist()
    return [*_counts(plan, rows), *_packages(plan, rows), *_cases(plan, rows)]


def _counts(plan: CoveragePlan, rows: list[dict[str, Any]]) -> Iterator[Cell]:
    total = Counter(row["split"] for row in rows)
    per_task = Counter((row["task"], row["split"]) for row in rows)
    for split in ("train", "test"):
        yield Cell("all examples", split, getattr(plan.examples, split), total[split])
        for task, floor in plan.tasks.items():
            yield Cell(f"task {task}", split, getattr(floor, split), per_task[task, split])


def _packages(plan: CoveragePlan, rows: list[dict[str, Any]]) -> Iterator[Cell]:
    for task in plan.tasks:
        packages = {row["package"] for row in rows if row["task"] == task and row["split"] == "train"}
        yield Cell(f"packages of {task}", "train", plan.packages_per_task, len(packages))


def _cases(plan: CoveragePlan, rows: list[dict[str, Any]]) -> Iterator[Cell]:
    for case in plan.edge_cases:
        found = Counter(row["split"] for row in rows if case.covers(row))
        for split in ("train", "test"):
            yield Cell(f"edge case {case.id}", split, getattr(case, split), found[split])
