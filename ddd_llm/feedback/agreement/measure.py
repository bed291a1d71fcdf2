"""Agreement as a table: over everything, per value, per guideline version and per slice, and without each annotator.

Belongs here: which coefficient is shown for what. Does not: the coefficients (`alpha`, `chance`, `spans`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from ddd_llm.feedback.agreement.alpha import (
    RESAMPLES,
    Distance,
    Estimate,
    Floats,
    Level,
    alpha,
    alphas,
    bootstrap,
    coincidences,
)
from ddd_llm.feedback.agreement.chance import ac1, fleiss, pairwise_cohen, percent
from ddd_llm.feedback.agreement.ratings import Ratings

T = TypeVar("T")


@dataclass(frozen=True)
class Rating:
    """One label, with what it may be grouped by."""

    item: str
    annotator: str
    value: str
    version: str = ""
    slice: str = ""


@dataclass(frozen=True)
class Agreement:
    """How far annotators agree on one part of the labels.

    Attributes:
        scope: `all`, `value X` (X against the rest), `version X` of the guideline, or `slice X`.
        annotators: how many gave a label.
        percent: share of agreeing pairs of labels.
        alpha, ac1: with interval, number of items with two labels or more, and of labels on them.
        cohen: mean of the pairwise kappas; None for fewer than two annotators with items in common.
        fleiss: None where items have different numbers of labels.
    """

    scope: str
    annotators: int
    percent: float | None
    alpha: Estimate
    ac1: Estimate
    cohen: float | None
    fleiss: float | None


def measure(
    labels: Iterable[Rating],
    values: Sequence[str] | None = None,
    level: Level = "nominal",
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Agreement]:
    """Agreement over everything and per part.

    Args:
        labels: at most one per item, annotator and guideline version; the latest version of each is what counts over all.
        values: all categories, in order for ordinal data.
        level: of measurement.
        confidence, resamples, seed: of the intervals.

    Raises:
        RatingsError: see `Ratings.from_rows`.
    """
    rows = list(labels)
    of = partial(_agreement, level=level, confidence=confidence, resamples=resamples, seed=seed)
    everything = ratings_of(rows, values)
    found = [of("all", everything)]
    if len(everything.values) > 2 and level == "nominal":
        found += [of(f"value {value}", everything.against_rest(value), level="nominal") for value in everything.values]
    versions_and_slices = parts(rows, version=lambda row: row.version, slice=lambda row: row.slice)
    return found + [of(scope, ratings_of(some, everything.values)) for scope, some in versions_and_slices]


def parts(rows: Sequence[T], **groupings: Callable[[T], str]) -> Iterator[tuple[str, list[T]]]:
    """`GROUPING PART` and the rows of that part, for each grouping that has several."""
    for name, part_of in groupings.items():
        found = sorted(set(map(part_of, rows)))
        if len(found) > 1:
            yield from ((f"{name} {part}", [row for row in rows if part_of(row) == part]) for part in found)


def ratings_of(rows: Iterable[Rating], values: Sequence[str] | None = None) -> Ratings:
    """The latest version's label of each item and annotator. Raises RatingsError."""
    latest: dict[tuple[str, str], str] = {}
    listed = list(rows)
    for row in listed:
        key = row.item, row.annotator
        latest[key] = max(latest.get(key, ""), row.version, key=_version)
    kept = [(r.item, r.annotator, r.value) for r in listed if r.version == latest[r.item, r.annotator]]
    # A label names an item that exists, so items and annotators cannot be exchanged; and a part may hold two items only.
    return Ratings.from_rows(kept, values, many_annotators=True)


def _version(text: str) -> tuple[int, str]:
    return (int(text), "") if text.isdigit() else (-1, text)


def _agreement(scope: str, ratings: Ratings, level: Level, confidence: float, resamples: int, seed: int) -> Agreement:
    weights = "quadratic" if level != "nominal" else None
    kappas = [e.value for e in pairwise_cohen(ratings, weights).values() if e.value is not None]
    return Agreement(
        scope,
        len(ratings.annotators),
        percent(ratings),
        alpha(ratings, level, confidence, resamples, seed),
        ac1(ratings, confidence, resamples, seed),
        float(np.mean(kappas)) if kappas else None,
        fleiss(ratings),
    )


@dataclass(frozen=True)
class LeftOut:
    """What leaving one annotator out would do.

    Attributes:
        annotator: who.
        labels: that would go.
        items: that would be left without any label.
        alpha: of the others.
        change: alpha of the others minus alpha of all, with a paired bootstrap interval over items; None: undefined.
    """

    annotator: str
    labels: int
    items: int
    alpha: float | None
    change: float | None
    low: float | None
    high: float | None


def leave_one_out(
    ratings: Ratings, level: Level = "nominal", confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> list[LeftOut]:
    """The effect of each annotator on data and agreement (alpha at the level of measurement), by name."""
    distance = Distance(level, ratings.values)
    return [_left_out(ratings, name, distance, confidence, resamples, seed) for name in ratings.annotators]


def _left_out(ratings: Ratings, name: str, distance: Distance, confidence: float, resamples: int, seed: int) -> LeftOut:
    rest = ratings.without(name)
    # Unpaired items stay, counting nothing, so that both sets share one resample.
    everybody, others = _paired(ratings.counts), _paired(rest.counts)

    def change(weights: Floats) -> Floats:
        return alphas(weights, *others, distance) - alphas(weights, *everybody, distance)

    one = np.ones((1, len(ratings.items)))
    difference, alone = float(change(one)[0]), float(alphas(one, *others, distance)[0])
    defined = bool(np.isfinite(difference))
    low, high = bootstrap(len(ratings.items), resamples, seed, confidence, change) if defined else (None, None)
    labelled = ratings.counts.sum(1)
    return LeftOut(
        name,
        int(labelled.sum() - rest.counts.sum()),
        int(((labelled > 0) & (rest.counts.sum(1) == 0)).sum()),
        alone if np.isfinite(alone) else None,
        difference if defined else None,
        low,
        high,
    )


def _paired(counts: Floats) -> tuple[Floats, Floats]:
    paired = counts.sum(1) >= 2
    pairs = np.zeros((*counts.shape, counts.shape[1]))
    pairs[paired] = coincidences(counts[paired])
    return np.where(paired[:, None], counts, 0.0), pairs
