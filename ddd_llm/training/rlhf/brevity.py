"""A reward that needs no model: every clause of an answer costs a tenth for each of its words, on the token where it ends."""

from __future__ import annotations

from collections.abc import Sequence

from ddd_llm.feedback.segments import segment_end_tokens, sub_sentence
from ddd_llm.training.rlhf.answers import SampledAnswer
from ddd_llm.training.rlhf.rewards import Scored

_COST = 0.1


def brevity(answers: Sequence[SampledAnswer]) -> list[list[Scored]]:
    """Costs of the clauses of each answer; an answer without words costs nothing."""
    rows = []
    for answer in answers:
        cut = sub_sentence(answer.text)
        ends = segment_end_tokens(answer.offsets, cut, answer.text, False)
        costs = [(-_COST * len(answer.text[start:end].split()), start, end) for start, end in cut]
        rows.append(
            [Scored(t, cost, a, b) for (cost, a, b), t in zip(costs, ends, strict=True) if t is not None and cost]
        )
    return rows
