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
        probe: safetensors file with `input_ids_N` (tokens,) int64 and `logits_N` (vocabulary,) float32 for N = 0, 1, ...: what
            the tuned model with float32 weights says at the last position of each prompt.
        tolerance: largest difference allowed. It must also be less than a tenth of the adapter's effect, so that a lost
            adapter never passes for rounding.

    Raises:
        RoundTripError: the probe cannot be read, logits differ or are not finite, or the adapter changes nothing.
    """
    import torch

    prompts, expected = _read_probe(probe)
    model = load_tuned(base_dir, adapter_dir)
    with torch.inference_mode():
        tuned = _last_logits(model, prompts)
        with model.disable_adapter():
            bare = _last_logits(model, prompts)
    if tuned.shape != expected.shape:
        raise RoundTripError(f"logits have the shape {tuple(tuned.shape)}, the probe {tuple(expected.shape)}")
    error = float((tuned - expected).abs().max())
    effect = float((expected - bare).abs().max())
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


def load_tuned(base_dir: Path, adapter_dir: Path) -> Any:
    """Base with adapter in float32 and eval mode on the CPU, from safetensors only.

    Raises:
        RoundTripError: the folders do not load.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    try:
        base: Any = AutoModelForCausalLM.from_pretrained(
            base_dir, dtype=torch.float32, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
        return PeftModel.from_pretrained(base, str(adapter_dir)).eval()
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise RoundTripError(f"base and logged adapter do not load: {error}") from error


def _last_logits(model: Any, prompts: list[torch.Tensor]) -> torch.Tensor:
    import torch

    return torch.stack([model(input_ids=ids[None]).logits[0, -1].float() for ids in prompts])


def _read_probe(probe: Path) -> tuple[list[torch.Tensor], torch.Tensor]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(probe)
        count = sum(name.startswith("logits_") for name in tensors)
        prompts = [tensors[f"input_ids_{n}"].long() for n in range(count)]
        expected = torch.stack([tensors[f"logits_{n}"].float() for n in range(count)])
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise RoundTripError(f"the probe {probe.name} cannot be read: {error}") from error
    if any(ids.ndim != 1 or len(ids) == 0 for ids in prompts):
        raise RoundTripError(f"the probe {probe.name} holds an empty prompt")
    return prompts, expected
