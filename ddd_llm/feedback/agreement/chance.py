"""Percent agreement and the other coefficients that correct it for chance: Cohen's and Fleiss' kappa, Gwet's AC1.

Kappa falls with skewed categories although annotators agree; AC1 does not, so it is shown beside (Gwet 2008, "Computing
inter-rater reliability and its variance in the presence of high agreement"). Heavy inside functions: statsmodels.
"""

from __future__ import annotations

from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt

from ddd_llm.feedback.agreement.alpha import RESAMPLES, Estimate, Floats, bootstrap, finite
from ddd_llm.feedback.agreement.ratings import MISSING, Ratings

Weights = Literal["linear", "quadratic"]


def percent(ratings: Ratings) -> float | None:
    """Share of agreeing pairs of labels, averaged over items with at least two; None without such items."""
    counts = ratings.paired()
    return finite(_agreeing(counts).mean()) if len(counts) else None


def ac1(ratings: Ratings, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """Gwet's AC1 for any number of annotators, gaps allowed; interval by resampling items.

    Chance is sum of p (1 - p) over categories divided by their number - 1, p the mean share of a category among an item's
    labels (Gwet 2008, equation 8). All categories of `ratings.values` count, also those nobody used.
    """
    labelled = ratings.counts[ratings.counts.sum(1) >= 1]
    paired = labelled.sum(1) >= 2
    several = int(paired.sum())
    if not several or len(ratings.values) < 2:
        return Estimate(None, None, None, several, int(labelled[paired].sum()))
    shares = labelled / labelled.sum(1, keepdims=True)
    agreeing = np.zeros(len(labelled))
    agreeing[paired] = _agreeing(labelled[paired])

    def of(weights: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            observed = (weights @ agreeing) / (weights @ paired.astype(float))
            p = (weights @ shares) / weights.sum(1, keepdims=True)
            chance = (p * (1 - p)).sum(1) / (len(ratings.values) - 1)
            return (observed - chance) / (1 - chance)

    value = of(np.ones((1, len(labelled))))[0]
    low, high = bootstrap(len(labelled), resamples, seed, confidence, of) if resamples else (None, None)
    return Estimate(finite(value), low, high, several, int(labelled[paired].sum()))


def cohen(ratings: Ratings, one: str, two: str, weights: Weights | None = None, confidence: float = 0.95) -> Estimate:
    """Cohen's kappa of two annotators on the items that both labelled, with its asymptotic interval (Fleiss, Cohen and Everitt
    1969, as in statsmodels).

    Args:
        ratings: the labels.
        one, two: the annotators.
        weights: None for nominal data; linear or quadratic for ordered categories.
        confidence: of the interval.
    """
    pair = ratings.only(one, two).codes
    pair = pair[(pair != MISSING).all(1)]
    table = np.zeros((len(ratings.values), len(ratings.values)))
    np.add.at(table, (pair[:, 0], pair[:, 1]), 1)
    used = (table.sum(0) + table.sum(1)) > 0
    if used.sum() < 2:
        return Estimate(None, None, None, len(pair), 2 * len(pair))
    from scipy.stats import norm
    from statsmodels.stats.inter_rater import cohens_kappa

    # Unused categories change nothing but the distances of weighted kappa, which they belong to.
    table = table if weights else table[np.ix_(used, used)]
    with np.errstate(divide="ignore", invalid="ignore"):  # perfect agreement has no variance
        found = cohens_kappa(table, wt=weights)
    kappa = float(found.kappa)
    half = float(norm.ppf((1 + confidence) / 2)) * float(np.sqrt(max(float(found.var_kappa), 0.0)))
    return Estimate(finite(kappa), max(-1.0, kappa - half), min(1.0, kappa + half), len(pair), 2 * len(pair))


def pairwise_cohen(ratings: Ratings, weights: Weights | None = None) -> dict[tuple[str, str], Estimate]:
    """Cohen's kappa of every two annotators who share an item."""
    found = {(a, b): cohen(ratings, a, b, weights) for a, b in combinations(ratings.annotators, 2)}
    return {pair: estimate for pair, estimate in found.items() if estimate.items}


def fleiss(ratings: Ratings) -> float | None:
    """Fleiss' kappa (1971); None where items have different numbers of labels, or only one category occurs."""
    counts = ratings.counts
    sizes = counts.sum(1)
    if len(counts) == 0 or sizes[0] < 2 or (sizes != sizes[0]).any() or (counts.sum(0) > 0).sum() < 2:
        return None
    from statsmodels.stats.inter_rater import fleiss_kappa

    return finite(float(fleiss_kappa(counts)))


def _agreeing(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    labels = counts.sum(1)
    return (counts * (counts - 1)).sum(1) / (labels * (labels - 1))
