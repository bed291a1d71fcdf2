"""Made-up suites and answers; an answer here is the JSON of its own score, which `read_score` gives back."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ddd_llm.evaluation import generate, suite
from ddd_llm.evaluation.delta import DeltaResult, compare
from ddd_llm.evaluation.scoring import Score


@dataclass(frozen=True)
class Item:
    """One item and what each model scores on it; a champion of None is no champion, a score of NaN no score."""

    base: float
    tuned: float
    champion: float | None = None
    task: str = "parameters"
    slice: str = suite.OPEN_BOOK
    module: str = "pkg.mod"
    refusal: bool = False
    refused: Sequence[str] = field(default_factory=tuple)


def read_score(facts: dict[str, Any], answer: str) -> Score:
    """A scorer that finds the score in the answer itself."""
    value, refused = json.loads(answer)
    right = not math.isnan(value) and value >= 0.5
    return Score(value, 2, int(2 * value) if right else 0, 0, facts["refusal"], refused, right)


def make_suite(items: Sequence[Item]) -> pa.Table:
    """A suite of the items, ids `item-0` and on."""
    rows = [
        {
            "id": f"item-{i}",
            "task": item.task,
            "slice": item.slice,
            "prompt": json.dumps([{"role": "user", "content": f"Documentation:\nsome text\n\nQuestion: number {i}?"}]),
            "reference": f"reference {i}",
            "facts": json.dumps({"refusal": item.refusal}),
            "source_ids": ["doc"],
            "package": "pkg",
            "module": item.module,
        }
        for i, item in enumerate(items)
    ]
    return pa.Table.from_pylist(rows, schema=suite.SCHEMA)


def make_answers(items: Sequence[Item], model: str) -> pa.Table:
    """The answers of one model."""
    rows = [
        {
            "id": f"item-{i}",
            "answer": json.dumps([getattr(item, model), model in item.refused]),
            "tokens": 5,
            "finish_reason": "stop",
        }
        for i, item in enumerate(items)
    ]
    return pa.Table.from_pylist(rows, schema=generate.SCHEMA)


def compared(items: Sequence[Item], resamples: int = 499) -> DeltaResult:
    """The comparison of all models of the items."""
    models = ["base", "tuned", *(["champion"] if items and items[0].champion is not None else [])]
    return compare(make_suite(items), {m: make_answers(items, m) for m in models}, read_score, resamples=resamples)


def strong(n: int = 160) -> list[Item]:
    """Items on which tuning clearly helps: base right on half, tuned on nearly all, over 40 modules and two tasks."""
    return [
        Item(
            base=float(i % 2),
            tuned=float(i % 31 != 0),
            champion=float(i % 5 != 0),
            module=f"pkg.m{i % 41}",
            task=("parameters", "unknown_parameter")[i % 8 == 3],
            refusal=i % 8 == 3,
        )
        for i in range(n)
    ]
