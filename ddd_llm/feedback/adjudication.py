"""One value per item: what annotators agree on, or what an adjudicator decided. Raw labels stay beside it.

Belongs here: which items are agreed, decided or open. Does not: whether a decision may be kept (`reading`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from ddd_llm.feedback.agreement.spans import character_f1
from ddd_llm.feedback.guidelines import Guideline, state_of
from ddd_llm.feedback.labels import ChoiceValue, Label, PreferenceValue, SpansValue, Value
from ddd_llm.feedback.records import Adjudication
from ddd_llm.store.canonical import canonical_json

ADJUDICATED_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("guideline", pa.string()),
        ("kind", pa.string()),
        ("value", pa.string()),
        ("by", pa.string()),  # agreement, adjudicator
        ("adjudicator", pa.string()),
        ("rationale", pa.string()),
        ("annotators", pa.list_(pa.string())),
        ("label_ids", pa.list_(pa.string())),
        ("origin", pa.string()),
    ]
)
OPEN_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("guideline", pa.string()),
        ("reason", pa.string()),
        ("annotators", pa.list_(pa.string())),
    ]
)

Reason = Literal["too_few_labels", "labels_differ"]


class AdjudicationPolicy(BaseModel):
    """When annotators' labels stand as they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    least_labels: int = Field(default=2, ge=1, description="Annotators per item.")
    spans_agree_from: float = Field(
        default=0.5, gt=0, le=1, description="Smallest F1 of marked characters, by type, between any two annotators."
    )


@dataclass(frozen=True)
class Adjudicated:
    """`settled` (ADJUDICATED_SCHEMA) and `open` (OPEN_SCHEMA), by item."""

    settled: pa.Table
    open: pa.Table


def adjudicate(labels: Iterable[Label], decisions: Iterable[Adjudication], policy: AdjudicationPolicy) -> Adjudicated:
    """Settle what can be settled.

    Args:
        labels: current labels, at most one per item and annotator.
        decisions: at most one per item; one counts whether or not labels differ, for an adjudicator may overrule all.
        policy: when labels agree.
    """
    by_item: dict[str, list[Label]] = {}
    for label in labels:
        by_item.setdefault(label.item_id, []).append(label)
    decided = {decision.item_id: decision for decision in decisions}
    settled, still_open = [], []
    for item in sorted(by_item):
        same = sorted(by_item[item], key=lambda label: label.annotator)
        people = {"annotators": [s.annotator for s in same], "label_ids": [s.id for s in same]}
        head = {"item_id": item, "guideline": same[0].guideline, "kind": same[0].kind}
        if item in decided:
            decision = decided[item]
            said = {"by": "adjudicator", "adjudicator": decision.adjudicator, "rationale": decision.rationale}
            settled.append({**head, **people, **said, "value": _json(decision.value), "origin": _origin(same)})
            continue
        reason = objection([label.value for label in same], policy)
        if reason is None:
            value = common([label.value for label in same])
            settled.append({**head, **people, "by": "agreement", "value": _json(value), "origin": _origin(same)})
        else:
            still_open.append(
                {"item_id": item, "guideline": same[0].guideline, "reason": reason, "annotators": people["annotators"]}
            )
    return Adjudicated(
        pa.Table.from_pylist(settled, schema=ADJUDICATED_SCHEMA), pa.Table.from_pylist(still_open, schema=OPEN_SCHEMA)
    )


def of_calibrated(labels: Iterable[Label], annotators: Iterable[Mapping[str, Any]]) -> list[Label]:
    """Labels by whoever did not fail the gold questions of their guideline. Of `annotators` guideline, annotator and failed are
    read (`measures.ANNOTATORS_SCHEMA`)."""
    failed = {(row["guideline"], row["annotator"]) for row in annotators if row["failed"]}
    return [label for label in labels if (label.guideline, label.annotator) not in failed]


def standing(
    decisions: Iterable[Adjudication], versions: Mapping[tuple[str, int], Guideline]
) -> tuple[list[Adjudication], list[Adjudication]]:
    """Decisions that count, one per item, and the others: stale as labels go stale (`guidelines.state_of`), or made anew under
    a later version of the guideline."""
    ordered = sorted(decisions, key=lambda one: (one.item_id, int(one.guideline_version)))
    latest = {one.item_id: one for one in ordered if state_of(one.as_label(), versions)[0] == "current"}
    return list(latest.values()), [one for one in ordered if latest.get(one.item_id) != one]


def objection(values: Sequence[Value], policy: AdjudicationPolicy) -> Reason | None:
    """Why an adjudicator is needed; None where the labels agree."""
    if len(values) < policy.least_labels:
        return "too_few_labels"
    return None if all(agree(a, b, policy) for a, b in combinations(values, 2)) else "labels_differ"


def agree(one: Value, two: Value, policy: AdjudicationPolicy) -> bool:
    """Do two answers to one item say the same, spans as far as the policy asks?"""
    if isinstance(one, ChoiceValue) and isinstance(two, ChoiceValue):
        return one.choice == two.choice
    if isinstance(one, PreferenceValue) and isinstance(two, PreferenceValue):
        return one.preferred == two.preferred
    if isinstance(one, SpansValue) and isinstance(two, SpansValue):
        spans = [[(s.start, s.end, s.type) for s in value.spans] for value in (one, two)]
        same_gaps = {m.type for m in one.missing} == {m.type for m in two.missing}
        return same_gaps and character_f1(*spans) >= policy.spans_agree_from
    return False


def common(values: Sequence[Value]) -> Value:
    """What agreeing labels say together.

    The choice; the preference with each rubric's scores averaged and rounded; the spans of whoever agrees best with the others
    (so that they are spans somebody marked), and of those the first by order.
    """
    first = values[0]
    if isinstance(first, PreferenceValue):
        several = [value for value in values if isinstance(value, PreferenceValue)]
        rubrics = {
            name: (
                round(sum(v.rubrics[name][0] for v in several) / len(several)),
                round(sum(v.rubrics[name][1] for v in several) / len(several)),
            )
            for name in first.rubrics
        }
        return PreferenceValue(preferred=first.preferred, rubrics=rubrics)
    if isinstance(first, SpansValue):
        several = [value for value in values if isinstance(value, SpansValue)]
        spans = [[(s.start, s.end, s.type) for s in value.spans] for value in several]
        agreement = [sum(character_f1(mine, other) for other in spans) for mine in spans]
        return several[agreement.index(max(agreement))]
    return first


def _json(value: Value) -> str:
    return canonical_json(value.model_dump(mode="json")).decode()


def _origin(labels: Sequence[Label]) -> str:
    return "demo" if any(label.origin == "demo" for label in labels) else "people"


def by_annotator(labels: Iterable[Label]) -> Mapping[str, int]:
    """How many labels each annotator gave, by name."""
    counts: dict[str, int] = {}
    for label in labels:
        counts[label.annotator] = counts.get(label.annotator, 0) + 1
    return dict(sorted(counts.items()))
