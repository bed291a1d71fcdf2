"""Answers of one or several models to the same prompts: greedy, batched, each model with exactly the same settings.

Here belongs how models are asked. Here does not belong what is asked (`suite`), the decoding loop (`training.decoding`) or
what an answer is worth (`scoring`).

The base is loaded once; the other models are its adapters, switched on and off, never merged: what is asked is what is
registered. Greedy decoding draws no random number, so the same models, prompts, settings and hardware give the same answers.
Prompts are sorted by length and cut into batches once, and every model gets the same batches, so a comparison never mixes
batch sizes. Padding is masked and positions count from the first real token; still, a matrix product may round differently in
a batch of another shape, and in bfloat16 a near-tie between two tokens can then fall the other way. In float32 the answers
do not depend on the batch in practice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from ddd_llm.training.decoding import Pick, decode, stop_ids
from ddd_llm.training.machine import multiplies_bf16

SCHEMA = pa.schema(
    [("id", pa.string()), ("answer", pa.string()), ("tokens", pa.int32()), ("finish_reason", pa.string())]
)

STOP, LENGTH, TOO_LONG = "stop", "length", "prompt_too_long"

Progress = Callable[[int, int, float], None]
"""Called after each batch with: answers done, answers in all (over every model), generated tokens per second so far."""


class GenerationConfig(BaseModel):
    """Settings of decoding; every compared model gets the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_new_tokens: int = Field(default=80, ge=1, description="an answer is cut after so many tokens")
    max_prompt_tokens: int = Field(
        default=1024, ge=1, description="a longer prompt is not asked: its answer is empty and says why"
    )
    batch_size: int = Field(default=32, ge=1, description="prompts decoded together")
    dtype: Literal["auto", "bfloat16", "float32"] = Field(
        default="auto",
        description="of the weights and activations; auto: bfloat16 where the processor multiplies it natively. Answers may "
        "differ between the two, so pin it where they must not",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: a GPU when there is one")


class GenerationError(RuntimeError):
    """A model that cannot answer: no chat template, or logits that are not finite."""


@dataclass(frozen=True)
class _Prompt:
    row: int
    ids: list[int]


def answers(
    model_dir: Path,
    adapter_dir: Path | None,
    prompts: pa.Table,
    config: GenerationConfig,
    progress: Progress | None = None,
) -> pa.Table:
    """Answers of one model: the base in `model_dir`, with the adapter in `adapter_dir` if one is given.

    Returns and raises as `answers_for`.
    """
    return answers_for(model_dir, {"model": adapter_dir}, prompts, config, progress)["model"]


def answers_for(
    model_dir: Path,
    models: Mapping[str, Path | None],
    prompts: pa.Table,
    config: GenerationConfig,
    progress: Progress | None = None,
) -> dict[str, pa.Table]:
    """Answers of several models that share one base.

    Args:
        model_dir: folder of the base model and its tokenizer (safetensors).
        models: name to adapter folder; None stands for the bare base.
        prompts: table with `id` and `prompt` (JSON list of messages).
        config: settings of decoding.
        progress: told about each batch.

    Returns:
        For each name a table with `SCHEMA`, in the order of `prompts`: `tokens` counts generated tokens without the end token;
        `finish_reason` is "stop", "length" or "prompt_too_long" (then `answer` is empty).

    Raises:
        GenerationError: the tokenizer has no chat template, an adapter folder holds no safetensors, or a model gives logits
            that are not finite.
    """
    import torch

    tokenizer = _tokenizer(model_dir)
    asked = [_Prompt(row, _encode(tokenizer, text)) for row, text in enumerate(prompts["prompt"].to_pylist())]
    fitting = sorted((p for p in asked if len(p.ids) <= config.max_prompt_tokens), key=lambda p: (len(p.ids), p.row))
    batches = [fitting[i : i + config.batch_size] for i in range(0, len(fitting), config.batch_size)]
    adapters = {name: (f"adapter_{i}", folder) for i, (name, folder) in enumerate(models.items()) if folder is not None}
    model = load_model(model_dir, dict(adapters.values()), config)
    stops = stop_ids(model, tokenizer)
    told = _Teller(progress, len(asked) * len(models))
    found: dict[str, pa.Table] = {}
    for name in models:
        rows: list[tuple[str, int, str]] = [("", 0, TOO_LONG)] * len(asked)
        told.done(len(asked) - len(fitting), 0)
        switched = as_model(model, adapters[name][0] if name in adapters else None, bool(adapters))
        with switched, torch.inference_mode():
            for batch in batches:
                generated = decode(model, [p.ids for p in batch], stops, config.max_new_tokens, _greedy(name))
                for prompt, ids in zip(batch, generated, strict=True):
                    finish = STOP if ids and ids[-1] in stops else LENGTH
                    kept = ids[:-1] if finish == STOP else ids
                    text = tokenizer.decode(kept, skip_special_tokens=True).strip()
                    rows[prompt.row] = (text, len(kept), finish)
                told.done(len(batch), sum(map(len, generated)))
        columns = zip(*rows, strict=True) if rows else ([], [], [])
        found[name] = pa.table([prompts["id"].combine_chunks(), *map(list, columns)], schema=SCHEMA)
    return found


def _tokenizer(model_dir: Path) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_dir, local_files_only=True, trust_remote_code=False)
    if not getattr(tokenizer, "chat_template", None):
        raise GenerationError(
            "the tokenizer of the base model has no chat template: a conversation cannot be put to it"
        )
    return tokenizer


def _encode(tokenizer: Any, prompt: str) -> list[int]:
    text = tokenizer.apply_chat_template(json.loads(prompt), tokenize=False, add_generation_prompt=True)
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def load_model(model_dir: Path, adapters: Mapping[str, Path], config: GenerationConfig) -> Any:
    """The base with adapters by name, none of them merged. Raises GenerationError."""
    import torch
    from transformers import AutoModelForCausalLM

    device = ("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device
    kind = config.dtype if config.dtype != "auto" else "bfloat16" if multiplies_bf16(device) else "float32"
    dtype = getattr(torch, kind)
    model: Any = AutoModelForCausalLM.from_pretrained(
        model_dir,
        dtype=dtype,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
    )
    for name, folder in adapters.items():
        from peft import PeftModel

        if not (folder / "adapter_model.safetensors").is_file():
            raise GenerationError(f"{folder.name}: no adapter_model.safetensors (pickled weights are not read)")
        # Adapters in the base's dtype: PEFT's float32 default would recast activations in every layer.
        how: dict[str, Any] = {"adapter_name": name, "is_trainable": False, "autocast_adapter_dtype": False}
        if isinstance(model, PeftModel):
            model.load_adapter(str(folder), **how)
        else:
            model = PeftModel.from_pretrained(model, str(folder), **how)
    return model.to(device=device, dtype=dtype).eval()


def as_model(model: Any, adapter: str | None, has_adapters: bool) -> Any:
    """A context in which a loaded model is the base (None) or the base with one adapter."""
    from contextlib import nullcontext

    if not has_adapters:
        return nullcontext()
    if adapter is None:
        return model.disable_adapter()
    model.set_adapter(adapter)
    return nullcontext()


def _greedy(name: str) -> Pick:
    def pick(logits: Any) -> Any:
        best, token = logits.max(-1)
        if not bool(best.isfinite().all()):
            raise GenerationError(f"model '{name}' gave logits that are not finite")
        return token

    return pick


class _Teller:
    """Counts answers and tokens and tells the caller; its clock reaches the log only, never a result."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total = progress, total
        self._answers = self._tokens = 0
        self._began = time.perf_counter()

    def done(self, answers: int, tokens: int) -> None:
        self._answers += answers
        self._tokens += tokens
        if self._progress and answers:
            passed = max(time.perf_counter() - self._began, 1e-9)
            self._progress(self._answers, self._total, self._tokens / passed)
