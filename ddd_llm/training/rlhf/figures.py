"""What the policy's answers to prompts it never trained on are like, before and after.

Belongs here: figures from sampled answers and their scores. Does not: sampling (`trainer`). Pure numpy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ddd_llm.training.dpo_results import paired_gain
from ddd_llm.training.rlhf.answers import SampledAnswer
from ddd_llm.training.rlhf.recipe import RlhfRecipe
from ddd_llm.training.rlhf.rewards import Scores, totals


def answer_figures(
    answers: Sequence[SampledAnswer], scores: Scores, reference: Sequence[float], recipe: RlhfRecipe
) -> dict[str, float]:
    """Means over answers: `reward` (weighted sum) and `reward_NAME` (unweighted sum), `tokens`, `unfinished` (share that reached
    the longest length), `perplexity` under the reference, `distinct_2`, `distinct_3` (Li et al. 2016, arXiv:1510.03055: distinct
    n-grams of words over all of them).

    Args:
        answers: sampled.
        scores: of them.
        reference: summed log-likelihood of each answer under the reference, in nats.
        recipe: the settings.
    """
    tokens = [len(answer.ids) for answer in answers]
    found = {
        "reward": _mean(totals(scores, recipe)),
        **{f"reward_{name}": _mean([sum(s.value for s in row) for row in rows]) for name, rows in scores.items()},
        "tokens": _mean(tokens),
        "unfinished": _mean([count >= recipe.max_new_tokens for count in tokens]),
        "perplexity": math.exp(-sum(reference) / max(1, sum(tokens))),
    }
    return found | {f"distinct_{n}": distinct([a.text for a in answers], n) for n in (2, 3)}


def held_out_figures(
    before: tuple[Sequence[SampledAnswer], Scores, Sequence[float]],
    after: tuple[Sequence[SampledAnswer], Scores, Sequence[float]],
    components: Sequence[str],
    recipe: RlhfRecipe,
    chosen: Scores | None = None,
) -> dict[str, Any]:
    """Figures before and after, and the gain in reward per prompt with an interval over components; empty without prompts.

    With the scores of the best of several answers of the supervised model, their reward and gain too (`best_of_...`).
    """
    if not components:
        return {}
    found: dict[str, Any] = {"prompts": len(components)}
    for when, part in (("before", before), ("after", after)):
        found |= {f"{name}_{when}": value for name, value in answer_figures(*part, recipe).items()}
    gain = paired_gain(np.array(totals(before[1], recipe)), np.array(totals(after[1], recipe)), components)
    found |= {
        "gain": gain.value,
        "gain_low": gain.low,
        "gain_high": gain.high,
        "gain_minimum_detectable": gain.minimum_detectable,
        "components": gain.components,
        "fluency_ratio": found["perplexity_after"] / found["perplexity_before"],
        "conflicts": conflicts(after[1]),
    }
    if chosen is not None:
        kept = totals(chosen, recipe)
        better = paired_gain(np.array(totals(before[1], recipe)), np.array(kept), components)
        found |= {"best_of": recipe.best_of, "best_of_reward": _mean(kept), "best_of_gain": better.value}
        found |= {"best_of_gain_low": better.low, "best_of_gain_high": better.high}
    return found


def conflicts(scores: Scores) -> list[dict[str, Any]]:
    """Correlation of each pair of rewards, segment by segment: each segment of the one with more of them beside the segment of
    the other that holds its end. None where either is constant."""
    names = sorted(scores)
    rows = []
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            fine, coarse = sorted((one, other), key=lambda name: (-sum(map(len, scores[name])), name))
            pairs = []
            for mine, theirs in zip(scores[fine], scores[coarse], strict=True):
                for segment in mine:
                    holder = next((s for s in theirs if s.start < segment.end <= s.end), None)
                    if holder is not None:
                        pairs.append((segment.value, holder.value))
            rows.append({"rewards": [one, other], "segments": len(pairs), "correlation": _correlation(pairs)})
    return rows


def distinct(texts: Sequence[str], n: int) -> float:
    """Share of distinct word n-grams among all of the texts; 0 without any."""
    grams = [tuple(words[i : i + n]) for words in (text.split() for text in texts) for i in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0


def _correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    if len(pairs) < 3:
        return None
    x, y = np.array(pairs, float).T
    if x.std() < 1e-12 or y.std() < 1e-12:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def _mean(values: Sequence[float] | Sequence[bool]) -> float:
    return float(np.mean(values)) if len(values) else 0.0
