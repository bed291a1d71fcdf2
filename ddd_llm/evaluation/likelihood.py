"""How likely a model finds each token of a text. Heavy inside functions: torch.

Belongs here: one pass over given tokens. Does not: answers of a model's own (`generate`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ddd_llm.training.examples import IGNORED, Encoded


def read(model: Any, rows: Sequence[list[int]]) -> list[tuple[list[float], list[int]]]:
    """At each place of each row but the last: nats of the token that comes next, and the likeliest one.

    Args:
        model: a causal language model, as `generate.load_model` gives it.
        rows: token ids; they are read together, so they should be of about the same length.
    """
    import torch

    width = max(map(len, rows))
    ids = torch.tensor([r + [0] * (width - len(r)) for r in rows], device=model.device)
    mask = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows], device=model.device)
    with torch.inference_mode():
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
    best = logits.argmax(-1).tolist()
    nats = []
    for row, target in zip(logits, ids[:, 1:, None], strict=True):  # row by row: the vocabulary is wide
        nats.append((-row.float().log_softmax(-1).gather(-1, target)[:, 0]).tolist())
    return [(nats[i], best[i]) for i in range(len(rows))]


def mean_nats(example: Encoded, nats: Sequence[float]) -> float:
    """Per token of the answer, of an example that was read."""
    loss = [nats[i - 1] for i, label in enumerate(example.labels) if label != IGNORED]
    return float(sum(loss) / len(loss))
