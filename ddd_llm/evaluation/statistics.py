"""The statistics that comparisons stand on: paired intervals, exact tests, detectable effects.

Here belong formulas over plain arrays, each with its source. Here does not belong which models or items are compared (`delta`)
or what follows from it (`gate`).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
_CHUNK = 4_000_000


@dataclass(frozen=True)
class Delta:
    """The paired difference b - a with its interval; NaN throughout when there was no pair.

    `n` counts pairs, `clusters` the independent units that were resampled (equal to `n` without clusters).
    """

    mean_a: float
    mean_b: float
    delta: float
    low: float
    high: float
    n: int
    clusters: int


def paired_delta(
    a: ArrayLike,
    b: ArrayLike,
    *,
    clusters: Sequence[Hashable] | None = None,
    strata: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    resamples: int = 9_999,
    seed: int = 0,
) -> Delta:
    """Mean of b - a over paired items, with a percentile bootstrap interval (Efron and Tibshirani 1993, chapter 13).

    The percentile form because it is monotone: the draws depend on the seed and the clusters alone, so a higher b can never
    lower a bound, which BCa and Student intervals do not promise.

    Items of one module share their documentation and are not independent: with `clusters`, whole clusters are drawn with
    replacement (cluster bootstrap: Field and Welsh 2007, JRSS B 69) and the mean is a ratio of sums. With `strata`, units are
    drawn within each stratum. When no resample differs from the estimate the interval is the point itself: a rule that uses
    it must ask for enough items as well. Below about 20 clusters every bootstrap interval is too short.

    Args:
        a: one value per item.
        b: one value per item, the same items in the same order.
        clusters: one label per item; items of one label are drawn together.
        strata: one label per item; every cluster must lie in one stratum.
        confidence: coverage of the interval.
        resamples: bootstrap resamples.
        seed: of the random generator.

    Raises:
        ValueError: lengths differ, a value is not finite, or a cluster lies in two strata.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if (
        first.ndim != 1
        or first.shape != second.shape
        or any(x is not None and len(x) != len(first) for x in (clusters, strata))
    ):
        raise ValueError("paired values, clusters and strata need one entry per item")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("a value is not finite: leave unscored items out and say how many there are")
    if len(first) == 0:
        return Delta(math.nan, math.nan, math.nan, math.nan, math.nan, 0, 0)
    sums, sizes, groups = _units(second - first, clusters, strata)
    low, high = _percentiles(sums, sizes, groups, confidence, resamples, seed)
    means = float(first.mean()), float(second.mean())
    return Delta(*means, float(sums.sum() / sizes.sum()), low, high, len(first), len(sums))


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Two-sided p of McNemar's exact test: `only_a` items were right with a alone, `only_b` with b alone.

    Under the null each discordant item is a fair coin (McNemar 1947, Psychometrika 12; exact form: binomial).
    """
    from statsmodels.stats.contingency_tables import mcnemar

    if only_a == only_b == 0:
        return 1.0
    return float(mcnemar([[0, only_a], [only_b, 0]], exact=True).pvalue)  # pyright: ignore


def wilson_interval(right: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a proportion (Wilson 1927, JASA 22); NaN when n is 0."""
    from scipy.stats import binomtest

    if n == 0:
        return math.nan, math.nan
    interval = binomtest(right, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def paired_proportions(
    both: int, only_a: int, only_b: int, neither: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of the difference a - b of two proportions of the same n items; NaN when n is 0.

    Newcombe's method 10 (R. Newcombe, Improved confidence intervals for the difference between binomial proportions based on
    paired data, Statistics in Medicine 17, 1998): Wilson limits of both, combined with their correlation. It has a width where no
    item differs, which a bootstrap has not.
    """
    n = both + only_a + only_b + neither
    if n == 0:
        return math.nan, math.nan
    a, b = both + only_a, both + only_b
    (a_low, a_high), (b_low, b_high) = (wilson_interval(count, n, confidence) for count in (a, b))
    margins = a * (n - a) * b * (n - b)
    product = both * neither - only_a * only_b
    if product > 0:
        product = max(product - n / 2, 0)
    phi = product / math.sqrt(margins) if margins else 0.0

    def reach(one: float, other: float) -> float:
        return math.sqrt(max(one**2 - 2 * phi * one * other + other**2, 0.0))

    difference = (a - b) / n
    return difference - reach(a / n - a_low, b_high - b / n), difference + reach(a_high - a / n, b / n - b_low)


def minimum_detectable_effect(
    diffs: ArrayLike, *, alpha: float = 0.05, power: float = 0.8, clusters: Sequence[Hashable] | None = None
) -> float:
    """The smallest true mean difference that a paired two-sided test at `alpha` finds with probability `power`.

    MDE = (z(1 - alpha/2) + z(power)) * SE, where SE is the standard error of the mean paired difference, clustered where
    clusters are given: SE^2 = G/(G-1) * sum_g (sum_{i in g} (d_i - mean d))^2 / n^2 (Miller 2024, "Adding Error Bars to Evals",
    sections 2.2 and 5; Card et al. 2020, "With Little Power Comes Great Responsibility"). Infinite with fewer than two units.

    Raises:
        ValueError: a value is not finite, or lengths differ.
    """
    from scipy.stats import norm

    values = np.asarray(diffs, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a difference is not finite")
    if clusters is not None and len(clusters) != len(values):
        raise ValueError("clusters need one entry per item")
    if len(values) < 2:
        return math.inf
    sums, _, _ = _units(values - values.mean(), clusters, None)
    units = len(sums)
    if units < 2:
        return math.inf
    error = math.sqrt(units / (units - 1) * float((sums**2).sum())) / len(values)
    return float(norm.ppf(1 - alpha / 2) + norm.ppf(power)) * error


def holm(pvalues: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given (Holm 1979, Scandinavian Journal of Statistics 6)."""
    adjusted = [0.0] * len(pvalues)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(pvalues)), key=lambda i: pvalues[i])):
        largest = max(largest, min(1.0, (len(pvalues) - rank) * pvalues[place]))
        adjusted[place] = largest
    return adjusted


def _units(
    values: Floats, clusters: Sequence[Hashable] | None, strata: Sequence[Hashable] | None
) -> tuple[Floats, Floats, list[NDArray[np.intp]]]:
    """Per resampled unit: sum of values and number of items; then, per stratum, which units it holds."""
    labels = range(len(values)) if clusters is None else clusters
    unit_of = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    units = np.array([unit_of[label] for label in labels], dtype=np.intp)
    sums = np.bincount(units, weights=values, minlength=len(unit_of)).astype(np.float64)
    sizes = np.bincount(units, minlength=len(unit_of)).astype(np.float64)
    home: dict[int, Hashable] = {}
    for unit, stratum in zip(units.tolist(), strata if strata is not None else [None] * len(values), strict=True):
        if home.setdefault(unit, stratum) != stratum:
            raise ValueError("a cluster lies in two strata: resample by one of the two")
    members: dict[Hashable, list[int]] = {}
    for unit, stratum in home.items():
        members.setdefault(stratum, []).append(unit)
    return sums, sizes, [np.array(m, dtype=np.intp) for m in members.values()]


def _percentiles(
    sums: Floats, sizes: Floats, groups: list[NDArray[np.intp]], confidence: float, resamples: int, seed: int
) -> tuple[float, float]:
    drawn = _resample(sums, sizes, groups, resamples, seed)
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _resample(sums: Floats, sizes: Floats, groups: list[NDArray[np.intp]], resamples: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    total, count = np.zeros(resamples), np.zeros(resamples)
    for units in groups:
        step = max(1, _CHUNK // len(units))
        for start in range(0, resamples, step):
            rows = slice(start, min(start + step, resamples))
            picked = units[rng.integers(0, len(units), size=(rows.stop - rows.start, len(units)))]
            total[rows] += sums[picked].sum(axis=1)
            count[rows] += sizes[picked].sum(axis=1)
    return total / count
