"""Low-rank adapters of a recipe in PEFT's words. Heavy inside functions: peft."""

from __future__ import annotations

from typing import Any

from ddd_llm.training.recipe import LoraRecipe


def lora_config(lora: LoraRecipe, **more: Any) -> Any:
    """PEFT's configuration of a fresh adapter; `more`, of `LoraConfig`, where it is not on a causal language model."""
    from peft import LoraConfig

    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules),
        **{"task_type": "CAUSAL_LM", **more},
    )
