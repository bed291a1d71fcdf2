"""Summaries and pages of attacks and of what a model recites.

Belongs here: what each page says. Does not: the figures (`red_team`, `memorisation`), nor the look of a page (`platform.report`).
Pages hold text of questions and answers; they lie in the store, where an erasure reaches them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from ddd_llm.evaluation.memorisation import Extraction, bare_messages
from ddd_llm.evaluation.publish import json_number
from ddd_llm.evaluation.red_team import Attack, Closure, Rate, closures, rates
from ddd_llm.feedback.preferences.adversarial import SafetyGap
from ddd_llm.platform.plots import Interval, interval_plot
from ddd_llm.platform.report import KeyFigure, Page, Sample
from ddd_llm.platform.step import Step

_SHOWN = 40


def report_memorisation(step: Step, probes: pa.Table, found: Extraction, rows: Mapping[str, dict[str, Any]]) -> None:
    """Summary and page of a memorisation probe."""
    recited = [row for row in probes.to_pylist() if row["recited"]]
    by_form = {row["pair"] for row in recited if not row["trained_on"]}
    alone = [row for row in recited if row["trained_on"] and row["pair"] not in by_form]
    step.summary |= {
        "pairs_asked": found.pairs,
        "recited_of_trained": found.trained_recited,
        "recited_of_held_out": found.held_out_recited,
        "recited_excess": json_number(found.excess),
        "recited_excess_low": json_number(found.low),
        "recited_excess_high": json_number(found.high),
        "loss_gap": json_number(found.gap),
        "recited_alone": [row["id"] for row in alone][:20],
    }
    page = Page("memorisation_report", "What the model recites of its training, beside text it never saw")
    page.key_figures(
        [
            KeyFigure("recited, trained on", f"{found.trained_recited} of {found.pairs}", "answers"),
            KeyFigure("recited, held out", f"{found.held_out_recited} of {found.pairs}", "answers"),
            KeyFigure("excess", f"{found.excess:+.3f}", f"95%: {found.low:+.3f} to {found.high:+.3f}"),
            KeyFigure("loss gap", f"{found.gap:+.3f}", "nats per token, held out minus trained on"),
        ]
    )
    page.paragraph(
        "The model is given the question without its passage and the first half of the answer. It recites where the likeliest "
        "token is the right one at every place of the second half. Short, regular answers are recited without having been seen: "
        "held-out examples of the same tasks say how many; the excess is memory."
    )
    page.heading("Recited, and its held-out partner not")
    page.paragraph(
        "Each of these may be memory; the partner is of the same task and has an answer of about the same length."
    )
    page.samples([_recited(row, rows[row["id"]]) for row in alone[:_SHOWN]])
    page.heading("Recited without having been seen")
    page.samples([_recited(row, rows[row["id"]]) for row in recited if not row["trained_on"]][:_SHOWN])
    step.put_report(page.html())


def _recited(row: dict[str, Any], example: dict[str, Any]) -> Sample:
    question, answer = bare_messages(example)
    said = f"{row['task']}, {row['recited_tokens']} tokens"
    return Sample(said, {"question, without its passage": question, "answer": answer, "id": row["id"]})


def report_red_team(
    step: Step,
    gaps: Sequence[SafetyGap],
    attacks: Sequence[Attack],
    answers: Mapping[str, Sequence[str]],
    worked: Mapping[str, Sequence[bool]],
    before: str,
) -> None:
    """Summary, figures and page of attacks on several models; `before` names the one that alignment started from."""
    measured, closed = rates(attacks, worked), closures(attacks, worked, before)
    aligned = [name for name in answers if name not in ("base", before)]
    again = sorted({a.id for name in aligned for a, hit in zip(attacks, worked[name], strict=True) if hit and a.found})
    step.put_json(
        "red_team.json",
        {
            "attacks": len(attacks),
            "found": sum(a.found for a in attacks),
            "found_that_work": again,
            "rates": [asdict(rate) for rate in measured],
            "closures": [_flat(closure) for closure in closed],
        },
    )
    whole = [rate for rate in measured if rate.gap is None]
    step.summary |= {"attacks": len(attacks), "attacks_found_in_use": sum(a.found for a in attacks)}
    step.summary |= {f"success_rate_{rate.model}": round(rate.worked / max(1, rate.attacks), 3) for rate in whole}
    page = Page("red_team_report", "How often attacks work, before and after alignment")
    authors = sorted({a.author for a in attacks if not a.found})
    page.paragraph(f"{len(attacks)} attacks, none of them trained on, written by: {'; '.join(authors)}.")
    page.key_figures(
        [
            KeyFigure(r.model, f"{r.worked / max(1, r.attacks):.2f}", f"of {r.attacks}; {r.low:.2f} to {r.high:.2f}")
            for r in whole
        ]
    )
    picture = interval_plot(
        [
            Interval(f"{c.model}: {c.gap or 'all gaps'}", c.change.delta, c.change.low, c.change.high, group=c.model)
            for c in closed
            if c.model in aligned
        ],
        "What alignment changed",
        f"success rate of attacks, minus the {before} model's; left of 0 the gap closes",
    )
    step.put_picture("gap_closure", picture)
    page.figure(picture, "Change of the success rate per gap", "Filled: the interval does not cover 0.")
    page.heading("Gaps")
    page.table(["gap", "severity", "what goes wrong"], [[g.id, g.severity, g.description] for g in gaps])
    page.heading("Success rates")
    page.table(
        ["gap", *answers],
        [
            [gap or "all", *[_rate(measured, name, gap) for name in answers]]
            for gap in dict.fromkeys(r.gap for r in measured)
        ],
        "How many attacks worked, of how many.",
    )
    page.heading("What changed, attack by attack")
    page.table(
        ["model", "gap", "change", "95%", "mended", "new", "p"],
        [
            [c.model, c.gap or "all", f"{c.change.delta:+.3f}", f"{c.change.low:+.3f} to {c.change.high:+.3f}", c.mended,
             c.broken, f"{c.p:.3f}"]
            for c in closed
        ],
        f"Beside the {before} model, on the same attacks; McNemar's exact test.",
    )  # fmt: skip
    page.heading("Answers")
    page.samples([_attacked(i, a, answers, worked) for i, a in enumerate(attacks)])
    step.put_report(page.html())


def _flat(closure: Closure) -> dict[str, Any]:
    said = {name: getattr(closure, name) for name in ("model", "gap", "mended", "broken", "p")}
    return said | {"change": closure.change.delta, "low": closure.change.low, "high": closure.change.high}


def _rate(measured: Sequence[Rate], model: str, gap: str | None) -> str:
    one = next(r for r in measured if (r.model, r.gap) == (model, gap))
    return f"{one.worked} of {one.attacks}"


def _attacked(
    place: int, attack: Attack, answers: Mapping[str, Sequence[str]], worked: Mapping[str, Sequence[bool]]
) -> Sample:
    gave_in = [name for name in answers if worked[name][place]]
    parts = {"passage": attack.passage or "(none)", "question": attack.prompt}
    said = {f"{name}{' (unsafe)' if worked[name][place] else ''}": answers[name][place] for name in answers}
    return Sample(f"{attack.gap}: {'works on ' + ', '.join(gave_in) if gave_in else 'works on none'}", parts | said)
