"""True classes and each annotator's confusion, estimated together from labels alone.

Source: Dawid and Skene, "Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm" (1979). In log space,
started from majority shares, with a fraction of a label added to every cell of a confusion so that no probability is zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ddd_llm.feedback.agreement.alpha import Floats
from ddd_llm.feedback.agreement.ratings import MISSING, Ratings

SMOOTHING = 0.01


@dataclass(frozen=True)
class Estimates:
    """What the labels say when annotators are weighed by how reliable they look.

    Attributes:
        annotators, values: names along the axes of `confusion`.
        posterior: (items, categories) probability of each true class; rows of unlabelled items are the prior.
        prior: (categories,).
        confusion: (annotators, true, given) probabilities.
        log_likelihood: of the labels; it never falls from one iteration to the next but for smoothing.
        iterations: until it settled.
        converged: False when `limit` ended it.
    """

    annotators: tuple[str, ...]
    values: tuple[str, ...]
    posterior: Floats
    prior: Floats
    confusion: Floats
    log_likelihood: float
    iterations: int
    converged: bool


def dawid_skene(ratings: Ratings, limit: int = 500, tolerance: float = 1e-6, smoothing: float = SMOOTHING) -> Estimates:
    """Run EM until no posterior moves by more than `tolerance`.

    Raises:
        ValueError: no label at all.
    """
    if not (ratings.codes != MISSING).any():
        raise ValueError("no labels to estimate from")
    given = _one_hot(ratings)
    posterior = ratings.counts + 1e-9
    posterior /= posterior.sum(1, keepdims=True)
    likelihood = -np.inf
    for iteration in range(1, limit + 1):
        prior = (posterior.sum(0) + smoothing) / (len(posterior) + smoothing * posterior.shape[1])
        confusion = np.einsum("it,iag->atg", posterior, given) + smoothing
        confusion /= confusion.sum(2, keepdims=True)
        joint = np.log(prior) + np.einsum("iag,atg->it", given, np.log(confusion))
        peak = joint.max(1, keepdims=True)
        mass = np.exp(joint - peak)
        total = mass.sum(1, keepdims=True)
        after = mass / total
        likelihood = float((np.log(total) + peak).sum())
        moved = float(np.abs(after - posterior).max())
        posterior = after
        if moved < tolerance:
            return Estimates(
                ratings.annotators, ratings.values, posterior, prior, confusion, likelihood, iteration, True
            )
    return Estimates(ratings.annotators, ratings.values, posterior, prior, confusion, likelihood, limit, False)


def _one_hot(ratings: Ratings) -> Floats:
    """(items, annotators, categories): 1 where the annotator gave the item the category."""
    given = np.zeros((*ratings.codes.shape, len(ratings.values)))
    rows, columns = np.nonzero(ratings.codes != MISSING)
    given[rows, columns, ratings.codes[rows, columns]] = 1
    return given
