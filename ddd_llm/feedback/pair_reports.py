"""Summaries and report pages of preference pairs, a machine's preferences and span feedback.

Belongs here: what each page says. Does not: the figures, nor the look of a page (`platform.report`).
Pages may hold text; they lie in the store, where an erasure reaches them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ddd_llm.feedback.preferences.batch import Batch
from ddd_llm.feedback.preferences.pairs import Merged
from ddd_llm.feedback.preferences.qa import Finding
from ddd_llm.feedback.reports import number, warn_of_demo
from ddd_llm.feedback.span_feedback import COMPLETENESS, FACTUALITY, RELEVANCE, error_counts
from ddd_llm.platform.report import KeyFigure, Page, Sample
from ddd_llm.platform.step import Step


def report_pairs(step: Step, merged: Merged, findings: Sequence[Finding], acceptance: Mapping[str, Any] | None) -> None:
    """Summary and page of preference pairs."""
    rows = merged.pairs.to_pylist()
    origins = Counter(origin for row in rows for origin in row["origins"])
    reasons = Counter(merged.quarantine["reason"].to_pylist())
    step.summary |= {
        "pairs": len(rows),
        "pairs_by_origin": dict(sorted(origins.items())),
        "pairs_by_split": dict(sorted(Counter(row["split"] for row in rows).items())),
        "constructed_by_error": dict(sorted(Counter(row["error"] for row in rows if row["error"]).items())),
        "ties": merged.ties,
        "quarantined_by_reason": dict(sorted(reasons.items())),
        "quality": [{"look": f.name, "passed": f.passed, "figure": number(f.value), "of": f.count} for f in findings],
    }
    page = Page("preference_pairs", "Which of two answers is better, and who says so")
    warn_of_demo(page, list(origins))
    page.key_figures([KeyFigure(name, f"{count:,}", "pairs") for name, count in sorted(origins.items())])
    page.heading("Quality")
    page.table(
        ["look", "within the plan", "what was found"],
        [[f.name, "yes" if f.passed else "NO", f.sentence] for f in findings],
    )
    if acceptance:
        page.heading("Machine-made preferences")
        page.callout(
            f"{acceptance['outcome']}: {acceptance['sentence']}", [], passed=acceptance["outcome"] == "accepted"
        )
    page.heading("Examples")
    for origin in sorted(origins):
        page.paragraph(origin)
        some = [row for row in rows if origin in row["origins"]][:4]
        page.samples([_sample(row) for row in some])
    step.put_report(page.html())


def report_ai_preferences(step: Step, batch: Batch) -> None:
    """Summary and page of a batch that a machine judged."""
    verdict, plan = batch.verdict, batch.verdict.plan
    judged = batch.judged.to_pylist()
    preferred = Counter(row["preferred"] for row in judged if row["preferred"])
    step.summary |= {
        "judged": len(judged),
        "preferred": dict(sorted(preferred.items())),
        "refused_by_reason": batch.refused,
        "sample": len(batch.sample),
        "sample_judged_by_people": verdict.judged,
        "disagreements": verdict.disagreements,
        "agreement": verdict.agreement,
        "outcome": verdict.outcome if judged else "nothing was judged",
    }
    page = Page("ai_preferences", "Answers compared by a machine, and whether people agree with it")
    if not judged:
        page.callout("No machine judges in place of people: the alignment-data plan says `judge.kind: none`.", [])
        step.put_report(page.html())
        return
    page.callout(f"{verdict.outcome}: {verdict.sentence}", [], passed=verdict.outcome == "accepted")
    agreed = "–" if verdict.agreement is None else f"{verdict.agreement:.2f}"
    between = "" if verdict.low is None or verdict.high is None else f"{verdict.low:.2f} to {verdict.high:.2f}"
    page.key_figures(
        [
            KeyFigure("judged", f"{len(judged):,}", f"{sum(batch.refused.values())} without a preference"),
            KeyFigure("sample for people", str(len(batch.sample)), f"{verdict.judged} judged"),
            KeyFigure("agreement", agreed, between),
            KeyFigure("kappa", number(verdict.kappa, 2), "of judge and people"),
        ]
    )
    page.heading("The plan's operating characteristic")
    page.paragraph(f"Of {plan.batch} items {plan.size} go to people; at most {plan.accept} may be judged unlike.")
    page.table(
        ["share of disagreements", "probability of acceptance"], [[f"{s:.2f}", f"{p:.3f}"] for s, p in verdict.curve]
    )
    step.put_report(page.html())


def report_spans(step: Step, table: pa.Table, corrections: int, conflicts: int) -> None:
    """Summary and page of span feedback. `conflicts`: answers set aside because their document is held out."""
    kinds = {"relevance": RELEVANCE, "factuality": FACTUALITY, "completeness": COMPLETENESS}
    counts = error_counts(table, kinds)
    origins = Counter(table["origin"].to_pylist())
    step.summary |= {
        "answers": table.num_rows,
        "answers_by_origin": dict(sorted(origins.items())),
        "answers_by_split": dict(sorted(Counter(table["split"].to_pylist()).items())),
        "segments": [{"reward": name, "segments": n, "in_error": bad} for name, (n, bad) in counts.items()],
        "corrections": corrections,
        "split_conflicts": conflicts,
    }
    page = Page("span_feedback", "Where answers are wrong, marked in the answer")
    warn_of_demo(page, list(origins))
    page.key_figures([KeyFigure(name, f"{count:,}", "answers") for name, count in sorted(origins.items())])
    page.table(["reward", "segments", "in error"], [[name, f"{n:,}", f"{bad:,}"] for name, (n, bad) in counts.items()])
    for origin in sorted(origins):
        page.heading(f"Examples: {origin}")
        some = [row for row in table.to_pylist() if row["origin"] == origin and '"spans":[]' not in row["value"]][:12]
        page.samples([_marked(row) for row in some])
    step.put_report(page.html())


def _marked(row: Mapping[str, Any]) -> Sample:
    value = json.loads(row["value"])
    text = row["response"]
    marks = [f"{s['type']}: {text[s['start'] : s['end']]}" for s in value["spans"]]
    marks += [f"{m['type']}: {m['text']}" for m in value["missing"]]
    shown = {"prompt": json.loads(row["prompt"])[-1]["content"], "answer": text, "marked": "\n".join(marks)}
    return Sample(
        f"{row['error'] or ', '.join(row['annotators'])}: {text[:80]}", shown | {"corrected": value["corrected"] or ""}
    )


def _sample(row: Mapping[str, Any]) -> Sample:
    about = row["error"] or row["gap"] or row["rubrics"] or ""
    prompt = json.loads(row["prompt"])[-1]["content"]
    return Sample(
        f"{about}: {row['chosen'][:80]}", {"prompt": prompt, "chosen": row["chosen"], "rejected": row["rejected"]}
    )
