"""How good a reward model is on answers it never saw: beside trivial baselines, with intervals, calibrated.

Belongs here: figures from scores. Does not: computing scores (`model`). Heavy inside functions: sklearn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ddd_llm.feedback.agreement.alpha import bootstrap
from ddd_llm.training.reward.data import Answer

_BINS = 10


def segment_figures(
    train: Sequence[Answer], held_out: Sequence[Answer], scores: Sequence[Sequence[float]]
) -> dict[str, Any]:
    """Figures of a model of segments; empty where nothing is held out or one class is missing.

    Half of the held-out answers (by component) fit a logistic curve from score to probability of an error (Platt 1999) and the
    threshold of the best F1; the other half is measured: F1, precision and recall of the class `error` from that threshold,
    accuracy, AUROC, and expected calibration error over ten bins (Guo et al. 2017). Baselines: everything is an error; a
    logistic model of a segment's length and place, fitted on the training answers; chance at the training rate.
    `beats_baselines`: the interval of the difference in F1 to each lies above zero, over items. `score_threshold`: the score from
    which a segment is called right, None where higher scores do not mean fewer errors; `score_mean` and `score_std`: of all
    scores.
    """
    parts = [_calibrates(answer.component) for answer in held_out]
    fit = [i for i, part in enumerate(parts) if part]
    test = [i for i, part in enumerate(parts) if not part]
    x_fit, y_fit = _flat(held_out, scores, fit)
    x, y = _flat(held_out, scores, test)
    if len(set(y_fit.tolist())) < 2 or len(set(y.tolist())) < 2:
        return {}
    calibrated = _platt(x_fit, y_fit)
    probability = calibrated(x)
    items = np.array([i for i in test for _ in held_out[i].targets])
    shapes = np.array([[t.length, t.place] for i in test for t in held_out[i].targets], float)
    rate = np.mean([t.wrong for a in train for t in a.targets])
    guesses = {
        "everything": np.ones(len(y), bool),
        "shape": _shape(train)(shapes),
        "chance": np.random.default_rng(0).random(len(y)) < rate,
    }
    threshold = _best_threshold(calibrated(x_fit), y_fit)
    mine = probability >= threshold
    figures: dict[str, Any] = {
        "segments": len(y),
        "errors": int(y.sum()),
        "answers": len(test),
        "threshold": threshold,
        "score_threshold": _score_threshold(x_fit, calibrated(x_fit) >= threshold),
        **_spread(np.concatenate([x_fit, x])),
        **_scores(mine, y),
        "auroc": _auroc(probability, y),
        "calibration_error": _calibration_error(probability, y),
    }
    figures["f1_low"], figures["f1_high"] = _interval(items, lambda w: _weighted_f1(mine, y, w))
    better = True
    for name, guess in guesses.items():
        figures[f"f1_{name}"] = _scores(guess, y)["f1"]

        def gain(weights: np.ndarray, guess: np.ndarray = guess) -> np.ndarray:
            return _weighted_f1(mine, y, weights) - _weighted_f1(guess, y, weights)

        low, high = _interval(items, gain)
        figures[f"gain_over_{name}_low"], figures[f"gain_over_{name}_high"] = low, high
        better = better and low is not None and low > 0
    figures["beats_baselines"] = better
    figures["reliability"] = _reliability(probability, y)
    return figures


def pair_figures(pairs: Sequence[Any], scores: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Figures of a holistic model on held-out pairs: how often the better answer scores higher, beside `the longer one`."""
    if not pairs:
        return {}
    right = np.array([better > other for better, other in scores], float)
    lengths = np.array([[len(p.chosen_ids), len(p.rejected_ids)] for p in pairs])
    longer = (lengths[:, 0] > lengths[:, 1]) + 0.5 * (lengths[:, 0] == lengths[:, 1])
    names = sorted({p.component for p in pairs})
    items = np.array([names.index(p.component) for p in pairs])

    def mean(values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        return lambda w: (w @ values) / w.sum(1)

    low, high = _interval(items, mean(right))
    gain_low, gain_high = _interval(items, mean(right - longer))
    half_low, _ = _interval(items, mean(right - 0.5))
    margins = np.array([better - other for better, other in scores])
    return {
        "pairs": len(pairs),
        "accuracy": float(right.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
        "accuracy_longer": float(longer.mean()),
        "gain_over_longer_low": gain_low,
        "gain_over_longer_high": gain_high,
        "mean_margin": float(margins.mean()),
        **_spread(np.array(scores, float).ravel()),
        "calibration_error": _calibration_error(1 / (1 + np.exp(-np.abs(margins))), right),
        "beats_baselines": bool(gain_low is not None and gain_low > 0 and half_low is not None and half_low > 0),
    }


def _calibrates(component: str) -> bool:
    return hashlib.sha256(f"calibrate\x1f{component}".encode()).digest()[0] % 2 == 0


def _flat(
    answers: Sequence[Answer], scores: Sequence[Sequence[float]], which: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    x = np.array([s for i in which for s in scores[i]], float)
    y = np.array([t.wrong for i in which for t in answers[i].targets], bool)
    return x, y


def _platt(scores: np.ndarray, wrong: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(scores[:, None], wrong)
    return lambda x: model.predict_proba(x[:, None])[:, 1]


def _best_threshold(probability: np.ndarray, wrong: np.ndarray) -> float:
    """The probability from which calling a segment wrong gives the best F1; of equal ones the largest."""
    tried = np.unique(probability)
    f1 = np.array([_scores(probability >= t, wrong)["f1"] for t in tried])
    return float(tried[len(tried) - 1 - int(f1[::-1].argmax())])


def _score_threshold(scores: np.ndarray, called_wrong: np.ndarray) -> float | None:
    """Halfway between the highest score called wrong and the lowest one called right; None where these are not apart."""
    wrong, right = scores[called_wrong], scores[~called_wrong]
    if not len(wrong) or not len(right) or wrong.max() >= right.min():
        return None
    return float((wrong.max() + right.min()) / 2)


def _spread(scores: np.ndarray) -> dict[str, float]:
    return {"score_mean": float(scores.mean()), "score_std": float(scores.std())}


def _shape(train: Sequence[Answer]) -> Callable[[np.ndarray], np.ndarray]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.array([[t.length, t.place] for a in train for t in a.targets], float)
    y = np.array([t.wrong for a in train for t in a.targets], bool)
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced")).fit(x, y)
    return lambda shapes: model.predict(shapes).astype(bool)


def _scores(guess: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    hits = float((guess & wrong).sum())
    precision = hits / guess.sum() if guess.any() else 0.0
    recall = hits / wrong.sum() if wrong.any() else 0.0
    f1 = 2 * hits / (guess.sum() + wrong.sum()) if guess.any() or wrong.any() else 0.0
    return {
        "f1": float(f1),
        "precision": float(precision),
        "recall": float(recall),
        "accuracy": float((guess == wrong).mean()),
    }


def _weighted_f1(guess: np.ndarray, wrong: np.ndarray, weights: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        total = weights @ guess + weights @ wrong
        return np.where(total > 0, 2 * (weights @ (guess & wrong)) / total, np.nan)


def _interval(
    items: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], resamples: int = 1000
) -> tuple[float | None, float | None]:
    """95% bootstrap interval of a statistic of row weights, resampling whole items."""
    names, index = np.unique(items, return_inverse=True)
    return bootstrap(len(names), resamples, 0, 0.95, lambda w: statistic(w[:, index]))


def _auroc(probability: np.ndarray, wrong: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(wrong, probability))


def _bins(probability: np.ndarray) -> np.ndarray:
    return np.minimum((probability * _BINS).astype(int), _BINS - 1)


def _calibration_error(probability: np.ndarray, wrong: np.ndarray) -> float:
    places = _bins(probability)
    parts = [(probability[places == b], wrong[places == b]) for b in range(_BINS) if (places == b).any()]
    return float(sum(len(p) * abs(p.mean() - w.mean()) for p, w in parts) / len(probability))


def _reliability(probability: np.ndarray, wrong: np.ndarray) -> list[dict[str, float]]:
    places = _bins(probability)
    return [
        {"from": b / _BINS, "segments": int((places == b).sum()), "said": float(p.mean()), "wrong": float(w.mean())}
        for b in range(_BINS)
        for p, w in [(probability[places == b], wrong[places == b])]
        if len(p)
    ]
