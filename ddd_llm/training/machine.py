"""What `auto` means on this machine: device, number type and attention.

Belongs here: choices that depend on hardware, each with the measurement behind it. Does not: settings (`recipe`).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ddd_llm.training.errors import BadRecipe
from ddd_llm.training.recipe import MachineRecipe

_EAGER_LIMIT = 2**30
"""Bytes of attention scores kept for the backward pass up to which a batch gets eager attention on a CPU."""


@dataclass(frozen=True)
class Machine:
    """What was chosen.

    Attributes:
        device: torch device type.
        dtype: of the frozen base and of matrix products.
        eager_up_to: longest sequence, in tokens, that gets eager attention; longer ones get sdpa. 0: sdpa always.
        threads: CPU threads of this process.
        processes: data-parallel processes.
    """

    device: Literal["cpu", "cuda"]
    dtype: Literal["bf16", "fp32"]
    eager_up_to: int
    threads: int
    processes: int

    def asdict(self) -> dict[str, str | int]:
        """The same as a dictionary."""
        return asdict(self)


def choose(recipe: MachineRecipe, config: Any, processes: int) -> Machine:
    """Resolve a recipe's `auto` settings.

    Args:
        recipe: the settings.
        config: the model's transformers configuration.
        processes: how many processes train together.

    Raises:
        BadRecipe: a GPU is asked for and there is none, or the launcher started another number of processes.
    """
    import torch

    gpu = torch.cuda.is_available()
    if recipe.device == "cuda" and not gpu:
        raise BadRecipe("The recipe asks for device cuda and torch finds no GPU")
    if processes != recipe.processes:
        raise BadRecipe(f"The recipe asks for {recipe.processes} processes and the launcher started {processes}")
    device = "cuda" if gpu and recipe.device != "cpu" else "cpu"
    dtype = recipe.dtype if recipe.dtype != "auto" else "bf16" if multiplies_bf16(device) else "fp32"
    eager = {"eager": recipe.max_length, "sdpa": 0, "auto": _eager_up_to(recipe, config) if device == "cpu" else 0}
    return Machine(device, dtype, eager[recipe.attention], recipe.threads, processes)


def multiplies_bf16(device: str) -> bool:
    """Does the processor (`cpu` or `cuda`) multiply bfloat16 natively? Where it does not, float32 is several times faster."""
    import torch

    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def _eager_up_to(recipe: MachineRecipe, config: Any) -> int:
    """Length at which the scores of all layers, 2 + 4 + 2 bytes per pair of positions and head, reach the limit.

    sdpa keeps no scores, but on a CPU its backward pass is slow: a step of 4 x 300 tokens takes a third longer with it.
    """
    text = config.get_text_config()
    per_pair = text.num_hidden_layers * text.num_attention_heads * recipe.batch_size * 8
    return min(recipe.max_length, math.isqrt(_EAGER_LIMIT // per_pair))
