"""What people decide about reward models: which kinds there are, and how they are trained.

Belongs here: fields, bounds, defaults and why. Does not: training (`run`).
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ddd_llm.feedback.span_feedback import COMPLETENESS, FACTUALITY, RELEVANCE, Granularity
from ddd_llm.training.recipe import LoraRecipe, TrainingRecipe


class RewardKind(BaseModel):
    """One reward: learnt from the segments of `span_feedback`, or, without a granularity, from `preference_pairs`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learns_from: Literal["segments", "pairs"] = "segments"
    granularity: Granularity | None = None

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> RewardKind:
        if (self.learns_from == "segments") != (self.granularity is not None):
            raise ValueError("a reward learnt from segments needs a granularity, one learnt from pairs has none")
        return self


BUILT_IN: dict[str, RewardKind] = {
    "relevance": RewardKind(granularity=RELEVANCE),
    "factuality": RewardKind(granularity=FACTUALITY),
    "completeness": RewardKind(granularity=COMPLETENESS),
    "holistic": RewardKind(learns_from="pairs"),
}


class RewardRecipe(TrainingRecipe):
    """Training of one reward model."""

    lora: LoraRecipe = LoraRecipe(r=8, alpha=16)
    steps: int = Field(default=80, ge=1, description="Optimizer steps.")
    batch_size: int = Field(default=8, ge=1, description="Answers (or pairs) per forward pass.")
    learning_rate: float = Field(default=3e-4, gt=0, le=1, description="Peak.")
    layers: int | None = Field(
        default=None, ge=1, description="Only the base's first so many layers, which is faster; null: all of them."
    )
    kind: RewardKind = BUILT_IN["relevance"]
    error_weight_at_most: float = Field(
        default=4.0,
        ge=1,
        description="Errors are rarer, so they weigh more in the loss: as right is to wrong, at most this.",
    )
    held_out_items: int = Field(
        default=300,
        ge=0,
        description="Most held-out answers (or pairs) measured, by stable hash; half of them calibrate.",
    )


class RewardModelsRecipe(RewardRecipe):
    """The `reward_models` section: settings of all, and kinds of one's own beside the built-in ones."""

    kinds: dict[str, RewardKind] = Field(
        default={}, description="By name; the built-in ones are " + ", ".join(BUILT_IN)
    )

    def of(self, name: str) -> RewardRecipe:
        """The recipe of one kind. Raises KeyError."""
        settings = self.model_dump(exclude={"kinds", "kind"})
        return RewardRecipe.model_validate({**settings, "kind": {**BUILT_IN, **self.kinds}[name]})
