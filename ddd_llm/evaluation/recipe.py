"""The `evaluation` section of a recipe: which questions are asked, and how answers are decoded."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from ddd_llm.evaluation.generate import GenerationConfig
from ddd_llm.evaluation.memorisation import MemorisationConfig
from ddd_llm.evaluation.suite import SuiteConfig


class EvaluationRecipe(BaseModel):
    """Sizes of the suite and settings of decoding, equal for every compared model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: SuiteConfig = Field(default=SuiteConfig())
    generation: GenerationConfig = Field(default=GenerationConfig())
    memorisation: MemorisationConfig = Field(default=MemorisationConfig())
