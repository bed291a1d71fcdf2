"""How the comparison enters the record: counts for the UI, the gate's verdict as data, per-item scores, and the report page.

Belongs here: what of a result is stored under which name. Does not: the page (`report`), the numbers (`delta`), the rules.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from ddd_llm.evaluation.delta import BASE, CHAMPION, TUNED, DeltaResult
from ddd_llm.evaluation.gate import GateVerdict
from ddd_llm.evaluation.refusals import refusal_rates
from ddd_llm.evaluation.report import delta_page, delta_plot
from ddd_llm.evaluation.suite import CLOSED_BOOK
from ddd_llm.platform.step import Step


def json_number(value: float | None) -> float | None:
    """JSON knows no NaN: what could not be computed is null."""
    return None if value is None or not math.isfinite(value) else round(value, 6)


def publish(
    step: Step, suite: pa.Table, answers: Mapping[str, pa.Table], result: DeltaResult, verdict: GateVerdict
) -> None:
    """Store scores, verdict, picture and page; text of questions and answers goes to the page alone."""
    step.put_table("items", result.items)
    reasons = [{**asdict(reason), "value": json_number(reason.value)} for reason in verdict.reasons]
    step.put_json(
        "gate.json",
        {
            "passed": verdict.passed,
            "sentence": verdict.sentence,
            "reasons": reasons,
            "deciding_items": list(verdict.deciding_items),
            "better": list(result.better),
            "worse": list(result.worse),
        },
    )
    step.summary |= _summary(result, verdict)
    step.summary["refusals_by_category"] = {
        rates.category: f"{rates.refused}; look-alikes {rates.over_refused}"
        for rates in refusal_rates(suite, result)
        if rates.model == TUNED
    }
    step.put_picture("difference", delta_plot(result))
    step.put_report(delta_page(suite, answers, result, verdict))


def _summary(result: DeltaResult, verdict: GateVerdict) -> dict[str, Any]:
    target = result.comparison(BASE)
    tuned, base = result.summary(TUNED), result.summary(BASE)
    said: dict[str, Any] = {
        "gate": "passed" if verdict.passed else "NOT passed",
        "gate_reasons": [reason.sentence for reason in verdict.reasons if not reason.passed],
        "deciding_items": list(verdict.deciding_items)[:20],
        "flipped_for_better": len(result.better),
        "flipped_for_worse": len(result.worse),
    }
    if target is not None:
        said |= {
            "items": target.delta.n,
            "base_score": json_number(target.delta.mean_a),
            "tuned_score": json_number(target.delta.mean_b),
            "delta": json_number(target.delta.delta),
            "delta_low": json_number(target.delta.low),
            "delta_high": json_number(target.delta.high),
            "mcnemar_p": target.p if math.isfinite(target.p) else None,
            "minimum_detectable_effect": json_number(target.mde),
        }
    if tuned is not None and base is not None:
        said["facts_right"] = {
            name: f"{s.facts_right} of {s.facts_expected}" for name, s in ((BASE, base), (TUNED, tuned))
        }
        said["facts_invented"] = {BASE: base.facts_invented, TUNED: tuned.facts_invented}
        said["refusals_right"] = {
            name: f"{s.refusals_right} of {s.refusals_expected}" for name, s in ((BASE, base), (TUNED, tuned))
        }
        said["over_refusals"] = {
            name: f"{s.over_refusals} of {s.answerable}" for name, s in ((BASE, base), (TUNED, tuned))
        }
    said["score_per_task"] = [
        {
            "task": row.task,
            **{
                name: json_number(s.score)
                for name in result.models
                if (s := result.summary(name, task=row.task)) is not None
            },
            "n": row.delta.n,
            "difference": f"{row.delta.delta:+.3f} ({row.delta.low:+.3f} to {row.delta.high:+.3f})",
        }
        for row in result.comparisons
        if row.against == BASE and row.slice != CLOSED_BOOK and row.task is not None
    ]
    closed = result.comparison(BASE, CLOSED_BOOK)
    if closed is not None:
        said["closed_book"] = {
            BASE: json_number(closed.delta.mean_a),
            TUNED: json_number(closed.delta.mean_b),
            "n": closed.delta.n,
        }
    champion = result.comparison(CHAMPION)
    if champion is not None:
        said["champion_score"] = json_number(champion.delta.mean_a)
    return said


def gate_verdict(data: bytes) -> tuple[bool, str, dict[str, object]]:
    """The stored verdict as a check's verdict; anything but a clear pass fails."""
    found = json.loads(data)
    failed = [reason["rule"] for reason in found["reasons"] if not reason["passed"]]
    passed = found["passed"] is True and not failed and bool(found["reasons"])
    return passed, found["sentence"], {"failed_rules": failed, "deciding_items": found["deciding_items"][:20]}
