"""A reward that needs no model: names of a list, checked against the facts of the question.

Belongs here: the rule. Does not: where facts come from (`instructions.tasks_parameters`).

For questions whose facts hold `parameters`: +1 for each name in backquotes that is one of them and was not said before, -1 for
any other, each on the token where the name ends; -1 for each name that is missing, on the last token. Other questions get no
reward.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ddd_llm.feedback.segments import segment_end_tokens
from ddd_llm.training.rlhf.answers import SampledAnswer
from ddd_llm.training.rlhf.rewards import Scored

_NAME = re.compile(r"`\**(\w+)`")


def listing(answers: Sequence[SampledAnswer]) -> list[list[Scored]]:
    """Rewards of the names in each answer."""
    return [_score(answer) for answer in answers]


def _score(answer: SampledAnswer) -> list[Scored]:
    if "parameters" not in answer.facts:
        return []
    missing = set(answer.facts["parameters"])
    found = list(_NAME.finditer(answer.text))
    spans = [match.span() for match in found]
    ends = segment_end_tokens(answer.offsets, spans, answer.text, False)
    row = []
    for match, token in zip(found, ends, strict=True):
        right = match[1] in missing
        missing.discard(match[1])
        if token is not None:
            row.append(Scored(token, 1.0 if right else -1.0, *match.span()))
    if missing:
        row.append(Scored(len(answer.ids) - 1, -float(len(missing)), len(answer.text), len(answer.text)))
    return row
