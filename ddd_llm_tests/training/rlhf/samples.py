"""Sampled answers and rewards made on the spot. No assertion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ddd_llm.training.rlhf.answers import SampledAnswer, read_answer
from ddd_llm.training.rlhf.rewards import Scored
from ddd_llm_tests.training.tiny import tiny_tokenizer

TOKENIZER = tiny_tokenizer()


def sampled(text: str, facts: dict[str, Any] | None = None, end: bool = True) -> SampledAnswer:
    """An answer as the tiny tokenizer (a token per byte) writes it."""
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"] + ([TOKENIZER.eos_token_id] if end else [])
    return read_answer([{"role": "user", "content": "?"}], [1, 2, 3], ids, facts or {}, TOKENIZER)


def fixed(rows: Sequence[Sequence[Scored]]):
    """A reward that always gives these."""

    def reward(answers: Sequence[SampledAnswer]) -> list[list[Scored]]:
        return [list(row) for row in rows]

    return reward
