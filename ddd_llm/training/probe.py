"""A fingerprint of a tuned model that survives copying: what it says next to a few fixed prompts, in float32.

Belongs here: computing, writing and comparing it. Does not: deciding what difference is too much (registration does).
Heavy inside functions: torch, safetensors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

PROMPTS = (
    "What does the function `add(a, b=1)` return?",
    "Which parameters does `open_file(path, mode='r', encoding=None)` take, and what are their defaults?",
    "Does `sort(values, reverse=False)` have a parameter `key`?",
    "Say hello.",
)


def write_probe(model: Any, tokenizer: Any, path: Path) -> None:
    """Write `input_ids_N` (tokens,) int64 and `logits_N` (vocabulary,) float32, of the last position, per prompt N.

    Args:
        model: the tuned model with float32 weights.
        tokenizer: its tokenizer, with a chat template.
        path: the safetensors file to write.
    """
    import torch
    from safetensors.torch import save

    tensors: dict[str, torch.Tensor] = {}
    for n, prompt in enumerate(PROMPTS):
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
        )
        ids = torch.tensor(tokenizer(text, add_special_tokens=False)["input_ids"])
        tensors[f"input_ids_{n}"] = ids
        tensors[f"logits_{n}"] = _last_logits(model, ids)
    path.write_bytes(save(tensors))


def compare_probe(model: Any, path: Path) -> float:
    """Largest absolute difference between a model's logits and those of a probe.

    Args:
        model: a loaded model. In float32 a faithful copy differs by less than 1e-3.
        path: what `write_probe` wrote.
    """
    from safetensors.torch import load_file

    tensors = load_file(path)
    count = sum(name.startswith("logits_") for name in tensors)
    return max(
        float((_last_logits(model, tensors[f"input_ids_{n}"]) - tensors[f"logits_{n}"]).abs().max())
        for n in range(count)
    )


def _last_logits(model: Any, ids: Any) -> Any:
    import torch

    was_training = model.training
    model.eval()
    with torch.no_grad():
        logits = model(input_ids=ids[None].to(model.device)).logits[0, -1].float().cpu()
    model.train(was_training)
    return logits.contiguous()
