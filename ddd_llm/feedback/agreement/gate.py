"""The gate on agreement: decided on the interval's lower bound, and blocked where there are too few items to tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ddd_llm.feedback.agreement.alpha import Estimate

Outcome = Literal["pass", "fail", "insufficient"]


class AgreementPolicy(BaseModel):
    """How far annotators must agree before their labels are used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alpha_at_least: float = Field(default=0.6, ge=-1, le=1, description="Lower bound of Krippendorff's alpha.")
    least_items: int = Field(default=30, ge=2, description="Items with two labels or more; fewer is insufficient.")
    confidence: float = Field(default=0.95, gt=0.5, lt=1)


@dataclass(frozen=True)
class GateVerdict:
    """What was decided, and the sentence that gives n, bound and threshold."""

    outcome: Outcome
    sentence: str

    @property
    def passed(self) -> bool:
        """Only a clear pass counts."""
        return self.outcome == "pass"


def decide(estimate: Estimate, policy: AgreementPolicy) -> GateVerdict:
    """Judge an estimate of alpha."""
    asked = f"{policy.confidence:.0%} lower bound of at least {policy.alpha_at_least:.2f}"
    if estimate.items < policy.least_items:
        return GateVerdict(
            "insufficient", f"{estimate.items} items have two labels or more, {policy.least_items} are needed to tell"
        )
    if estimate.value is None or estimate.low is None:
        return GateVerdict(
            "insufficient",
            f"alpha is undefined on {estimate.items} items: all labels say the same, so nothing is shown",
        )
    said = f"alpha {estimate.value:.3f}, lower bound {estimate.low:.3f} on {estimate.items} items; asked: {asked}"
    return GateVerdict("pass" if estimate.low >= policy.alpha_at_least else "fail", said)
