"""The `dataset` section of a recipe: how much of what goes into the instruction dataset.

Belongs here: its form and what makes it impossible. Does not: building by it (`build`).
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ddd_llm.corpus.sources import Governed
from ddd_llm.instructions.candidates import GENERATORS
from ddd_llm.instructions.selection import REFUSAL_TASKS, Quota
from ddd_llm.instructions.split import SplitConfig

STAGE = "instruction"
"""What this dataset is for; whatever else is mixed in is declared (`DatasetConfig.mix`)."""
Stage = Literal["instruction", "domain"]
_WEIGHTS = {
    "summary": 1.0,
    "parameters": 1.3,
    "parameter_meaning": 1.7,
    "default_value": 2.0,
    "returns": 1.2,
    "raises": 0.7,
    "example": 1.0,
}


class OwnExamplesEntry(BaseModel):
    """One file of the user's own examples, and how often each of them is trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(min_length=1, description="JSON Lines file of conversations.")
    source: Governed = Field(description="Its name, who owns it and on what ground it may be used, as in sources.yaml.")
    stage: Stage = Field(
        default=STAGE,
        description="instruction: how to answer. domain: what a domain is about, for its words and facts.",
    )
    repeat: int = Field(default=1, ge=1, le=1000, description="How often each conversation enters train.")


class DatasetConfig(BaseModel):
    """Settings of the dataset: the `dataset:` section of a recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train_size: int = Field(default=6000, ge=1, description="Largest number of generated train examples.")
    validation_size: int = Field(default=600, ge=0, description="Largest number of validation examples.")
    test_size: int = Field(default=800, ge=0, description="Largest number of test examples.")
    weights: dict[str, float] = Field(
        default=_WEIGHTS, description="Relative weight per task; 0 or absent leaves a task out. Refusals have a share."
    )
    refusal_share: float = Field(
        default=0.12, ge=0.0, le=0.4, description="Share of questions that the passage does not answer."
    )
    refusals: dict[str, float] = Field(
        default={"unknown_parameter": 2.0, "unknown_object": 1.0, "undescribed_parameter": 1.0},
        description="Relative weight per category of refusals; 0 or absent leaves a category out.",
    )
    closed_book_share: float = Field(default=0.05, ge=0.0, le=0.5, description="Share of examples without a passage.")
    package_share: float = Field(default=0.2, gt=0.0, le=1.0, description="Largest share of a split from one package.")
    per_module: int = Field(default=12, ge=2, description="Most examples of a split from one module.")
    synthetic_share: float = Field(
        default=0.1,
        ge=0.0,
        le=1.0,
        description="Most examples that a model wrote, as a share of train_size; they come on top.",
    )
    split: SplitConfig = Field(default=SplitConfig(), description="Shares of the splits and the similarity that binds.")
    own_examples: tuple[OwnExamplesEntry, ...] = Field(
        default=(), description="The user's own examples; none are mixed in unless named here."
    )

    mix: dict[Stage, Annotated[float, Field(gt=0, lt=1)]] = Field(
        default={},
        description="Other stages that may be mixed in, each with its largest share of the train split. Instruction tuning and "
        "domain fine-tuning want other data and other measures, so nothing is mixed unless it is said here.",
    )

    @model_validator(mode="after")
    def _stages_are_declared(self) -> Self:
        given = {entry.stage for entry in self.own_examples}
        if undeclared := sorted(given - {STAGE} - self.mix.keys()):
            raise ValueError(
                f"own_examples of stage {', '.join(undeclared)} in a dataset of stage {STAGE}: give them a dataset of their own, "
                f"or say how much of it they may be, as mix: {{{undeclared[0]}: 0.1}}"
            )
        return self

    @field_validator("own_examples")
    @classmethod
    def _names_differ(cls, entries: tuple[OwnExamplesEntry, ...]) -> tuple[OwnExamplesEntry, ...]:
        names = [entry.source.name for entry in entries]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two files share the source name {', '.join(twice)}: every source needs its own")
        return entries

    @field_validator("weights")
    @classmethod
    def _known_tasks(cls, weights: dict[str, float]) -> dict[str, float]:
        known = sorted(set(GENERATORS) - set(REFUSAL_TASKS))
        if unknown := sorted(set(weights) - set(known)):
            raise ValueError(f"unknown tasks {unknown}; known are {known} (refusals are set by refusal_share)")
        if any(not 0 <= weight < float("inf") for weight in weights.values()) or not any(weights.values()):
            raise ValueError("weights must be finite, not negative, and one of them above 0")
        return weights

    @field_validator("refusals")
    @classmethod
    def _known_categories(cls, refusals: dict[str, float]) -> dict[str, float]:
        if unknown := sorted(set(refusals) - set(REFUSAL_TASKS)):
            raise ValueError(f"unknown categories {unknown}; known are {sorted(REFUSAL_TASKS)}")
        if any(not 0 <= weight < float("inf") for weight in refusals.values()):
            raise ValueError("weights must be finite and not negative")
        return refusals

    def quota(self, split: str) -> Quota:
        """How many examples of a split to choose."""
        sizes = {"train": self.train_size, "validation": self.validation_size, "test": self.test_size}
        return Quota(
            sizes[split], self.weights, self.refusal_share, self.refusals, self.closed_book_share, self.package_share,
            self.per_module,
        )  # fmt: skip
