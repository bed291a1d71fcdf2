"""Statistics against independent oracles (scipy) and against simulated truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from ddd_llm.evaluation.statistics import (
    holm,
    mcnemar_exact,
    minimum_detectable_effect,
    paired_delta,
    paired_proportions,
    wilson_interval,
)

UNIT = st.floats(0, 1, allow_nan=False)


def test_interval_agrees_with_scipy() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.beta(2, 3, 120), rng.beta(4, 2, 120)
    ours = paired_delta(a, b)
    theirs = scipy.stats.bootstrap(
        (b - a,), np.mean, method="percentile", n_resamples=9_999, rng=np.random.default_rng(1)
    )
    assert ours.delta == pytest.approx((b - a).mean())
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.006)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.006)


def test_clustered_interval_agrees_with_scipy_on_the_ratio_of_cluster_sums() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 40, 200)
    diff = rng.normal(0.2, 0.3, 40)[labels] + rng.normal(0, 0.1, 200)
    ours = paired_delta(np.zeros(200), diff, clusters=labels.tolist())
    sums = np.array([diff[labels == g].sum() for g in np.unique(labels)])
    sizes = np.array([(labels == g).sum() for g in np.unique(labels)])
    theirs = scipy.stats.bootstrap(
        (sums, sizes),
        lambda s, n, axis=-1: s.sum(axis) / n.sum(axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=9_999,
        rng=np.random.default_rng(1),
    )
    assert ours.clusters == len(sums)
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.008)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.008)


def _covers(clustered: bool, trials: int = 300) -> float:
    rng = np.random.default_rng(11)
    truth, hits = 0.15, 0
    for trial in range(trials):
        labels = np.repeat(np.arange(40), rng.integers(1, 9, 40))
        diff = truth + rng.normal(0, 0.3, 40)[labels] + rng.normal(0, 0.2, len(labels))
        found = paired_delta(
            np.zeros(len(diff)), diff, clusters=labels.tolist() if clustered else None, resamples=799, seed=trial
        )
        hits += found.low <= truth <= found.high
    return hits / trials


def test_interval_covers_the_truth_when_items_come_in_clusters() -> None:
    # 300 trials: standard error of the share 1.3%; a bootstrap over 40 clusters is known to run a little short of 95%.
    assert 0.905 <= _covers(clustered=True) <= 0.985


def test_ignoring_clusters_would_claim_too_much() -> None:
    assert _covers(clustered=False, trials=150) < 0.85


def test_strata_remove_the_spread_between_them() -> None:
    strata = ["easy"] * 50 + ["hard"] * 50
    rng = np.random.default_rng(0)
    diff = np.where(np.array(strata) == "easy", 0.0, 1.0) + rng.normal(0, 0.05, 100)
    plain, within = paired_delta(np.zeros(100), diff), paired_delta(np.zeros(100), diff, strata=strata)
    assert within.high - within.low < (plain.high - plain.low) / 3
    with pytest.raises(ValueError, match="two strata"):
        paired_delta([0, 0], [1, 1], clusters=["m", "m"], strata=["x", "y"])


@settings(max_examples=40)
@given(st.lists(st.tuples(UNIT, UNIT, st.integers(0, 5)), min_size=1, max_size=30))
def test_interval_is_ordered_mirrored_and_does_not_depend_on_hash_or_order(
    rows: list[tuple[float, float, int]],
) -> None:
    a, b, groups = ([row[i] for row in rows] for i in range(3))
    there = paired_delta(a, b, clusters=groups, resamples=199)
    assert there == paired_delta(a, b, clusters=groups, resamples=199)
    assert there.low <= there.high + 1e-12
    assert min(np.subtract(b, a)) - 1e-9 <= there.low
    assert there.high <= max(np.subtract(b, a)) + 1e-9
    assert there.delta == pytest.approx(there.mean_b - there.mean_a, abs=1e-9)


@settings(max_examples=60)
@given(st.lists(st.tuples(UNIT, UNIT, st.integers(0, 5)), min_size=1, max_size=30), st.integers(0, 29), UNIT)
def test_a_better_item_never_lowers_a_bound(rows: list[tuple[float, float, int]], place: int, gain: float) -> None:
    a, b, groups = ([row[i] for row in rows] for i in range(3))
    before = paired_delta(a, b, clusters=groups, resamples=199)
    b[place % len(b)] += gain
    after = paired_delta(a, b, clusters=groups, resamples=199)
    assert after.low >= before.low - 1e-12
    assert after.high >= before.high - 1e-12


def test_nothing_to_compare_is_not_a_number_and_bad_values_are_refused() -> None:
    empty = paired_delta([], [])
    assert empty.n == 0
    assert math.isnan(empty.low)
    with pytest.raises(ValueError, match="not finite"):
        paired_delta([0.0], [math.nan])
    with pytest.raises(ValueError, match="one entry per item"):
        paired_delta([0.0], [0.0, 1.0])
    same = paired_delta([0.5] * 9, [0.5] * 9)
    assert (same.low, same.high) == (0.0, 0.0)


@given(st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=60)
def test_mcnemar_is_the_binomial_test(only_a: int, only_b: int) -> None:
    p = mcnemar_exact(only_a, only_b)
    expected = scipy.stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert p == pytest.approx(expected)
    assert p == pytest.approx(mcnemar_exact(only_b, only_a))


@given(st.integers(0, 80), st.integers(1, 80))
@settings(max_examples=60)
def test_wilson_agrees_with_statsmodels(right: int, n: int) -> None:
    right = min(right, n)
    theirs = proportion_confint(right, n, method="wilson")
    assert wilson_interval(right, n) == pytest.approx(theirs, abs=1e-9)


def test_wilson_of_nothing_is_not_a_number() -> None:
    assert all(map(math.isnan, wilson_interval(0, 0)))


def test_minimum_detectable_effect_is_found_with_the_stated_power() -> None:
    rng = np.random.default_rng(2)
    n, spread, found = 80, 0.4, 0
    mde = minimum_detectable_effect(rng.normal(0, spread, 200_000)) * math.sqrt(200_000 / n)
    for _ in range(2_000):
        drawn = rng.normal(mde, spread, n)
        found += abs(drawn.mean()) > 1.96 * drawn.std(ddof=1) / math.sqrt(n)
    assert found / 2_000 == pytest.approx(0.8, abs=0.03)


def test_minimum_detectable_effect_grows_with_clusters_and_is_infinite_for_one_unit() -> None:
    diffs = np.repeat(np.random.default_rng(4).normal(0, 0.5, 20), 10)
    clustered = minimum_detectable_effect(diffs, clusters=np.repeat(np.arange(20), 10).tolist())
    assert clustered > 2.5 * minimum_detectable_effect(diffs)
    assert minimum_detectable_effect([0.3]) == math.inf
    assert minimum_detectable_effect([0.3, 0.4], clusters=["m", "m"]) == math.inf


@pytest.mark.parametrize("pvalues", [[0.01, 0.04, 0.03], [0.9, 0.5, 0.0, 0.5, 1.0, 0.002], [0.2]])
def test_holm_agrees_with_statsmodels(pvalues: list[float]) -> None:
    assert holm(pvalues) == pytest.approx(np.asarray(multipletests(pvalues, method="holm")[1]).tolist())


def test_holm_of_nothing_is_nothing() -> None:
    assert holm([]) == []


@given(st.lists(st.integers(0, 60), min_size=4, max_size=4).filter(any))
def test_paired_proportions_mirror_and_hold_the_difference(cells: list[int]) -> None:
    both, only_a, only_b, neither = cells
    low, high = paired_proportions(both, only_a, only_b, neither)
    difference = (only_a - only_b) / sum(cells)
    assert -1 - 1e-9 <= low <= difference <= high <= 1 + 1e-9
    assert high - low > 0, "no sample is so large that nothing is left open"
    assert paired_proportions(both, only_b, only_a, neither) == pytest.approx((-high, -low))


def test_paired_proportions_without_correlation_are_those_of_two_samples() -> None:
    """Where one of the two never happens they are uncorrelated: Newcombe's interval of independent samples is the oracle."""
    from statsmodels.stats.proportion import confint_proportions_2indep

    for hits, n in ((0, 20), (3, 40), (17, 60)):
        found = paired_proportions(0, hits, 0, n - hits)
        assert found == pytest.approx(confint_proportions_2indep(hits, n, 0, n, compare="diff", method="newcomb"))


def test_paired_proportions_cover() -> None:
    """Of 2,000 samples of 60 pairs with a known difference about 95% of the intervals hold it."""
    generator = np.random.default_rng(0)
    shares = np.array([0.15, 0.1, 0.05, 0.7])
    draws = generator.multinomial(60, shares, 2000)
    held = sum(low <= 0.05 <= high for low, high in (paired_proportions(*map(int, row)) for row in draws))
    assert 0.93 < held / 2000 < 0.99
    assert all(math.isnan(value) for value in paired_proportions(0, 0, 0, 0))
