"""A base model with an adapter on it that goes on being trained.

Belongs here: loading what supervised fine-tuning left. Does not: a fresh adapter (`assemble`), nor writing one (`artifacts`).
Heavy inside functions: peft, torch, safetensors.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ddd_llm.training.base_model import BaseModelInfo
from ddd_llm.training.errors import BadData


def read_adapter(folder: Path, base: BaseModelInfo, what: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Configuration and weights of what `artifacts.write_adapter` left; `what` names it in messages.

    Raises:
        BadData: no such files, or it was trained on another base model.
    """
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / "adapter_config.json").read_bytes())
        weights = load_file(folder / "adapter_model.safetensors")
        belongs = config["base_model_name_or_path"]
    except (OSError, ValueError, KeyError) as error:
        raise BadData(f"The {what} cannot be read ({type(error).__name__})") from error
    if belongs != f"{base.id}@sha256:{base.digest}":
        raise BadData(f"The {what} was trained on {belongs}, not on {base.id}@sha256:{base.digest}")
    return config, weights


def load_adapter(model: Any, folder: Path, base: BaseModelInfo, name: str = "default", trainable: bool = True) -> Any:
    """Put an adapter from `artifacts.write_adapter` onto its base model (or beside others that are on it already).

    Args:
        model: the base, or a PeftModel.
        folder: with adapter_config.json and adapter_model.safetensors.
        base: what the model is; the adapter must have been trained on it.
        name: of the adapter.
        trainable: its weights get gradients.

    Returns:
        The PeftModel, its adapter weights in float32.

    Raises:
        BadData: no such files, or the adapter belongs to another base model.
    """
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

    config, weights = read_adapter(folder, base, "adapter")
    lora = LoraConfig(
        r=config["r"],
        lora_alpha=config["lora_alpha"],
        lora_dropout=config["lora_dropout"],
        target_modules=config["target_modules"],
        task_type=config["task_type"],
        inference_mode=not trainable,
    )
    if hasattr(model, "peft_config"):
        model.add_adapter(name, lora)
    else:
        model = get_peft_model(model, lora, adapter_name=name)
    report = set_peft_model_state_dict(model, weights, adapter_name=name)
    if report.unexpected_keys:
        raise BadData("The adapter has weights that the base model has no place for")
    for key, parameter in model.named_parameters():
        if f".{name}." in key:
            parameter.requires_grad_(trainable)
    return model
