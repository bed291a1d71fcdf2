"""Base against tuned (and champion), item by item, on the same held-out questions.

Here belong scoring every answer and what the paired scores say: per slice and task, with intervals. Here does not belong how an
answer is scored (`scoring`), a formula (`statistics`), or whether the difference is good enough (`gate`).

The open-book slice is the target. The closed-book slice is summarised apart and never mixed in. Nothing here holds text of
a document, a question or an answer: items are named by id.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from ddd_llm.evaluation.scoring import Score, score
from ddd_llm.evaluation.statistics import (
    Delta,
    holm,
    mcnemar_exact,
    minimum_detectable_effect,
    paired_delta,
    wilson_interval,
)
from ddd_llm.evaluation.suite import CLOSED_BOOK, OPEN_BOOK

BASE, TUNED, CHAMPION = "base", "tuned", "champion"

ITEMS = pa.schema(
    [
        ("id", pa.string()),
        ("task", pa.string()),
        ("slice", pa.string()),
        ("package", pa.string()),
        ("module", pa.string()),
        ("model", pa.string()),
        ("score", pa.float64()),
        ("correct", pa.bool_()),
        ("facts_expected", pa.int64()),
        ("facts_right", pa.int64()),
        ("facts_invented", pa.int64()),
        ("refusal_expected", pa.bool_()),
        ("refused", pa.bool_()),
        ("finish_reason", pa.string()),
    ]
)
"""One row per item and model; the columns of the score are null where an answer is missing or its score is not a number."""


class Scorer(Protocol):
    """What scores one answer against the facts of its item."""

    def __call__(self, facts: dict[str, Any], answer: str) -> Score: ...


@dataclass(frozen=True)
class Summary:
    """One model on one slice, or on one task of it (`task` None: the whole slice). Counts are of scored items."""

    slice: str
    task: str | None
    model: str
    n: int
    score: float
    correct: int
    correct_low: float
    correct_high: float
    facts_expected: int
    facts_right: int
    facts_invented: int
    refusals_expected: int
    refusals_right: int
    answerable: int
    over_refusals: int
    cut_off: int

    @property
    def over_refusal_rate(self) -> float:
        """Share of answerable items that were refused; NaN when there were none."""
        return self.over_refusals / self.answerable if self.answerable else math.nan


@dataclass(frozen=True)
class Comparison:
    """Tuned minus another model on one slice or task of it.

    `only_other` and `only_tuned` count items that one of the two alone got right; `p` is McNemar's exact p, `p_holm` the same
    adjusted for the tasks of the slice (equal to `p` for the whole slice); `mde` is the smallest difference that so many items
    find with 80% power.
    """

    slice: str
    task: str | None
    against: str
    delta: Delta
    only_other: int
    only_tuned: int
    p: float
    p_holm: float
    mde: float


@dataclass(frozen=True)
class Retention:
    """Of the `n` open-book items that the base got right, how many the tuned model gets right as well.

    `low` is the lower of Wilson's bound and the cluster bootstrap's: the first holds when nothing was lost and a bootstrap has
    nothing to vary, the second when the losses sit in few modules.
    """

    n: int
    kept: int
    share: float
    low: float


@dataclass(frozen=True)
class DeltaResult:
    """Everything that the comparison found; `better` and `worse` are ids of items that flipped from base to tuned."""

    items: pa.Table
    models: tuple[str, ...]
    summaries: tuple[Summary, ...]
    comparisons: tuple[Comparison, ...]
    retention: Retention
    better: tuple[str, ...]
    worse: tuple[str, ...]
    unscored: dict[str, int]

    def summary(self, model: str, slice_: str = OPEN_BOOK, task: str | None = None) -> Summary | None:
        """The summary of a model on a slice or task; None where there is none."""
        return next((s for s in self.summaries if (s.model, s.slice, s.task) == (model, slice_, task)), None)

    def comparison(self, against: str, slice_: str = OPEN_BOOK, task: str | None = None) -> Comparison | None:
        """Tuned minus `against` on a slice or task; None where there is none."""
        return next((c for c in self.comparisons if (c.against, c.slice, c.task) == (against, slice_, task)), None)

    def rows(self, model: str, slice_: str = OPEN_BOOK) -> list[dict[str, Any]]:
        """The items of one model and slice, in the order of the suite."""
        return [row for row in self.items.to_pylist() if row["model"] == model and row["slice"] == slice_]


def compare(
    suite: pa.Table, answers: Mapping[str, pa.Table], scorer: Scorer = score, *, resamples: int = 9_999
) -> DeltaResult:
    """Score every answer and compare the tuned model with the base, and with the champion where its answers are given.

    Intervals resample whole modules, because the questions of one module are not independent.

    Args:
        suite: items as `suite.select_suite` gives them.
        answers: "base", "tuned" and perhaps "champion", each as `generate.answers_for` gives them.
        scorer: what scores one answer.
        resamples: bootstrap resamples per interval.

    Returns:
        The result. A missing answer or a score that is not a number is counted in `unscored` and left out of the comparison.

    Raises:
        ValueError: base or tuned is missing, an unknown model is there, an id stands twice, or an answer belongs to no item.
    """
    if not {BASE, TUNED} <= set(answers) <= {BASE, TUNED, CHAMPION}:
        raise ValueError(
            f"answers are needed of {BASE}, {TUNED} and perhaps {CHAMPION}; given: {', '.join(sorted(answers))}"
        )
    models = tuple(name for name in (BASE, TUNED, CHAMPION) if name in answers)
    items = suite.to_pylist()
    known = [item["id"] for item in items]
    if len(set(known)) != len(known):
        raise ValueError("an id stands twice in the suite")
    scored = {name: _score(name, items, answers[name], scorer) for name in models}
    rows = [row for name in models for row in scored[name]]
    slices = [s for s in (OPEN_BOOK, CLOSED_BOOK) if any(item["slice"] == s for item in items)]
    comparisons = [
        c for s in slices for other in models if other != TUNED for c in _compare(scored, other, s, resamples)
    ]
    pairs = [(b, t) for b, t in zip(scored[BASE], scored[TUNED], strict=True) if _usable(b) and _usable(t)]
    return DeltaResult(
        items=pa.Table.from_pylist(rows, schema=ITEMS),
        models=models,
        summaries=tuple(s for name in models for slice_ in slices for s in _summarise(scored[name], name, slice_)),
        comparisons=tuple(comparisons),
        retention=_retention([(b, t) for b, t in pairs if b["slice"] == OPEN_BOOK], resamples),
        better=tuple(b["id"] for b, t in pairs if t["correct"] and not b["correct"]),
        worse=tuple(b["id"] for b, t in pairs if b["correct"] and not t["correct"]),
        unscored={name: sum(not _usable(row) for row in scored[name]) for name in models},
    )


def _score(model: str, items: list[dict[str, Any]], answers: pa.Table, scorer: Scorer) -> list[dict[str, Any]]:
    given = {row["id"]: row for row in answers.to_pylist()}
    if len(given) != len(answers) or not set(given) <= {item["id"] for item in items}:
        raise ValueError(f"the answers of {model} hold an id twice, or one that the suite does not have")
    rows = []
    for item in items:
        row = {name: item[name] for name in ("id", "task", "slice", "package", "module")}
        row |= {"model": model, "score": None, "finish_reason": None}
        answer = given.get(item["id"])
        if answer is not None and answer["answer"] is not None:
            found = scorer(json.loads(item["facts"]), answer["answer"])
            row["finish_reason"] = answer["finish_reason"]
            if math.isfinite(found.score):
                row |= {name: getattr(found, name) for name in ITEMS.names if hasattr(found, name)}
        rows.append(row)
    return rows


def _usable(row: dict[str, Any]) -> bool:
    return row["score"] is not None


def _groups(rows: list[dict[str, Any]], slice_: str) -> Iterator[tuple[str | None, list[dict[str, Any]]]]:
    inside = [row for row in rows if row["slice"] == slice_]
    yield None, inside
    for task in sorted({row["task"] for row in inside}):
        yield task, [row for row in inside if row["task"] == task]


def _summarise(rows: list[dict[str, Any]], model: str, slice_: str) -> Iterator[Summary]:
    for task, group in _groups(rows, slice_):
        done = [row for row in group if _usable(row)]
        correct = sum(row["correct"] for row in done)
        expected = [row for row in done if row["refusal_expected"]]
        answerable = [row for row in done if not row["refusal_expected"]]
        low, high = wilson_interval(correct, len(done))
        yield Summary(
            slice=slice_,
            task=task,
            model=model,
            n=len(done),
            score=sum(row["score"] for row in done) / len(done) if done else math.nan,
            correct=correct,
            correct_low=low,
            correct_high=high,
            facts_expected=sum(row["facts_expected"] for row in done),
            facts_right=sum(row["facts_right"] for row in done),
            facts_invented=sum(row["facts_invented"] for row in done),
            refusals_expected=len(expected),
            refusals_right=sum(row["refused"] for row in expected),
            answerable=len(answerable),
            over_refusals=sum(row["refused"] for row in answerable),
            cut_off=sum(row["finish_reason"] == "length" for row in done),
        )


def _cluster(row: dict[str, Any]) -> tuple[str, str]:
    return row["package"], row["module"]


def _compare(
    scored: Mapping[str, list[dict[str, Any]]], other: str, slice_: str, resamples: int
) -> Iterator[Comparison]:
    found = []
    partner = {row["id"]: row for row in scored[other]}
    for task, group in _groups(scored[TUNED], slice_):
        pairs = [(partner[row["id"]], row) for row in group if _usable(row) and _usable(partner[row["id"]])]
        a, b = [p["score"] for p, _ in pairs], [t["score"] for _, t in pairs]
        clusters = [_cluster(t) for _, t in pairs]
        only_other = sum(p["correct"] and not t["correct"] for p, t in pairs)
        only_tuned = sum(t["correct"] and not p["correct"] for p, t in pairs)
        delta = paired_delta(a, b, clusters=clusters, resamples=resamples)
        mde = minimum_detectable_effect([y - x for x, y in zip(a, b, strict=True)], clusters=clusters)
        found.append((task, delta, only_other, only_tuned, mcnemar_exact(only_other, only_tuned), mde))
    adjusted = [found[0][4], *holm([entry[4] for entry in found[1:]])]
    for (task, delta, only_other, only_tuned, p, mde), p_holm in zip(found, adjusted, strict=True):
        yield Comparison(slice_, task, other, delta, only_other, only_tuned, p, p_holm, mde)


def _retention(pairs: list[tuple[dict[str, Any], dict[str, Any]]], resamples: int) -> Retention:
    after = [(tuned, float(tuned["correct"])) for base, tuned in pairs if base["correct"]]
    if not after:
        return Retention(0, 0, math.nan, math.nan)
    kept = int(sum(value for _, value in after))
    clusters = [_cluster(row) for row, _ in after]
    drawn = paired_delta([0.0] * len(after), [v for _, v in after], clusters=clusters, resamples=resamples)
    low = min(wilson_interval(kept, len(after))[0], drawn.low)
    return Retention(len(after), kept, kept / len(after), low)
