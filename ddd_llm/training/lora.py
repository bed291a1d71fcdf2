"""Low-rank adapters of a recipe in PEFT's words. Heavy inside functions: peft, torch."""

from __future__ import annotations

from typing import Any

from ddd_llm.training.errors import BadRecipe
from ddd_llm.training.recipe import LoraRecipe


def lora_config(lora: LoraRecipe, model: Any, **more: Any) -> Any:
    """PEFT's configuration of a fresh adapter.

    Args:
        lora: the settings.
        model: the base model that the adapter is for.
        more: of `LoraConfig`; a causal language model's where none is given.

    Raises:
        BadRecipe: the model has fewer layers than `last_layers`.
    """
    import torch
    from peft import LoraConfig

    targets: Any = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
    places = None
    if lora.last_layers is not None:
        layers = model.config.get_text_config().num_hidden_layers
        if lora.last_layers > layers:
            raise BadRecipe(f"lora.last_layers is {lora.last_layers}, the base model has {layers}")
        places = list(range(layers - lora.last_layers, layers))
        if targets == "all-linear":  # PEFT takes layers with names alone
            numbered = (name.split(".") for name, m in model.named_modules() if isinstance(m, torch.nn.Linear))
            targets = sorted({parts[-1] for parts in numbered if any(part.isdigit() for part in parts)})
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        layers_to_transform=places,
        **{"task_type": "CAUSAL_LM", **more},
    )
