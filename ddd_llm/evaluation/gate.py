"""The gate: whether a tuned model may be registered, decided by stated rules that fail closed.

Here belong the rules and the sentences that explain them. Here do not belong the numbers they judge (`delta`). The thresholds
are people's choice and live in `assets/policies/gate.yaml`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ConfigDict, Field

from ddd_llm.evaluation.delta import BASE, CHAMPION, TUNED, DeltaResult
from ddd_llm.evaluation.statistics import wilson_interval
from ddd_llm.platform.approvals import Approvable
from ddd_llm.platform.inputs import load_yaml
from ddd_llm.platform.settings import Settings

FILE = "policies/gate.yaml"


class GatePolicy(Approvable):
    """Thresholds of the gate, the evaluation criteria; see `assets/policies/gate.yaml` for what each means."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    better_than_base_by: float = Field(ge=0, le=1)
    retention_margin: float = Field(gt=0, le=1)
    retention_minimum_items: int = Field(ge=0)
    champion_margin: float = Field(gt=0, le=1)
    minimum_items: int = Field(ge=1)
    minimum_modules: int = Field(ge=2)
    largest_detectable_effect: float = Field(gt=0, le=1)
    over_refusal_at_most: float = Field(ge=0, le=1)
    recited_excess_at_most: float = Field(gt=0, le=1)
    loss_gap_at_most: float = Field(gt=0)


@dataclass(frozen=True)
class Reason:
    """One rule: what it measured against what (`value` None: could not be computed), and a sentence for people.

    `items` are the ids that decided it, where single items did.
    """

    rule: str
    passed: bool
    value: float | None
    threshold: float
    sentence: str
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class GateVerdict:
    """Passed only if every rule passed.

    `deciding_items` are those behind the failed rules or, on a pass, those won from the base.
    """

    passed: bool
    reasons: tuple[Reason, ...]
    deciding_items: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The verdict in one line."""
        failed = [reason for reason in self.reasons if not reason.passed]
        if self.passed:
            return f"Passed all {len(self.reasons)} rules."
        return f"Failed {len(failed)} of {len(self.reasons)} rules: " + " ".join(reason.sentence for reason in failed)


def decide(result: DeltaResult | None, policy: GatePolicy) -> GateVerdict:
    """Judge a comparison. A missing comparison, no items, or a number that is not finite fails; nothing passes unseen.

    Args:
        result: what was compared; None when there is nothing.
        policy: the thresholds.
    """
    if result is None:
        nothing = Reason(
            "compared", False, None, 0.0, "There is no comparison with the base model, so nothing can be decided."
        )
        return GateVerdict(False, (nothing,), ())
    reasons = (
        _scored(result),
        *_enough(result, policy),
        _better_than_base(result, policy),
        _retention(result, policy),
        *_champion(result, policy),
        _over_refusal(result, policy),
    )
    passed = all(reason.passed for reason in reasons)
    deciding = [item for reason in reasons if not reason.passed for item in reason.items]
    return GateVerdict(passed, reasons, tuple(dict.fromkeys(result.better if passed else deciding)))


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _scored(result: DeltaResult) -> Reason:
    missing = sum(result.unscored.values())
    if not missing:
        return Reason(
            "every_item_scored", True, 0.0, 0.0, "Every model answered every item and every answer was scored."
        )
    named = ", ".join(f"{n} of {model}" for model, n in result.unscored.items() if n)
    rows = result.items.select(["id", "score"]).to_pylist()
    ids = tuple(dict.fromkeys(row["id"] for row in rows if row["score"] is None))
    sentence = f"Answers are missing or have no score ({named}): an incomplete comparison decides nothing."
    return Reason("every_item_scored", False, float(missing), 0.0, sentence, ids)


def _enough(result: DeltaResult, policy: GatePolicy) -> Iterator[Reason]:
    target = result.comparison(BASE)
    items, modules = (target.delta.n, target.delta.clusters) if target else (0, 0)
    for rule, have, need, unit in (
        ("enough_items", items, policy.minimum_items, "open-book items"),
        ("enough_modules", modules, policy.minimum_modules, "modules"),
    ):
        ok = have >= need
        ending = f"at least {need} are needed." if ok else f"too few to tell, at least {need} are needed."
        yield Reason(rule, ok, float(have), float(need), f"{have} {unit} were compared; {ending}")
    mde = target.mde if target else math.nan
    most = policy.largest_detectable_effect
    ok = mde <= most
    if math.isfinite(mde):
        ending = f"at most {most:.3f} is asked for." if ok else f"too few to tell, {most:.3f} or less is asked for."
        sentence = f"So many items find a true difference of {mde:.3f} with 80% power; {ending}"
    else:
        sentence = "The smallest detectable difference cannot be computed: too few to tell."
    yield Reason("detectable_effect", ok and math.isfinite(mde), _finite(mde), most, sentence)


def _better_than_base(result: DeltaResult, policy: GatePolicy) -> Reason:
    target, rule, least = result.comparison(BASE), "better_than_base", policy.better_than_base_by
    lost = _lost(result, BASE)
    if target is None or not math.isfinite(target.delta.low):
        return Reason(rule, False, None, least, "Tuned and base could not be compared on any open-book item.", lost)
    d = target.delta
    ok = d.low > least
    sentence = (
        f"Tuned scores {d.mean_b:.3f}, base {d.mean_a:.3f}: difference {d.delta:+.3f}, 95% interval {d.low:+.3f} to "
        f"{d.high:+.3f} (n = {d.n}); its lower bound {'lies' if ok else 'does not lie'} above {least:.3f}."
    )
    return Reason(rule, ok, d.low, least, sentence, lost)


def _retention(result: DeltaResult, policy: GatePolicy) -> Reason:
    kept, rule, floor = result.retention, "keeps_what_base_got_right", 1 - policy.retention_margin
    lost = tuple(row["id"] for row in result.rows(BASE) if row["id"] in set(result.worse))
    if kept.n < policy.retention_minimum_items:
        sentence = (
            f"The base got only {kept.n} open-book items right: too few to tell what was lost "
            f"(retention_minimum_items is {policy.retention_minimum_items})."
        )
        return Reason(rule, False, _finite(kept.low), floor, sentence, lost)
    if kept.n == 0:
        return Reason(rule, True, None, floor, "The base got no open-book item right, so there was nothing to lose.")
    ok = kept.low > floor
    sentence = (
        f"Of {kept.n} open-book items that the base got right, tuned gets {kept.kept} right ({kept.share:.3f}, lower bound "
        f"{kept.low:.3f}); the bound {'lies' if ok else 'does not lie'} above {floor:.3f}."
    )
    return Reason(rule, ok, _finite(kept.low), floor, sentence, lost)


def _champion(result: DeltaResult, policy: GatePolicy) -> Iterator[Reason]:
    if CHAMPION not in result.models:
        return
    target, rule, floor = result.comparison(CHAMPION), "not_worse_than_champion", -policy.champion_margin
    lost = _lost(result, CHAMPION)
    if target is None or not math.isfinite(target.delta.low):
        yield Reason(rule, False, None, floor, "Tuned and champion could not be compared on any open-book item.", lost)
        return
    d = target.delta
    ok = d.low > floor
    sentence = (
        f"Tuned scores {d.mean_b:.3f}, champion {d.mean_a:.3f}: difference {d.delta:+.3f}, 95% interval {d.low:+.3f} to "
        f"{d.high:+.3f} (n = {d.n}); its lower bound {'lies' if ok else 'does not lie'} above {floor:+.3f}."
    )
    yield Reason(rule, ok, d.low, floor, sentence, lost)


def _over_refusal(result: DeltaResult, policy: GatePolicy) -> Reason:
    summary, rule, most = result.summary(TUNED), "over_refusal", policy.over_refusal_at_most
    refused = tuple(row["id"] for row in result.rows(TUNED) if row["refused"] and row["refusal_expected"] is False)
    if summary is None or not summary.answerable:
        return Reason(rule, False, None, most, "No answerable open-book item was scored, so over-refusal is not known.")
    high = wilson_interval(summary.over_refusals, summary.answerable)[1]
    ok = high <= most
    sentence = (
        f"Tuned refuses {summary.over_refusals} of {summary.answerable} answerable items (upper bound {high:.3f}); "
        f"at most {most:.3f} is allowed."
    )
    return Reason(rule, ok, _finite(high), most, sentence, refused)


def _lost(result: DeltaResult, against: str) -> tuple[str, ...]:
    """Open-book items on which tuned scores lower than the other model."""
    other = {row["id"]: row["score"] for row in result.rows(against)}
    pairs = ((row["id"], row["score"], other.get(row["id"])) for row in result.rows(TUNED))
    return tuple(item for item, tuned, score in pairs if tuned is not None and score is not None and tuned < score)


def load_gate(settings: Settings) -> GatePolicy:
    """The thresholds as people wrote them. Raises InputError."""
    return load_yaml(settings.assets / FILE, GatePolicy)
