"""What people decide about reinforcement learning from feedback: which rewards count how much, and how the policy is updated.

Belongs here: fields, bounds, defaults and why. Does not: training (`run`).
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ddd_llm.training.recipe import LoraRecipe, TrainingRecipe

TOXICITY = ("toxicity", "nontoxicity")


class RewardSpec(BaseModel):
    """One reward among those that are added up."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Literal["model", "toxicity", "nontoxicity", "listing", "names", "omissions", "brevity"] = Field(
        default="model",
        description="model: the reward model of this name. toxicity: how much more or less toxic each sentence makes the text. "
        "nontoxicity: 1 minus the toxicity of the whole answer, at its end. "
        "listing: names of a list checked against the facts of the question; names, omissions: its two parts. "
        "brevity: each clause costs .1 a word.",
    )
    weight: float = Field(default=1.0, description="The reward is multiplied by it before rewards are added up.")
    form: Literal["sign", "standard"] = Field(
        default="standard",
        description="Of a model's score: +1 or -1 by the threshold it was fitted with, or its distance from the mean in standard "
        "deviations (both measured on held-out answers). Other sources give rewards as they are.",
    )
    url: str | None = Field(
        default=None,
        description="toxicity and nontoxicity: an HTTP scorer in place of the packaged classifier (README).",
    )

    @model_validator(mode="after")
    def _url_has_a_use(self) -> RewardSpec:
        if self.url is not None and self.source not in TOXICITY:
            raise ValueError("url belongs to a reward of source toxicity or nontoxicity")
        return self


FINE_GRAINED: dict[str, RewardSpec] = {
    "relevance": RewardSpec(weight=0.3, form="sign"),
    "factuality": RewardSpec(weight=0.5, form="sign"),
    "completeness": RewardSpec(weight=0.3, form="standard"),
}
"""The weights of Wu et al. 2023 (section 4.2)."""


class RlhfRecipe(TrainingRecipe):
    """Proximal policy optimisation (Schulman et al. 2017, arXiv:1707.06347) with dense rewards (Wu et al. 2023,
    arXiv:2306.01693). Defaults are the paper's where it states them."""

    steps: int = Field(
        default=32,
        ge=1,
        description="Optimizer steps: `passes` x `prompts` x `samples` / `batch_size` of them per rollout.",
    )
    batch_size: int = Field(default=8, ge=1, description="Answers per optimizer step.")
    length_window: int = Field(
        default=1,
        ge=1,
        description="As in supervised training; above 1 the prompts of one rollout are alike, and of the next one others.",
    )
    learning_rate: float = Field(default=1e-4, gt=0, le=1, description="Of the policy's adapter.")
    critic_learning_rate: float = Field(default=3e-4, gt=0, le=1, description="Of the critic.")
    scheduler: Literal["linear", "cosine", "constant_with_warmup"] = "constant_with_warmup"
    rewards: dict[str, RewardSpec] = Field(
        default=FINE_GRAINED, min_length=1, description="By name; they are added up."
    )
    credit: Literal["segment", "sequence"] = Field(
        default="segment",
        description="segment: each reward where it was earned. sequence: their sum on the last token, as plain RLHF has it.",
    )
    prompts: int = Field(default=4, ge=1, description="Prompts per rollout.")
    samples: int = Field(default=4, ge=2, description="Answers per prompt.")
    passes: int = Field(default=4, ge=1, description="Passes over a rollout.")
    max_new_tokens: int = Field(default=64, ge=2, description="Longest answer.")
    temperature: float = Field(default=0.7, gt=0)
    top_k: int = Field(default=20, ge=0, description="Sampled from so many of the likeliest tokens; 0 = from all.")
    kl_weight: float = Field(
        default=0.3, ge=0, description="Weight, in the reward of each token, of the log-ratio to the supervised model."
    )
    clip: float = Field(default=0.2, gt=0, lt=1, description="How far the probability ratio may move in one rollout.")
    value_clip: float = Field(default=0.2, gt=0, description="How far a value may move in one rollout.")
    gamma: float = Field(default=1.0, gt=0, le=1, description="Discount per token.")
    lam: float = Field(default=0.95, ge=0, le=1, description="Lambda of the generalised advantage estimate.")
    whiten_rewards: bool = Field(default=True, description="Scale the rewards of a rollout to variance 1.")
    kl_stop: float = Field(
        default=0.2,
        gt=0,
        description="When the policy has moved further than this from the one that sampled (nats per token), the rest of the "
        "rollout is let go and the prompts are answered anew.",
    )
    critic_layers: int | None = Field(
        default=None, ge=1, description="The critic has the base's first so many layers; null: all of them."
    )
    lora: LoraRecipe = Field(
        default=LoraRecipe(), description="Of a fresh adapter, where training starts from the bare base."
    )
    critic_lora: LoraRecipe = LoraRecipe(r=8, alpha=16)
    held_out_prompts: int = Field(
        default=32, ge=0, description="Prompts of the validation split answered before and after, by stable hash."
    )
    best_of: int = Field(
        default=4,
        ge=1,
        description="To compare: of so many answers of the supervised model to a prompt the rewards choose one; 1 = not.",
    )
    fluency_at_most: float = Field(
        default=1.5,
        gt=1,
        description="Perplexity of answers under the supervised model may grow by this factor at most.",
    )

    @property
    def answers(self) -> int:
        """Answers per rollout."""
        return self.prompts * self.samples

    @property
    def steps_per_rollout(self) -> int:
        """Optimizer steps that one rollout is used for."""
        return self.passes * self.answers // self.batch_size

    @property
    def rollouts(self) -> int:
        """Rollouts planned; an early stop makes more, of the same prompts."""
        return -(-self.steps // self.steps_per_rollout)

    @model_validator(mode="after")
    def _batches_fill_a_rollout(self) -> RlhfRecipe:
        if self.answers % self.batch_size:
            raise ValueError(f"batch_size must divide the {self.answers} answers of a rollout (prompts x samples)")
        if self.gradient_accumulation != 1:
            raise ValueError("gradient_accumulation must be 1: a larger batch_size does the same")
        return self
