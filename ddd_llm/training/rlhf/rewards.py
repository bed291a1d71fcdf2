"""Rewards of sampled answers: from reward models, from rules, added up on the tokens where segments end.

Belongs here: the form of a reward, and combining several. Does not: single sources (`model_reward`, `toxicity`, `listing`), nor
what a policy learns from them (`advantage`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ddd_llm.training.rlhf.answers import SampledAnswer
from ddd_llm.training.rlhf.recipe import RlhfRecipe


@dataclass(frozen=True)
class Scored:
    """A reward, not yet weighted, of the characters [start, end) of an answer, given on the token where they end."""

    token: int
    value: float
    start: int
    end: int


class Reward(Protocol):
    """Scores answers: for each of them any number of segments."""

    def __call__(self, answers: Sequence[SampledAnswer]) -> list[list[Scored]]: ...


Scores = dict[str, list[list[Scored]]]
"""By reward, for each answer."""


def score(rewards: Mapping[str, Reward], answers: Sequence[SampledAnswer]) -> Scores:
    """Ask every reward."""
    return {name: reward(answers) for name, reward in rewards.items()}


def earned(scores: Scores, answers: Sequence[SampledAnswer], recipe: RlhfRecipe) -> list[list[dict[str, float]]]:
    """The weighted rewards by name on each token of each answer; none wherever no segment ends.

    With `credit: sequence` all of an answer's lie on its last token.
    """
    rows: list[list[dict[str, float]]] = [[{} for _ in answer.ids] for answer in answers]
    for name, found in scores.items():
        weight = recipe.rewards[name].weight
        for row, segments in zip(rows, found, strict=True):
            for segment in segments:
                here = row[segment.token if recipe.credit == "segment" else len(row) - 1]
                here[name] = here.get(name, 0.0) + weight * segment.value
    return rows


def on_tokens(scores: Scores, answers: Sequence[SampledAnswer], recipe: RlhfRecipe) -> list[list[float]]:
    """The sum of all weighted rewards on each token of each answer."""
    return [[sum(here.values(), 0.0) for here in row] for row in earned(scores, answers, recipe)]


def totals(scores: Scores, recipe: RlhfRecipe) -> list[float]:
    """The weighted sum of all rewards of each answer."""
    counts = next(iter(scores.values()))
    return [
        sum(recipe.rewards[name].weight * segment.value for name in scores for segment in scores[name][i])
        for i in range(len(counts))
    ]
