"""Rewards that need no model: names of a list, checked against the facts of the question.

Belongs here: the rules. Does not: where facts come from (`instructions.tasks_parameters`).

For questions whose facts hold `parameters`; others get no reward. `names`: +1 for each name in backquotes that is one of them
and was not said before, -1 for any other, each on the token where the name ends. `omissions`: -1 for each name that is missing,
on the last token. `listing`: both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ddd_llm.feedback.segments import segment_end_tokens
from ddd_llm.training.rlhf.answers import SampledAnswer
from ddd_llm.training.rlhf.rewards import Scored

_NAME = re.compile(r"`\**(\w+)`")


def listing(answers: Sequence[SampledAnswer]) -> list[list[Scored]]:
    """Rewards of the names in each answer, and of those that are not."""
    return [said + unsaid for said, unsaid in map(_score, answers)]


def names(answers: Sequence[SampledAnswer]) -> list[list[Scored]]:
    """Rewards of the names in each answer."""
    return [said for said, _ in map(_score, answers)]


def omissions(answers: Sequence[SampledAnswer]) -> list[list[Scored]]:
    """What the names that each answer leaves out cost."""
    return [unsaid for _, unsaid in map(_score, answers)]


def _score(answer: SampledAnswer) -> tuple[list[Scored], list[Scored]]:
    if "parameters" not in answer.facts:
        return [], []
    missing = set(answer.facts["parameters"])
    found = list(_NAME.finditer(answer.text))
    ends = segment_end_tokens(answer.offsets, [match.span() for match in found], answer.text, False)
    said = []
    for match, token in zip(found, ends, strict=True):
        right = match[1] in missing
        missing.discard(match[1])
        if token is not None:
            said.append(Scored(token, 1.0 if right else -1.0, *match.span()))
    end = len(answer.text)
    unsaid = [Scored(len(answer.ids) - 1, -float(len(missing)), end, end)] if missing else []
    return said, unsaid
