"""Acceptance sampling: a batch of machine-made preferences is trained on only if people who judge a sample agree.

A single sampling plan (n, c): judge n random items, accept with at most c disagreements. n and c are the smallest that keep both
risks: a batch as good as `aql` is rejected with probability at most `alpha`, one as bad as `ltpd` accepted with at most `beta`
(exact hypergeometric for the batch's size; Montgomery, Introduction to Statistical Quality Control, chapter 15). The sample is
stratified by risk: of each stratum in proportion, and at least one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ddd_llm.instructions.prompts import stable_hash

_AT_ONCE = 64

Outcome = Literal["accepted", "rejected", "insufficient"]


class AcceptancePolicy(BaseModel):
    """The operating characteristic that a batch is judged by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    aql: float = Field(default=0.1, gt=0, lt=0.5, description="Share of disagreements that is good enough.")
    ltpd: float = Field(default=0.3, gt=0, lt=1, description="Share of disagreements that must not pass.")
    alpha: float = Field(default=0.05, gt=0, lt=0.5, description="Risk of rejecting a batch as good as aql.")
    beta: float = Field(default=0.1, gt=0, lt=0.5, description="Risk of accepting a batch as bad as ltpd.")
    kappa_at_least: float = Field(
        default=0.4,
        ge=-1,
        le=1,
        description="Cohen's kappa of judge and people on the sample: chance agreement is none.",
    )

    @model_validator(mode="after")
    def _apart(self) -> AcceptancePolicy:
        if self.aql >= self.ltpd:
            raise ValueError("aql must be smaller than ltpd, or no plan can tell them apart")
        return self


@dataclass(frozen=True)
class SamplingPlan:
    """Judge `size` items of a batch of `batch`, accept with at most `accept` disagreements."""

    batch: int
    size: int
    accept: int

    def acceptance(self, share: float) -> float:
        """Probability that a batch with this share of disagreements (rounded to whole items) is accepted."""
        from scipy.stats import hypergeom

        return float(hypergeom.cdf(self.accept, self.batch, round(share * self.batch), self.size))


def sampling_plan(batch: int, policy: AcceptancePolicy) -> SamplingPlan:
    """The smallest plan that keeps both risks; the whole batch where none smaller does.

    Args:
        batch: items in it.
        policy: the risks.
    """
    import numpy as np
    from scipy.stats import hypergeom

    good, bad = round(policy.aql * batch), round(policy.ltpd * batch)
    for first in range(1, batch, _AT_ONCE):
        sizes = np.arange(first, min(first + _AT_ONCE, batch))
        # The most disagreements that still keep the risk of letting a bad batch through.
        accepts = hypergeom.ppf(policy.beta, batch, bad, sizes)
        accepts = np.where(hypergeom.cdf(accepts, batch, bad, sizes) > policy.beta, accepts - 1, accepts)
        kept = (accepts >= 0) & (hypergeom.cdf(accepts, batch, good, sizes) >= 1 - policy.alpha)
        if kept.any():
            best = int(kept.argmax())
            return SamplingPlan(batch, int(sizes[best]), int(accepts[best]))
    # Counting everything is certain, so the border lies between the two.
    return SamplingPlan(batch, batch, max(good, min(bad - 1, (good + bad) // 2)))


def draw(strata: Mapping[str, str], size: int, seed: str) -> list[str]:
    """A random sample by risk.

    Args:
        strata: stratum of each item id.
        size: of the sample; each stratum gives its share (largest remainder), and at least one as long as there is room.
        seed: of the batch; the same batch gives the same sample.
    """
    groups: dict[str, list[str]] = {}
    for item, stratum in strata.items():
        groups.setdefault(stratum, []).append(item)
    shares = {name: size * len(group) / max(1, len(strata)) for name, group in groups.items()}
    # Each stratum at least one, as far as the size goes, riskiest names last in the alphabet win no favour: by size.
    taken = {name: min(len(groups[name]), max(1, int(share))) for name, share in shares.items()}
    for name in sorted(taken, key=lambda name: (taken[name], name), reverse=True):
        if sum(taken.values()) > size:
            taken[name] -= min(taken[name] - 1, sum(taken.values()) - size)
    for name in sorted(shares, key=lambda name: (int(shares[name]) - shares[name], name)) * len(groups):
        if sum(taken.values()) < min(size, len(strata)) and taken[name] < len(groups[name]):
            taken[name] += 1
    chosen = []
    for name in sorted(groups):
        ordered = sorted(groups[name], key=lambda item: (stable_hash("sample", seed, item), item))
        chosen += ordered[: taken[name]]
    return sorted(chosen)


@dataclass(frozen=True)
class Verdict:
    """What became of a batch.

    Attributes:
        outcome: only `accepted` may be trained on.
        sentence: for people.
        plan: what was asked.
        judged: of the sample, by people.
        disagreements: among them.
        agreement, low, high: share of agreement with its 95% Wilson interval; None before anybody judged.
        kappa: Cohen's, chance removed; None where undefined.
        curve: (share of disagreements, probability of acceptance): the plan's operating characteristic.
    """

    outcome: Outcome
    sentence: str
    plan: SamplingPlan
    judged: int
    disagreements: int
    agreement: float | None
    low: float | None
    high: float | None
    kappa: float | None
    curve: tuple[tuple[float, float], ...]


def decide(
    judge: Mapping[str, str], people: Mapping[str, str], sample: Sequence[str], policy: AcceptancePolicy
) -> Verdict:
    """Judge a batch by its sample.

    Args:
        judge: the judge's preference per item of the batch: first, second or tie.
        people: settled preferences of people per item.
        sample: the items that people were to judge.
        policy: the plan's risks.
    """
    plan = sampling_plan(len(judge), policy)
    curve = tuple((step / 20, plan.acceptance(step / 20)) for step in range(21)) if judge else ()
    judged = [item for item in sample if item in people]
    unlike = sum(judge[item] != people[item] for item in judged)
    low = high = agreement = kappa = None
    if judged:
        from statsmodels.stats.proportion import proportion_confint

        agreement = 1 - unlike / len(judged)
        low, high = (float(b) for b in proportion_confint(len(judged) - unlike, len(judged), method="wilson"))
        kappa = _kappa([(judge[item], people[item]) for item in judged])

    def verdict(outcome: Outcome, sentence: str) -> Verdict:
        return Verdict(outcome, sentence, plan, len(judged), unlike, agreement, low, high, kappa, curve)

    if not judge:
        return verdict("insufficient", "The batch is empty.")
    if len(sample) < plan.size or len(judged) < len(sample):
        return verdict(
            "insufficient", f"People have judged {len(judged)} of the {max(plan.size, len(sample))} sampled items."
        )
    if unlike > plan.accept:
        return verdict(
            "rejected", f"{unlike} of {len(judged)} sampled items were judged unlike; {plan.accept} are allowed."
        )
    if kappa is None or kappa < policy.kappa_at_least:
        shown = "undefined" if kappa is None else f"{kappa:.2f}"
        return verdict("rejected", f"Judge and people agree no better than that by chance: kappa {shown}.")
    return verdict(
        "accepted", f"{unlike} of {len(judged)} sampled items were judged unlike; {plan.accept} are allowed."
    )


def _kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    from ddd_llm.feedback.agreement.chance import cohen
    from ddd_llm.feedback.agreement.ratings import Ratings

    rows = [(f"{i:06}", name, value) for i, pair in enumerate(pairs) for name, value in zip("ab", pair, strict=True)]
    return cohen(Ratings.from_rows(rows, ("first", "second", "tie"), many_annotators=True), "a", "b").value
