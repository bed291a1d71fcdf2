"""Answers token by token: the one loop behind what is evaluated, sampled for people, and learnt from. Heavy inside: torch.

Belongs here: tokens to tokens. Does not: conversations, batches of them (`sampler`, `evaluation.generate`) or rewards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

Pick = Callable[[Any], Any]
"""From logits (rows, vocabulary) the next token of each row (rows,)."""


def decode(
    model: Any, prompts: Sequence[Sequence[int]], stops: frozenset[int], limit: int, pick: Pick
) -> list[list[int]]:
    """Tokens that a model adds to each prompt, the one that stops it included.

    A prompt that stands several times in a row is read once. Rows that have stopped leave the batch.

    Args:
        model: a causal language model with a key-value cache.
        prompts: token ids, none empty.
        stops: ids that end an answer.
        limit: most tokens of an answer.
        pick: `likeliest`, `sampled(...)` or another.
    """
    import torch

    runs = [(list(ids), len(list(same))) for ids, same in groupby(map(tuple, prompts))]
    device, cache = model.device, None
    ids, mask, positions = left_padded([ids for ids, _ in runs], device)
    times = torch.tensor([count for _, count in runs], device=device)
    owner = torch.arange(len(runs), device=device).repeat_interleave(times)  # of each answer: its prompt's row
    ends = torch.tensor(sorted(stops), device=device)
    answers: list[list[int]] = [[] for _ in prompts]
    rows, running = (
        torch.arange(len(prompts), device=device),
        torch.ones(len(prompts), dtype=torch.bool, device=device),
    )
    for step in range(limit):
        out = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache, logits, positions = out.past_key_values, out.logits[:, -1], positions[:, -1:] + 1
        if step == 0 and len(runs) < len(prompts):
            cache.batch_select_indices(owner)
            logits, mask, positions = logits[owner], mask[owner], positions[owner]
        token = pick(logits)
        for row, value, alive in zip(rows.tolist(), token.tolist(), running.tolist(), strict=True):
            if alive:
                answers[row].append(value)
        running &= ~torch.isin(token, ends)
        alive = int(running.sum())
        if alive == 0:
            break
        ids = token[:, None]
        # Copying the cache costs about one step, so rows leave when a quarter of the batch is idle.
        if alive <= 0.75 * len(running):
            cache.batch_select_indices(running.nonzero()[:, 0])
            ids, mask, positions, rows = ids[running], mask[running], positions[running], rows[running]
            running = running[running]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
    return answers


def left_padded(rows: Sequence[Sequence[int]], device: Any) -> tuple[Any, Any, Any]:
    """Token ids that end together, their mask, and positions that count from each row's first real token; (rows, width) each."""
    import torch

    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    return ids, mask, (mask.cumsum(1) - 1).clamp(min=0)


def likeliest(logits: Any) -> Any:
    """Greedy decoding."""
    return logits.argmax(-1)


def sampled(temperature: float, top_k: int = 0) -> Pick:
    """Draws by probability at a temperature, from the `top_k` likeliest tokens (0: from all)."""

    def pick(logits: Any) -> Any:
        import torch

        scores = logits.float() / temperature
        if top_k:
            least = scores.topk(min(top_k, scores.shape[-1])).values[:, -1:]
            scores = scores.masked_fill(scores < least, float("-inf"))
        return torch.multinomial(scores.softmax(-1), 1)[:, 0]

    return pick


def stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Ids that end an answer: the tokenizer's, and those that the model was published with."""
    ids = model.generation_config.eos_token_id
    listed = ids if isinstance(ids, list) else [ids]
    return frozenset(i for i in (*listed, tokenizer.eos_token_id) if i is not None)
