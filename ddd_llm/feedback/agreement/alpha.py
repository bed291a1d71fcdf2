"""Krippendorff's alpha for nominal, ordinal, interval and ratio data with gaps, with a bootstrap interval.

Source: Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011). An item labelled m times adds to the coincidence of
categories c and k its ordered pairs divided by m - 1; alpha is 1 - observed / expected disagreement. Items are resampled for the
interval: each adds its own coincidences, so a resample is a weighted sum and nothing is computed again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ddd_llm.feedback.agreement.ratings import Ratings

Level = Literal["nominal", "ordinal", "interval", "ratio"]
Floats = npt.NDArray[np.float64]
RESAMPLES = 2000
_AT_ONCE = 200


@dataclass(frozen=True)
class Estimate:
    """A coefficient with its interval. None: undefined, as when only one category occurs.

    Attributes:
        value: of the sample.
        low, high: bounds of the interval.
        items: that at least two annotators labelled.
        labels: on those items.
    """

    value: float | None
    low: float | None
    high: float | None
    items: int
    labels: int


def alpha(
    ratings: Ratings,
    level: Level = "nominal",
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Krippendorff's alpha over items with at least two labels, and its percentile bootstrap interval.

    Args:
        ratings: the labels. For `interval` and `ratio` the categories are numbers, for `ordinal` they are in order.
        level: of measurement; it sets the distance between categories.
        confidence: of the interval.
        resamples: of items; 0 gives no interval.
        seed: of the resamples.

    Raises:
        ValueError: a category is no number at a level that needs numbers.
    """
    counts = ratings.paired()
    if not len(counts):
        return Estimate(None, None, None, 0, 0)
    pairs = coincidences(counts)
    distance = Distance(level, ratings.values)
    weights = np.ones((1, len(counts)))
    value = alphas(weights, counts, pairs, distance)[0]
    low = high = None
    if resamples and np.isfinite(value):
        low, high = bootstrap(len(counts), resamples, seed, confidence, lambda w: alphas(w, counts, pairs, distance))
    return Estimate(finite(value), low, high, len(counts), int(counts.sum()))


def coincidences(counts: Floats) -> Floats:
    """(items, categories, categories): each item's coincidences; its sum is the number of its labels."""
    both = counts[:, :, None] * counts[:, None, :]
    both[:, np.arange(counts.shape[1]), np.arange(counts.shape[1])] -= counts
    return both / (counts.sum(1) - 1)[:, None, None]


def bootstrap(items: int, resamples: int, seed: int, confidence: float, statistic) -> tuple[float | None, float | None]:
    """Percentile interval of a statistic of item weights.

    Args:
        items: how many there are.
        resamples: of the items, with replacement.
        seed: of the resamples.
        confidence: of the interval.
        statistic: from (resamples, items) weights to one number each; NaN where undefined.

    Returns:
        Bounds; None where most resamples leave the statistic undefined.
    """
    random = np.random.default_rng(seed)
    found = np.concatenate(
        [
            statistic(random.multinomial(items, np.full(items, 1 / items), size=min(_AT_ONCE, resamples - done)) * 1.0)
            for done in range(0, resamples, _AT_ONCE)
        ]
    )
    found = found[np.isfinite(found)]
    if len(found) < resamples / 2:
        return None, None
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def finite(value: float) -> float | None:
    """The value, or None when it is no number."""
    return float(value) if np.isfinite(value) else None


class Distance:
    """Squared difference between categories; ordinal's depends on how often each occurs."""

    def __init__(self, level: Level, values: tuple[str, ...]) -> None:
        self.level = level
        size = len(values)
        if level in ("interval", "ratio"):
            numbers = np.array([float(value) for value in values])
            apart = numbers[:, None] - numbers[None, :]
            if level == "ratio":
                total = numbers[:, None] + numbers[None, :]
                apart = np.divide(apart, total, out=np.zeros_like(apart), where=total != 0)
            self.fixed: Floats | None = apart**2
        else:
            self.fixed = 1.0 - np.eye(size) if level == "nominal" else None

    def of(self, totals: Floats) -> Floats:
        """(resamples, categories, categories) from (resamples, categories) label counts."""
        if self.fixed is not None:
            return np.broadcast_to(self.fixed, (len(totals), *self.fixed.shape))
        # Krippendorff 2011, ordinal: the labels from c to k, half of those at the ends, squared.
        middle = np.cumsum(totals, 1) - totals / 2
        return (middle[:, :, None] - middle[:, None, :]) ** 2


def alphas(weights: Floats, counts: Floats, pairs: Floats, distance: Distance) -> Floats:
    """Alpha of each resample, NaN where no disagreement can be expected.

    Args:
        weights: (resamples, items).
        counts: (items, categories) labels; zero where an item has not two of them.
        pairs: (items, categories, categories) of `coincidences`, zero for the same items.
        distance: between categories.
    """
    totals = weights @ counts
    observed_pairs = (weights @ pairs.reshape(len(pairs), -1)).reshape(len(weights), *pairs.shape[1:])
    apart = distance.of(totals)
    observed = (observed_pairs * apart).sum((1, 2))
    expected = np.einsum("bc,bck,bk->b", totals, apart, totals)
    labels = totals.sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected > 0, 1 - (labels - 1) * observed / expected, np.nan)
