"""One batch of machine-made preferences: judged, sampled for people, and accepted or not.

Belongs here: the order of these three. Does not: judging (`judge`), the plan and its verdict (`acceptance`), or pairs (`pairs`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from ddd_llm.feedback.labels import Item
from ddd_llm.feedback.preferences.acceptance import AcceptancePolicy, Verdict, decide, draw, sampling_plan
from ddd_llm.feedback.preferences.judge import JUDGED_SCHEMA, Judge, Judged, judge_items
from ddd_llm.feedback.preferences.qa import similarity

_CLOSE = 0.8  # similarity of two answers


@dataclass(frozen=True)
class Batch:
    """`judged` (judge.JUDGED_SCHEMA), counts of why an item has no preference, the items people are to judge, and the verdict."""

    judged: pa.Table
    refused: dict[str, int]
    sample: tuple[Item, ...]
    verdict: Verdict

    def acceptance(self) -> dict[str, Any]:
        """The verdict as plain data."""
        return asdict(self.verdict)


def judge_batch(
    items: Sequence[Item],
    judge: Judge | None,
    settled: Mapping[str, str],
    policy: AcceptancePolicy,
    progress: Callable[[int], None] | None = None,
) -> Batch:
    """Have a batch judged, draw the sample by risk (`risk_of`), and decide by what people settled.

    Args:
        items: of kind preference.
        judge: a machine; None judges nothing, whatever the items.
        settled: people's settled preference (first, second, tie) by item id.
        policy: the operating characteristic.
        progress: told how many are done.
    """
    made = judge_items(items, judge, progress) if judge is not None else Judged(JUDGED_SCHEMA.empty_table(), {})
    preferences = made.preferences()
    by_id = {item.id: item for item in items}
    plan = sampling_plan(len(preferences), policy) if preferences else None
    seed = "\x1f".join(sorted(preferences))
    chosen = draw({name: risk_of(by_id[name]) for name in preferences}, plan.size, seed) if plan else []
    verdict = decide(preferences, settled, chosen, policy)
    return Batch(made.table, made.refused, tuple(by_id[name] for name in chosen), verdict)


def risk_of(item: Item) -> str:
    """Stratum of an item: its slice, and whether its two answers are close, where a judge errs most easily."""
    return f"{item.slice}, {'close' if similarity(*item.responses) >= _CLOSE else 'apart'}"
