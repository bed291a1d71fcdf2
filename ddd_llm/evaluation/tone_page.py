"""Summary, figures and page of how answers sound.

Belongs here: what the page says. Does not: the figures (`tone`), nor the look of a page (`platform.report`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa

from ddd_llm.evaluation.publish import json_number
from ddd_llm.evaluation.tone import AnswerSet, Change, TonePolicy, Validation
from ddd_llm.platform.plots import Interval, interval_plot
from ddd_llm.platform.report import KeyFigure, Page, Sample
from ddd_llm.platform.step import Step

SCORES_SCHEMA = pa.schema(
    [
        ("answers", pa.string()),
        ("id", pa.string()),
        ("model", pa.string()),
        ("score", pa.float64()),
        ("broken", pa.list_(pa.string())),
    ]
)
_SHOWN = 24


def scores_table(policy: TonePolicy, sets: Sequence[AnswerSet]) -> pa.Table:
    """A row per answer; text stays where it is."""
    rows = [
        {
            "answers": given.name,
            "id": name,
            "model": model,
            "score": policy.score(answer),
            "broken": _broken(policy, answer),
        }
        for given in sets
        for model, said in given.answers.items()
        for name, answer in zip(given.ids, said, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=SCORES_SCHEMA)


def report_tone(
    step: Step, policy: TonePolicy, sets: Sequence[AnswerSet], found: Sequence[Change], validation: Validation
) -> None:
    """Put figures and page into the record."""
    step.put_json(
        "tone.json",
        {
            "policy_version": policy.version,
            "changes": [
                {
                    **{name: getattr(change, name) for name in ("answers", "model", "before")},
                    "score_before": json_number(change.change.mean_a),
                    "score": json_number(change.change.mean_b),
                    "change": json_number(change.change.delta),
                    "low": json_number(change.change.low),
                    "high": json_number(change.change.high),
                    "n": change.change.n,
                }
                for change in found
            ],
            "validation": {
                **asdict(validation),
                "low": json_number(validation.low),
                "high": json_number(validation.high),
                "sentence": validation.sentence,
            },
        },
    )
    known = [change for change in found if change.change.n]
    step.summary |= {
        "policy_version": policy.version,
        "scorer": validation.outcome,
        **{f"{c.model} on {c.answers}": f"{c.change.mean_a:.3f} -> {c.change.mean_b:.3f}, {_told(c)}" for c in known},
    }
    page = Page("tone_report", f"The tone of answers, by version {policy.version} of the tone's criteria")
    page.key_figures(
        [KeyFigure(f"{c.model}, {c.answers}", f"{c.change.mean_b:.3f}", f"{_told(c)} of {c.before}") for c in known]
    )
    if known:
        picture = interval_plot(
            [
                Interval(f"{c.answers}: {c.model}", c.change.delta, c.change.low, c.change.high, group=c.answers)
                for c in known
            ],
            "What changed in tone",
            "share of criteria kept, minus that of the model before",
        )
        step.put_picture("tone", picture)
        page.figure(
            picture,
            "Change of the tone score per model",
            "Right of 0 is nearer to the tone asked for. Filled: the interval does not cover 0.",
        )
    page.callout(f"Scorer and people: {validation.outcome.replace('_', ' ')}", [validation.sentence], None)
    page.heading("Criteria")
    for given in sets:
        page.table(
            ["criterion", "what it asks", *given.answers],
            [
                [
                    c.id,
                    c.description,
                    *[_share([c.kept(a) for a in said if a.strip()]) for said in given.answers.values()],
                ]
                for c in policy.criteria
            ],
            f"Share of answers that keep it: {given.name}, {len(given.ids)} of each.",
        )
    page.heading("Answers that break most")
    worst = [
        (len(broken), given.name, model, name, answer, broken)
        for given in sets
        if given.before != "rejected"
        for model, said in given.answers.items()
        for name, answer in zip(given.ids, said, strict=True)
        if model != "base" and (broken := _broken(policy, answer))
    ]
    worst.sort(key=lambda row: (-row[0], row[1:4]))
    page.samples(
        [
            Sample(f"{model}, {name}: {', '.join(broken)}", {"answer": answer, "id": one})
            for _, name, model, one, answer, broken in worst[:_SHOWN]
        ]
    )
    step.put_report(page.html())


def _broken(policy: TonePolicy, answer: str) -> list[str]:
    return [name for name, kept in policy.kept(answer).items() if not kept] if answer.strip() else []


def _told(change: Change) -> str:
    return f"{change.change.delta:+.3f} ({change.change.low:+.3f} to {change.change.high:+.3f})"


def _share(kept: Sequence[bool]) -> str:
    return f"{sum(kept) / len(kept):.2f}" if kept else "–"
