"""What is measured on labels before they are used: agreement, calibration, causes of disagreement, and the gate per guideline.

Belongs here: from labels to tables of figures. Does not: the coefficients (`agreement`), nor how they are shown (`reports`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ddd_llm.feedback.adjudication import agree
from ddd_llm.feedback.agreement.alpha import Estimate, Level
from ddd_llm.feedback.agreement.disagreement import Disagreement, explain
from ddd_llm.feedback.agreement.gate import GateVerdict, decide
from ddd_llm.feedback.agreement.gold import Calibration, calibrate
from ddd_llm.feedback.agreement.measure import Agreement, LeftOut, Rating, leave_one_out, measure, parts, ratings_of
from ddd_llm.feedback.agreement.spans import Marked, SpanF1, span_alpha, span_f1
from ddd_llm.feedback.guidelines import Guideline
from ddd_llm.feedback.labels import ChoiceValue, Item, Label, PreferenceValue, SpansValue, Value
from ddd_llm.feedback.preferences.policy import AlignmentPlan

AGREEMENT_SCHEMA = pa.schema(
    [
        ("guideline", pa.string()),
        ("scope", pa.string()),
        ("annotators", pa.int64()),
        ("items", pa.int64()),
        ("labels", pa.int64()),
        ("percent", pa.float64()),
        *((f"{name}{end}", pa.float64()) for name in ("alpha", "ac1") for end in ("", "_low", "_high")),
        ("cohen", pa.float64()),
        ("fleiss", pa.float64()),
    ]
)
ANNOTATORS_SCHEMA = pa.schema(
    [
        ("guideline", pa.string()),
        ("annotator", pa.string()),
        ("labels", pa.int64()),
        ("median_seconds", pa.float64()),
        ("gold_right", pa.int64()),
        ("gold_answers", pa.int64()),
        ("gold_low", pa.float64()),
        ("gold_high", pa.float64()),
        ("assignable", pa.bool_()),
        ("failed", pa.bool_()),
        ("why", pa.string()),
        ("errors", pa.int64()),
        ("compared", pa.int64()),
        ("alpha_without", pa.float64()),
        ("change", pa.float64()),
        ("change_low", pa.float64()),
        ("change_high", pa.float64()),
        ("items_lost", pa.int64()),
    ]
)

CONFUSION_SCHEMA = pa.schema(
    [
        ("guideline", pa.string()),
        ("annotator", pa.string()),
        ("against", pa.string()),  # gold, or dawid_skene: the likeliest truth by all labels
        ("known", pa.string()),
        ("given", pa.string()),
        ("share", pa.float64()),  # of the answers where `known` is right
        ("times", pa.int64()),  # null for dawid_skene, which estimates
    ]
)


@dataclass(frozen=True)
class Measured:
    """Everything measured on the labels of one guideline. `spans` and `disagreement` where its kind has them."""

    guideline: str
    agreement: Sequence[Agreement]
    verdict: GateVerdict
    calibration: Sequence[Calibration]
    left_out: Sequence[LeftOut]
    disagreement: Disagreement | None
    spans: SpanF1 | None
    seconds: Mapping[str, float | None]
    labels: Mapping[str, int]


def simple(value: Value) -> str | None:
    """What a label says in one word, for coefficients; None for spans."""
    if isinstance(value, ChoiceValue):
        return value.choice
    return value.preferred if isinstance(value, PreferenceValue) else None


def measure_labels(
    labels: Iterable[Label], items: Mapping[str, Item], guidelines: Mapping[str, Guideline], plan: AlignmentPlan
) -> list[Measured]:
    """Measure the current labels of each guideline that has any, by name."""
    by_name: dict[str, list[Label]] = {}
    for label in labels:
        by_name.setdefault(label.guideline, []).append(label)
    return [_measured(guidelines[name], by_name[name], items, plan) for name in sorted(by_name)]


def _measured(guideline: Guideline, labels: list[Label], items: Mapping[str, Item], plan: AlignmentPlan) -> Measured:
    calibration = calibrations(labels, (item for item in items.values() if item.guideline == guideline.name), plan)
    seconds = {name: _median([x.seconds for x in labels if x.annotator == name]) for name in _names(labels)}
    counts = {name: sum(x.annotator == name for x in labels) for name in _names(labels)}
    if guideline.label_schema.kind == "spans":
        agreement, spans, left_out = _span_agreement(guideline, labels, items, plan)
        verdict = decide(agreement[0].alpha, plan.agreement)
        return Measured(guideline.name, agreement, verdict, calibration, left_out, None, spans, seconds, counts)
    schema = guideline.label_schema
    values = schema.choices if schema.kind == "choice" else ("first", "tie", "second")
    ordinal = schema.ordinal or schema.kind == "preference"
    rows = [
        Rating(x.item_id, x.annotator, str(simple(x.value)), x.guideline_version, items[x.item_id].slice)
        for x in labels
    ]
    level: Level = "ordinal" if ordinal else "nominal"
    found = measure(rows, values, level, plan.agreement.confidence)
    ratings = ratings_of(rows, values)
    sections = {(x.item_id, x.annotator): x.sections for x in labels}
    return Measured(
        guideline.name,
        found,
        decide(found[0].alpha, plan.agreement),
        calibration,
        leave_one_out(ratings, level, plan.agreement.confidence),
        explain(ratings, sections, plan.disagreement),
        None,
        seconds,
        counts,
    )


def calibrations(labels: Sequence[Label], items: Iterable[Item], plan: AlignmentPlan) -> list[Calibration]:
    """How each annotator of one guideline does on its gold questions; nothing where it has none.

    Marked spans are right where they agree with the known ones as two annotators must agree.
    """
    known = {item.id: value for item in items if (value := item.known) is not None}

    def said(label: Label) -> str:
        word = simple(label.value)
        if word is not None or label.item_id not in known:
            return word or "unknown"
        return "agrees" if agree(label.value, known[label.item_id], plan.adjudication) else "differs"

    given = [(label.item_id, label.annotator, said(label)) for label in labels]
    gold = {item: simple(value) or "agrees" for item, value in known.items()}
    return calibrate(given, gold, plan.gold) if gold else []


def _names(labels: Iterable[Label]) -> list[str]:
    return sorted({label.annotator for label in labels})


def _median(values: Sequence[float | None]) -> float | None:
    import statistics

    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _span_agreement(
    guideline: Guideline, labels: list[Label], items: Mapping[str, Item], plan: AlignmentPlan
) -> tuple[list[Agreement], SpanF1, list[LeftOut]]:
    nothing = Estimate(None, None, None, 0, 0)

    def marked(some: Iterable[Label]) -> list[Marked]:
        return [Marked(x.item_id, x.annotator, len(items[x.item_id].responses[0]), _triples(x)) for x in some]

    def row(scope: str, some: list[Label], kind: str | None = None) -> Agreement:
        part = marked(some)
        found = span_alpha(part, kind, plan.agreement.confidence)
        return Agreement(scope, len(_names(some)), span_f1(part, kind).characters, found, nothing, None, None)

    everything = row("all", labels)
    rows = [everything, *(row(f"type {name}", labels, name) for name in guideline.label_schema.error_types)]
    by_part = parts(labels, version=lambda x: x.guideline_version, slice=lambda x: items[x.item_id].slice)
    rows += [row(scope, some) for scope, some in by_part]
    left_out = []
    for name in _names(labels):
        rest = [label for label in labels if label.annotator != name]
        alone = span_alpha(marked(rest), resamples=0).value
        before = everything.alpha.value
        change = None if alone is None or before is None else alone - before
        lost = len({x.item_id for x in labels} - {x.item_id for x in rest})
        left_out.append(LeftOut(name, len(labels) - len(rest), lost, alone, change, None, None))
    return rows, span_f1(marked(labels)), left_out


def _triples(label: Label) -> tuple[tuple[int, int, str], ...]:
    value = label.value
    return tuple((s.start, s.end, s.type) for s in value.spans) if isinstance(value, SpansValue) else ()


def agreement_table(measured: Iterable[Measured]) -> pa.Table:
    """AGREEMENT_SCHEMA. For spans `percent` is the mean F1 of marked characters between annotators."""
    rows = []
    for one in measured:
        for part in one.agreement:
            row: dict[str, Any] = {
                "guideline": one.guideline,
                "scope": part.scope,
                "annotators": part.annotators,
                "items": part.alpha.items,
                "labels": part.alpha.labels,
                "percent": part.percent,
                "cohen": part.cohen,
                "fleiss": part.fleiss,
            }
            for name, estimate in (("alpha", part.alpha), ("ac1", part.ac1)):
                row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
            rows.append(row)
    return pa.Table.from_pylist(rows, schema=AGREEMENT_SCHEMA)


def annotators_table(measured: Iterable[Measured]) -> pa.Table:
    """ANNOTATORS_SCHEMA: one row per annotator and guideline."""
    rows = []
    for one in measured:
        gold = {c.annotator: c for c in one.calibration}
        without = {row.annotator: row for row in one.left_out}
        for name, count in one.labels.items():
            row: dict[str, Any] = {"guideline": one.guideline, "annotator": name, "labels": count}
            row["median_seconds"] = one.seconds[name]
            if (c := gold.get(name)) is not None:
                row |= {"gold_right": c.right, "gold_answers": c.answers, "gold_low": c.low, "gold_high": c.high}
                row |= {"assignable": c.assignable, "failed": c.failed, "why": c.why}
            if one.disagreement is not None:
                row["errors"], row["compared"] = one.disagreement.errors.get(name, (0, 0))
            if (left := without.get(name)) is not None:
                row |= {"alpha_without": left.alpha, "change": left.change, "change_low": left.low}
                row |= {"change_high": left.high, "items_lost": left.items}
            rows.append(row)
    return pa.Table.from_pylist(rows, schema=ANNOTATORS_SCHEMA)


def confusion_table(measured: Iterable[Measured]) -> pa.Table:
    """CONFUSION_SCHEMA: what each annotator says where something else is right, and how often they say what is right."""
    rows: list[dict[str, Any]] = []
    for one in measured:
        for judged in one.calibration:
            known = Counter[str]()
            for (right, _), times in judged.confusion.items():
                known[right] += times
            rows += [
                _confused(one, judged.annotator, "gold", right, given, times / known[right], times)
                for (right, given), times in sorted(judged.confusion.items())
            ]
        found = one.disagreement.estimates if one.disagreement is not None else None
        if found is not None:
            rows += [
                _confused(one, name, "dawid_skene", right, given, float(found.confusion[i, j, k]), None)
                for i, name in enumerate(found.annotators)
                for j, right in enumerate(found.values)
                for k, given in enumerate(found.values)
            ]
    return pa.Table.from_pylist(rows, schema=CONFUSION_SCHEMA)


def _confused(
    one: Measured, annotator: str, against: str, known: str, given: str, share: float, times: int | None
) -> dict[str, Any]:
    about = {"guideline": one.guideline, "annotator": annotator, "against": against}
    return {**about, "known": known, "given": given, "share": share, "times": times}
