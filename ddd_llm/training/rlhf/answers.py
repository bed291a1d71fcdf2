"""Sampled answers as rewards see them: text, tokens, and which characters each token stands for.

Belongs here: the answer and its offsets. Does not: judging it (`rewards`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Prompt = str | list[dict[str, str]]


@dataclass(frozen=True)
class SampledAnswer:
    """One answer of the policy.

    Attributes:
        prompt: messages, or a text that is to be continued.
        prompt_ids: the prompt's tokens, with the turn that the answer begins.
        ids: the answer's tokens, its end token too.
        text: without special tokens.
        offsets: per token the (start, end) characters of `text`; (n, n) for one that adds nothing, as an end token.
        facts: what is known of the question, for rewards that check it.
    """

    prompt: Prompt
    prompt_ids: list[int]
    ids: list[int]
    text: str
    offsets: list[tuple[int, int]]
    facts: dict[str, Any] = field(default_factory=dict)


def read_answer(
    prompt: Prompt, prompt_ids: list[int], ids: list[int], facts: dict[str, Any], tokenizer: Any
) -> SampledAnswer:
    """An answer from its tokens.

    Offsets come from decoding every beginning of the answer, so they hold for token sequences that the tokenizer itself would
    never make of the text, which a policy samples all the time. A character that several tokens share belongs to each of them.
    """
    beginnings = tokenizer.batch_decode(
        [ids[:end] for end in range(len(ids) + 1)], skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    text = beginnings[-1]
    return SampledAnswer(prompt, prompt_ids, ids, text, _offsets(beginnings, text), facts)


def _offsets(beginnings: Sequence[str], text: str) -> list[tuple[int, int]]:
    # An unfinished character decodes to U+FFFD, which is no part of the text unless it really stands there.
    whole = [_common(beginning, text) for beginning in beginnings]
    offsets = []
    for token in range(len(beginnings) - 1):
        start, end = whole[token], whole[token + 1]
        if start == end and beginnings[token] != beginnings[token + 1]:
            end = min(start + 1, len(text))  # part of a character that a later token ends
        offsets.append((start, max(start, end)))
    return offsets


def _common(beginning: str, text: str) -> int:
    """Length of the longest beginning that both share."""
    length = min(len(beginning), len(text))
    while length and beginning[:length] != text[:length]:
        length -= 1
    return length
