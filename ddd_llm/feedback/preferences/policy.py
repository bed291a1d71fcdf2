"""The alignment-data plan, `assets/policies/alignment.yaml`: which feedback is trained on, and what it must be like.

Belongs here: the plan as data. Does not: what each part does (`merge`, `qa`, `judge`, `acceptance`, `constructed`).
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from ddd_llm.feedback.adjudication import AdjudicationPolicy
from ddd_llm.feedback.agreement.disagreement import DisagreementPolicy
from ddd_llm.feedback.agreement.gate import AgreementPolicy
from ddd_llm.feedback.agreement.gold import GoldPolicy
from ddd_llm.feedback.constructed import ConstructedConfig
from ddd_llm.feedback.preferences.acceptance import AcceptancePolicy
from ddd_llm.platform.approvals import Approvable
from ddd_llm.platform.endpoint import EndpointPolicy
from ddd_llm.platform.inputs import load_yaml
from ddd_llm.platform.settings import Settings

FILE = "policies/alignment.yaml"


class QaPolicy(BaseModel):
    """What preference pairs must be like; see `qa`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nearly_equal_from: float = Field(
        default=0.97, gt=0, le=1, description="Similarity (difflib ratio) from which two answers teach nothing."
    )
    nearly_equal_at_most: float = Field(default=0.05, ge=0, le=1, description="Share of such pairs.")
    length_bias_at_most: float = Field(
        default=0.15, ge=0, le=0.5, description="How far the share of longer chosen answers may lie from one half."
    )
    position_bias_at_most: float = Field(
        default=0.2,
        ge=0,
        le=0.5,
        description="How far an annotator's share of answers shown first may lie from one half.",
    )
    noise_at_most: float = Field(
        default=0.2, ge=0, le=0.5, description="Lower bound of the share of items judged twice that were judged unlike."
    )


class JudgePolicy(EndpointPolicy):
    """Who compares answers in place of people (RLAIF)."""

    items: int = Field(default=200, ge=0, description="Most items judged per batch.")


class AlignmentPlan(Approvable):
    """Which feedback is trained on, and what it must be like."""

    gold: GoldPolicy = GoldPolicy()
    agreement: AgreementPolicy = AgreementPolicy()
    disagreement: DisagreementPolicy = DisagreementPolicy()
    adjudication: AdjudicationPolicy = AdjudicationPolicy()
    constructed: ConstructedConfig = ConstructedConfig()
    qa: QaPolicy = QaPolicy()
    judge: JudgePolicy = JudgePolicy()
    acceptance: AcceptancePolicy = AcceptancePolicy()
    held_out_share: float = Field(
        default=0.2, gt=0, lt=1, description="Of people's pairs and spans, by component: measured on, not trained on."
    )


def alignment_plan(settings: Settings) -> AlignmentPlan:
    """The plan as people wrote it. Raises InputError."""
    return load_yaml(settings.assets / FILE, AlignmentPlan)
