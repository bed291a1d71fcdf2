"""What labels cost: time per label, and per item that could be settled, by kind of feedback.

Belongs here: counting and adding up. Does not: prices (a cost is time until somebody gives a rate).

Wu et al. 2023 (section 4.1) found marking spans no slower than comparing whole answers; whether that holds for one's own people
is a measurement, not a belief.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from ddd_llm.feedback.labels import Label


@dataclass(frozen=True)
class Effort:
    """Time that one kind of feedback took.

    `timed` of `labels` say how long they took. `per_settled`: all seconds spent on the kind, for what was settled and what was
    not, per settled item; labels without a time count with the mean of the others. None where nothing is timed, or settled.
    """

    kind: str
    labels: int
    timed: int
    median_seconds: float | None
    settled: int
    per_settled: float | None


def efforts(labels: Iterable[Label], settled: Sequence[dict[str, Any]]) -> list[Effort]:
    """One row per kind of feedback, by name.

    Args:
        labels: all that were made, used or not.
        settled: rows of ADJUDICATED_SCHEMA.
    """
    by_kind: dict[str, list[Label]] = {}
    for label in labels:
        by_kind.setdefault(label.kind, []).append(label)
    rows = []
    for kind, made in sorted(by_kind.items()):
        seconds = [label.seconds for label in made if label.seconds is not None]
        done = sum(row["kind"] == kind for row in settled)
        spent = sum(seconds) / len(seconds) * len(made) if seconds else None
        per_settled = spent / done if spent is not None and done else None
        rows.append(Effort(kind, len(made), len(seconds), median(seconds) if seconds else None, done, per_settled))
    return rows


def validated_share(settled: Sequence[dict[str, Any]]) -> float | None:
    """Share of settled items that a second person looked at: labelled by two or more, or decided by an adjudicator. None without
    any."""
    seen = [len(set(row["annotators"])) >= 2 or row["by"] == "adjudicator" for row in settled]
    return sum(seen) / len(seen) if seen else None
