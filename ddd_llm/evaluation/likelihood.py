"""How likely a model finds the answers of given examples. Heavy inside functions: torch.

Belongs here: one pass over given tokens. Does not: answers of a model's own (`generate`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ddd_llm.training.decoding import left_padded
from ddd_llm.training.examples import Encoded


class Read(NamedTuple):
    """What a model expected where a token of an answer stands: nats of that token, and the token it finds likeliest."""

    nats: float
    likeliest: int


def read(model: Any, examples: Sequence[Encoded]) -> list[list[Read]]:
    """For each example what was expected at each of its `places`.

    Args:
        model: a causal language model, as `generate.load_model` gives it.
        examples: they are read together, so they should be of about the same length.
    """
    import torch

    # Answers end together: the vocabulary, a fifth of a small model's work, is scored for them alone.
    ids, mask, positions = left_padded([one.input_ids for one in examples], model.device)
    kept = 1 + max((len(one.input_ids) - place for one in examples for place in one.places[:1]), default=0)
    with torch.inference_mode():
        logits = model(
            input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=kept
        ).logits
    found = []
    for row, target, one in zip(logits, ids, examples, strict=True):  # row by row: the vocabulary is wide
        before = [place - len(one.input_ids) - 1 for place in one.places]  # counted from the end
        expected = row[before].float()
        nats = -expected.log_softmax(-1).gather(-1, target[[place + 1 for place in before], None])[:, 0]
        found.append([Read(*told) for told in zip(nats.tolist(), expected.argmax(-1).tolist(), strict=True)])
    return found


def mean_nats(told: Sequence[Read]) -> float:
    """Per token of an answer."""
    return sum(one.nats for one in told) / len(told)
