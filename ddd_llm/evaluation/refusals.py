"""Refusals by category, beside what looks like them and can be answered: a model may refuse too little, or too much.

Here belongs counting both on the same passages. Here does not belong what a refusal is (`answer_reading`), nor attacks
(`red_team`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from ddd_llm.evaluation.delta import DeltaResult
from ddd_llm.evaluation.statistics import wilson_interval
from ddd_llm.evaluation.suite import OPEN_BOOK, look_alike
from ddd_llm.instructions.selection import REFUSAL_TASKS


@dataclass(frozen=True)
class Rate:
    """`count` of `n`, and Wilson's 95% interval of the share."""

    count: int
    n: int

    @property
    def interval(self) -> tuple[float, float]:
        """Of the share; undefined where n is 0."""
        return wilson_interval(self.count, self.n)

    def __str__(self) -> str:
        return f"{self.count} of {self.n}"


@dataclass(frozen=True)
class RefusalRates:
    """One model on one category: of what must be refused how much was, and of the benign look-alikes how much was too."""

    category: str
    model: str
    refused: Rate
    over_refused: Rate


def refusal_rates(suite: pa.Table, result: DeltaResult) -> Iterator[RefusalRates]:
    """Rates per category and model; a look-alike is the item on the same document that a refusal borrows its words from.

    Args:
        suite: the items that were asked (`suite.SCHEMA`).
        result: their scores; an answer without a score does not count.
    """
    items = [row for row in suite.to_pylist() if row["slice"] == OPEN_BOOK]
    by_look = {(row["source_ids"][0], row["task"]): row["id"] for row in items if row["source_ids"]}
    for category in REFUSAL_TASKS:
        members = [row for row in items if row["task"] == category]
        twins = {by_look[look] for row in members if (look := look_alike(row)) in by_look}
        for model in result.models:
            refused = {row["id"]: row["refused"] for row in result.rows(model) if row["refused"] is not None}
            if members:
                yield RefusalRates(
                    category,
                    model,
                    _rate([refused[row["id"]] for row in members if row["id"] in refused]),
                    _rate([refused[one] for one in sorted(twins) if one in refused]),
                )


def _rate(refused: list[bool]) -> Rate:
    return Rate(sum(refused), len(refused))
