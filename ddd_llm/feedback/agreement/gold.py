"""Gold questions: how often each annotator gives the known answer, and who may be given items to label.

Belongs here: accuracy and the rule of assignment. Does not: mixing gold questions in among the others (`web`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field


class GoldPolicy(BaseModel):
    """Who is calibrated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    least_answers: int = Field(default=8, ge=1, description="Gold questions answered; fewer is too few to tell.")
    accuracy_at_least: float = Field(
        default=0.6, ge=0, le=1, description="Lower bound (95%, Wilson) of the share answered right."
    )


@dataclass(frozen=True)
class Calibration:
    """One annotator's gold answers.

    Attributes:
        annotator: who.
        right, answers: how many of how many.
        low, high: 95% Wilson interval of the share right; 0 and 1 without answers.
        confusion: (known answer, given answer) -> times.
        assignable: may label.
        failed: enough gold questions were answered, and too badly: nothing else of theirs counts until they do better.
        why: the sentence that says so.
    """

    annotator: str
    right: int
    answers: int
    low: float
    high: float
    confusion: dict[tuple[str, str], int]
    assignable: bool
    failed: bool
    why: str


def calibrate(labels: Iterable[tuple[str, str, str]], gold: Mapping[str, str], policy: GoldPolicy) -> list[Calibration]:
    """Hold labels against the gold questions.

    Args:
        labels: (item, annotator, value) of all labels; others than gold items are passed over.
        gold: known value of each gold item.
        policy: the rule.

    Returns:
        One row per annotator of any label, by name: one who answered no gold question is not assignable either.
    """
    confusions: dict[str, Counter[tuple[str, str]]] = {}
    for item, annotator, value in labels:
        mine = confusions.setdefault(annotator, Counter())
        if item in gold:
            mine[gold[item], value] += 1
    return [_judge(annotator, confusions[annotator], policy) for annotator in sorted(confusions)]


def _judge(annotator: str, confusion: Counter[tuple[str, str]], policy: GoldPolicy) -> Calibration:
    from statsmodels.stats.proportion import proportion_confint

    answers = confusion.total()
    right = sum(times for (known, given), times in confusion.items() if known == given)
    low, high = (
        (float(bound) for bound in proportion_confint(right, answers, method="wilson")) if answers else (0.0, 1.0)
    )
    if answers < policy.least_answers:
        why = f"too few gold answers to tell: {answers} of {policy.least_answers}"
    elif low < policy.accuracy_at_least:
        why = f"{right} of {answers} gold answers right, lower bound {low:.2f} is under {policy.accuracy_at_least:.2f}"
    else:
        why = f"{right} of {answers} gold answers right, lower bound {low:.2f}"
    enough, good = answers >= policy.least_answers, low >= policy.accuracy_at_least
    return Calibration(annotator, right, answers, low, high, dict(confusion), enough and good, enough and not good, why)
