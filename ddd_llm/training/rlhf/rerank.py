"""Control at inference: of several sampled answers to a prompt, the one that the rewards like best.

Belongs here: the choice. Does not: sampling (`trainer`) or scoring (`rewards`). It needs no training, costs as many answers as it
chooses among, and is what policy optimisation by the same rewards has to be held against (best-of-n: N. Stiennon and others,
Learning to summarize from human feedback, 2020, section 4.3).
"""

from __future__ import annotations

from collections.abc import Sequence

from ddd_llm.training.rlhf.recipe import RlhfRecipe
from ddd_llm.training.rlhf.rewards import Scores, totals


def best_of(scores: Scores, recipe: RlhfRecipe, samples: int) -> list[int]:
    """Places of the answers to keep: of each group of `samples` consecutive ones that of the highest weighted sum, the first of
    equals.

    Raises:
        ValueError: the answers do not fill whole groups.
    """
    rewards = totals(scores, recipe)
    if samples < 1 or len(rewards) % samples:
        raise ValueError(f"{len(rewards)} answers are no whole number of groups of {samples}")
    return [
        max(range(start, start + samples), key=lambda i: (rewards[i], -i)) for start in range(0, len(rewards), samples)
    ]


def taken(scores: Scores, places: Sequence[int]) -> Scores:
    """The scores of some answers."""
    return {name: [rows[i] for i in places] for name, rows in scores.items()}
