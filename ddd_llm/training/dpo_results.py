"""What preference training changed on pairs it never saw.

Belongs here: figures from log-likelihoods before and after. Does not: computing those (`dpo_trainer`). Pure numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ddd_llm.feedback.agreement.alpha import bootstrap
from ddd_llm.training.preferences import EncodedPair

Likelihoods = Sequence[tuple[float, float]]
_POWER_SUM = 1.959964 + 0.841621
"""Normal quantiles of a two-sided 5% test with 80% power, added."""


@dataclass(frozen=True)
class Gain:
    """A paired difference with its 95% bootstrap interval over components, and the smallest that so many could show."""

    value: float
    low: float | None
    high: float | None
    pairs: int
    components: int
    minimum_detectable: float | None


def held_out_figures(
    pairs: Sequence[EncodedPair], before: Likelihoods, after: Likelihoods, beta: float, collapse_nats: float
) -> dict[str, Any]:
    """Figures of held-out pairs; empty without any.

    `accuracy`: share of pairs whose chosen answer has the larger log-likelihood per token; `accuracy_sum` without dividing by
    length. `gain`: accuracy after minus before. `margin`: chosen minus rejected log-likelihood, both per token, in nats; it
    still moves where accuracy is near 1, and `margin_gain` is its change. `reward_accuracy` and `reward_margin`: of DPO's
    implicit reward, beta times the log-ratio to the supervised model. `chosen_change`: of the chosen answers' log-likelihood,
    nats per token; a fall by more than `collapse_nats` is `collapsed`.
    """
    if not pairs:
        return {}
    tokens = np.array([[len(p.chosen_ids), len(p.rejected_ids)] for p in pairs], float)
    old, new = np.array(before, float), np.array(after, float)
    right_before = _right(old / tokens)
    right_after = _right(new / tokens)
    rewards = beta * (new - old)
    margins = rewards[:, 0] - rewards[:, 1]
    change = float(((new - old)[:, 0] / tokens[:, 0]).mean())
    groups = [p.component for p in pairs]
    gain = paired_gain(right_before, right_after, groups)
    apart = [(logps / tokens)[:, 0] - (logps / tokens)[:, 1] for logps in (old, new)]
    margin = paired_gain(apart[0], apart[1], groups)
    return {
        "pairs": len(pairs),
        "accuracy_before": float(right_before.mean()),
        "accuracy_after": float(right_after.mean()),
        "accuracy_sum_before": float(_right(old).mean()),
        "accuracy_sum_after": float(_right(new).mean()),
        "gain": gain.value,
        "gain_low": gain.low,
        "gain_high": gain.high,
        "gain_minimum_detectable": gain.minimum_detectable,
        "components": gain.components,
        "margin_before": float(apart[0].mean()),
        "margin_after": float(apart[1].mean()),
        "margin_gain": margin.value,
        "margin_gain_low": margin.low,
        "margin_gain_high": margin.high,
        "reward_accuracy": float((margins > 0).mean()),
        "reward_margin": float(margins.mean()),
        "chosen_nats_before": float((old[:, 0] / tokens[:, 0]).mean()),
        "chosen_nats_after": float((new[:, 0] / tokens[:, 0]).mean()),
        "chosen_change": change,
        "collapsed": change < -collapse_nats,
    }


def _right(likelihoods: np.ndarray) -> np.ndarray:
    # A tie is half right: the model has no preference.
    apart = likelihoods[:, 0] - likelihoods[:, 1]
    return (apart > 0) + 0.5 * (apart == 0)


def paired_gain(before: np.ndarray, after: np.ndarray, groups: Sequence[str], resamples: int = 2000) -> Gain:
    """Mean of after - before, resampling whole groups (pairs of one component share documents)."""
    names = sorted(set(groups))
    place = {name: i for i, name in enumerate(names)}
    index = np.array([place[group] for group in groups])
    sums = np.bincount(index, after - before, len(names))
    sizes = np.bincount(index, minlength=len(names)).astype(float)
    low, high = bootstrap(len(names), resamples, 0, 0.95, lambda w: (w @ sums) / (w @ sizes))
    value = float(sums.sum() / sizes.sum())
    if len(names) < 2:
        return Gain(value, None, None, len(groups), len(names), None)
    residuals = sums - value * sizes
    error = float(np.sqrt((residuals**2).sum() * len(names) / (len(names) - 1)) / sizes.sum())
    return Gain(value, low, high, len(groups), len(names), _POWER_SUM * error)
