"""The logit round trip: whether a folder, loaded as a user would load it, still is the model that was trained.

Here belongs the comparison of logits with the probe that training wrote. Here does not belong where the folder came from
(`registry`). PEFT can lose the base or the adapter without an error, so a model counts as released only after this.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class RoundTripError(RuntimeError):
    """What was logged does not give the logits of the trained model; nothing was registered."""


@dataclass(frozen=True)
class RoundTrip:
    """Largest absolute logit difference to the probe, and largest absolute effect of the adapter on the bare base's logits."""

    error: float
    adapter_effect: float


def check_round_trip(base_dir: Path, adapter_dir: Path, probe: Path, tolerance: float) -> RoundTrip:
    """Load base and adapter, recompute the probe's logits and compare them, and see that the adapter changes them.

    Args:
        base_dir: the base model (safetensors).
        adapter_dir: the adapter, in PEFT's format.
        probe: safetensors file with `input_ids` (B, T) int64, `attention_mask` (B, T) and `logits` (B, T, V) float32: the tuned
            model's logits. Its metadata may name the `dtype` they were computed in; float32 without it.
        tolerance: largest difference allowed at any position that the mask keeps. Beyond it, the difference must be less than
            a tenth of the adapter's effect, so that a lost adapter never passes for rounding.

    Raises:
        RoundTripError: the probe cannot be read, logits differ or are not finite, or the adapter changes nothing.
    """
    import torch

    ids, mask, expected, dtype = _read_probe(probe)
    model = load_tuned(base_dir, adapter_dir, dtype)
    with torch.inference_mode():
        tuned = model(input_ids=ids, attention_mask=mask).logits.float()
        with model.disable_adapter():
            bare = model(input_ids=ids, attention_mask=mask).logits.float()
    if tuned.shape != expected.shape:
        raise RoundTripError(f"logits have the shape {tuple(tuned.shape)}, the probe {tuple(expected.shape)}")
    kept = mask.bool()
    error = float((tuned - expected)[kept].abs().max())
    effect = float((expected - bare)[kept].abs().max())
    if not (math.isfinite(error) and math.isfinite(effect)):
        raise RoundTripError("logits are not finite")
    if effect == 0.0:
        raise RoundTripError(
            "the bare base gives the probe's logits: training changed nothing, or the adapter was lost there"
        )
    if error > tolerance or error > effect / 10:
        raise RoundTripError(
            f"logits of base and logged adapter differ from the trained model's by up to {error:.3g} (allowed: {tolerance:.3g} "
            f"and a tenth of the adapter's effect, {effect:.3g}): the adapter or its base is not the one that was trained"
        )
    return RoundTrip(error, effect)


def load_tuned(base_dir: Path, adapter_dir: Path, dtype: torch.dtype | None = None) -> Any:
    """Base with adapter in eval mode on the CPU, from safetensors only; `dtype` None keeps that of the base.

    Raises:
        RoundTripError: the folders do not load.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    kind = dtype if dtype is not None else "auto"
    try:
        base: Any = AutoModelForCausalLM.from_pretrained(
            base_dir, dtype=kind, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
        model = PeftModel.from_pretrained(base, str(adapter_dir), autocast_adapter_dtype=dtype == torch.float32)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise RoundTripError(f"base and logged adapter do not load: {error}") from error
    return model.eval()


def _read_probe(probe: Path) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.dtype]:
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(probe, framework="pt") as file:
            named = (file.metadata() or {}).get("dtype", "float32").removeprefix("torch.")
            ids, mask, logits = (file.get_tensor(name) for name in ("input_ids", "attention_mask", "logits"))
    except (OSError, SafetensorError) as error:
        raise RoundTripError(f"the probe {probe.name} cannot be read: {error}") from error
    if named not in ("float32", "bfloat16", "float16"):
        raise RoundTripError(f"the probe {probe.name} names an unknown dtype")
    if ids.numel() == 0 or not bool(mask.bool().any()):
        raise RoundTripError(f"the probe {probe.name} is empty")
    return ids.long(), mask.long(), logits.float(), getattr(torch, named)
