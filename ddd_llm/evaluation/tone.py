"""The tone of answers: a rubric that a program can check, how models differ by it, and whether people would say the same.

Belongs here: the policy (`assets/policies/tone.yaml`), scores and comparisons. Does not: whose answers (`tone_assets`).
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ddd_llm.evaluation.statistics import Delta, paired_delta, wilson_interval
from ddd_llm.platform.inputs import load_yaml
from ddd_llm.platform.patterns import Patterns
from ddd_llm.platform.settings import Settings

FILE = "policies/tone.yaml"
_CODE = re.compile(r"```.*?(```|$)|`[^`\n]*`", re.DOTALL)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


class Criterion(BaseModel):
    """One thing that an answer's tone keeps or breaks. All conditions that are given must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    description: str = Field(min_length=1)
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    avoid: Patterns = Field(default=(), description="Regular expressions of which none is found outside code.")
    require: Patterns = Field(default=(), description="Regular expressions of which one is found.")
    sentence_words_at_most: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _asks_something(self) -> Criterion:
        if not (self.avoid or self.require or self.sentence_words_at_most):
            raise ValueError("give `avoid`, `require` or `sentence_words_at_most`: else every answer keeps it")
        return self

    def kept(self, answer: str) -> bool:
        """Does an answer keep it?"""
        prose = _CODE.sub("`code`", answer).strip()
        if any(re.search(pattern, prose, re.IGNORECASE) for pattern in self.avoid):
            return False
        if self.require and not any(re.search(pattern, prose, re.IGNORECASE) for pattern in self.require):
            return False
        most = self.sentence_words_at_most
        return most is None or all(len(sentence.split()) <= most for sentence in _SENTENCE_END.split(prose))


class TonePolicy(BaseModel):
    """The tone that answers are to have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(ge=1)
    rubric: str = Field(
        default="tone", description="The rubric of people's preferences that the scorer is held against."
    )
    least_pairs: int = Field(default=20, ge=1, description="Fewer that people scored differently are insufficient.")
    criteria: tuple[Criterion, ...] = Field(min_length=1)

    @field_validator("criteria")
    @classmethod
    def _ids_differ(cls, criteria: tuple[Criterion, ...]) -> tuple[Criterion, ...]:
        if len({criterion.id for criterion in criteria}) != len(criteria):
            raise ValueError("two criteria share an id")
        return criteria

    def kept(self, answer: str) -> dict[str, bool]:
        """Which criteria an answer keeps."""
        return {criterion.id: criterion.kept(answer) for criterion in self.criteria}

    def score(self, answer: str) -> float | None:
        """Share of the weights of the criteria that an answer keeps, 0 to 1; None for an empty answer, which has no tone."""
        if not answer.strip():
            return None
        return sum(c.weight for c in self.criteria if c.kept(answer)) / sum(c.weight for c in self.criteria)


def load_tone(settings: Settings) -> TonePolicy:
    """The policy as people wrote it. Raises InputError."""
    return load_yaml(settings.assets / FILE, TonePolicy)


@dataclass(frozen=True)
class AnswerSet:
    """Answers of several models to the same questions.

    `before` names the model that the others are held against; `clusters` gives what each question is not independent of.
    """

    name: str
    before: str
    answers: Mapping[str, Sequence[str]]
    clusters: Sequence[Hashable]
    ids: Sequence[str]


@dataclass(frozen=True)
class Change:
    """How a model's tone differs from the one before it on the questions that both answered."""

    answers: str
    model: str
    before: str
    change: Delta


def changes(policy: TonePolicy, sets: Sequence[AnswerSet]) -> list[Change]:
    """Paired differences of the score, model after `before`, with a bootstrap interval over clusters."""
    found = []
    for given in sets:
        scores = {model: [policy.score(answer) for answer in said] for model, said in given.answers.items()}
        first = scores[given.before]
        for model, second in scores.items():
            if model == given.before:
                continue
            rows = zip(first, second, given.clusters, strict=True)
            both = [(a, b, cluster) for a, b, cluster in rows if a is not None and b is not None]
            change = paired_delta([a for a, _, _ in both], [b for _, b, _ in both], clusters=[c for _, _, c in both])
            found.append(Change(given.name, model, given.before, change))
    return found


@dataclass(frozen=True)
class Validation:
    """Whether the scorer puts two answers in the order in which people's scores on the rubric do.

    `pairs` counts those that people scored differently; of these the scorer has `right`, `wrong`, and the rest alike. `low` and
    `high`: Wilson's 95% interval of the share right among those it does not call alike.
    """

    outcome: Literal["agrees", "does_not_agree", "insufficient"]
    pairs: int
    right: int
    wrong: int
    low: float
    high: float

    @property
    def sentence(self) -> str:
        """For people."""
        alike = self.pairs - self.right - self.wrong
        return (
            f"of {self.pairs} pairs that people scored differently, the scorer has {self.right} in their order, {self.wrong} in "
            f"the other, {alike} alike (share right 95%: {self.low:.2f} to {self.high:.2f})"
        )


def validate(policy: TonePolicy, pairs: Sequence[tuple[tuple[str, str], tuple[int, int]]]) -> Validation:
    """Hold the scorer against people.

    Args:
        policy: the rubric.
        pairs: two answers, and people's scores of them.
    """
    apart = [(answers, scores) for answers, scores in pairs if scores[0] != scores[1]]
    right = wrong = 0
    for answers, scores in apart:
        first, second = (policy.score(answer) or 0.0 for answer in answers)
        if first != second:
            same = (first > second) == (scores[0] > scores[1])
            right, wrong = right + same, wrong + (not same)
    low, high = wilson_interval(right, right + wrong)
    enough = right + wrong >= policy.least_pairs
    outcome = "insufficient" if not enough else "agrees" if low > 0.5 else "does_not_agree"
    return Validation(outcome, len(apart), right, wrong, low, high)
