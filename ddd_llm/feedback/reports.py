"""Summaries and report pages of what people say; those of pairs are `pair_reports`'.

Belongs here: what each page says. Does not: the figures (`measures`, `qa`, `pairs`), nor the look of a page (`platform.report`).
Pages may hold text; they lie in the store, where an erasure reaches them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa

from ddd_llm.feedback.adjudication import Adjudicated
from ddd_llm.feedback.agreement.alpha import Estimate
from ddd_llm.feedback.effort import efforts, validated_share
from ddd_llm.feedback.guidelines import Guideline
from ddd_llm.feedback.labels import Item, Label
from ddd_llm.feedback.measures import Measured, confusion_table
from ddd_llm.feedback.reading import Feedback
from ddd_llm.feedback.rights import FileRights
from ddd_llm.platform.report import KeyFigure, Page, Sample
from ddd_llm.platform.step import Step

DEMO = (
    "These labels were written by the authors of this project for the demonstration. The figures show what is measured; they say "
    "nothing about people."
)


def number(value: float | None, digits: int = 3) -> str:
    """A figure, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def _interval(estimate: Estimate) -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "undefined"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def warn_of_demo(page: Page, origins: Sequence[str]) -> None:
    """Say so where labels were written for the demonstration."""
    if "demo" in origins:
        page.callout("Demonstration data", [DEMO], passed=False)


def report_guidelines(step: Step, guidelines: Mapping[str, Guideline], objections: Mapping[str, str | None]) -> None:
    """Summary and page of the guidelines."""
    step.summary |= {"guidelines": {name: g.version for name, g in guidelines.items()}}
    step.summary |= {"not_approved": [name for name, said in objections.items() if said]}
    page = Page("annotation_guidelines", "How answers are labelled, version by version")
    for name, guideline in guidelines.items():
        page.heading(f"{name}, version {guideline.version}")
        said = objections[name]
        page.callout(
            said or f"Approved by {guideline.approved_by} on {guideline.approved_on}.", [], passed=said is None
        )
        rows = [[f"#{s.id}", s.title, ", ".join(s.concerns) or "everything"] for s in guideline.sections]
        page.table(["section", "title", "concerns"], rows)
        page.samples([Sample(s.title, {"text": s.text}) for s in guideline.sections if s.text])
    step.put_report(page.html())


def report_annotations(
    step: Step, feedback: Feedback, rights: FileRights, states: Mapping[str, str], stale_decisions: int
) -> None:
    """Summary and page of what was read. `states`: label id -> current, stale or unknown_version."""
    reasons = Counter(feedback.quarantine_table()["reason"].to_pylist())
    origins = Counter(label.origin for label in feedback.labels)
    step.summary |= {
        "items": len(feedback.items),
        "labels": len(feedback.labels),
        "labels_by_origin": dict(sorted(origins.items())),
        "labels_by_state": dict(sorted(Counter(states.values()).items())),
        "superseded": len(feedback.superseded),
        "decisions": len(feedback.decisions),
        "stale_decisions": stale_decisions,
        "quarantined": sum(reasons.values()),
        "quarantined_by_reason": dict(sorted(reasons.items())),
        "passed_over": feedback.passed_over,
        "identifiers_replaced": feedback.identifiers,
    }
    page = Page("annotations", "Items, labels and decisions, and what could not be kept")
    warn_of_demo(page, list(origins))
    figures = [("items", len(feedback.items)), ("labels", len(feedback.labels)), ("quarantined", sum(reasons.values()))]
    figures.append(("identifiers replaced", feedback.identifiers))
    page.key_figures([KeyFigure(name, f"{count:,}") for name, count in figures])
    page.heading("Whose words these are, and on what ground they are used")
    page.table(["source", "owner", "licence", "ground", "lines used", "lines held back"], rights.table())
    page.heading("Labels by guideline, version and annotator")
    counts = Counter((x.guideline, x.guideline_version, x.annotator, states[x.id]) for x in feedback.labels)
    page.table(
        ["guideline", "version", "annotator", "state", "labels"],
        [[*key, f"{n:,}"] for key, n in sorted(counts.items())],
    )
    page.heading("Quarantine")
    page.table(["file", "place", "reason", "detail"], [list(row) for row in feedback.quarantine[:200]])
    step.put_report(page.html())


def report_agreement(
    step: Step, measured: Sequence[Measured], labels: Sequence[Label], items: Mapping[str, Item]
) -> None:
    """Summary and page of agreement and calibration."""
    step.summary |= {
        "verdicts": {m.guideline: m.verdict.outcome for m in measured},
        "alpha": {m.guideline: _interval(m.agreement[0].alpha) for m in measured},
        "ambiguous_items": sum(
            i.cause == "ambiguous_item" for m in measured if m.disagreement for i in m.disagreement.items
        ),
    }
    page = Page("annotator_agreement", "How far annotators agree, who is calibrated, and where disagreement comes from")
    warn_of_demo(page, sorted({label.origin for label in labels}))
    if not measured:
        page.paragraph("There are no labels yet.")
    for one in measured:
        _agreement_of(page, one, items)
    step.put_report(page.html())


def _agreement_of(page: Page, one: Measured, items: Mapping[str, Item]) -> None:
    page.heading(one.guideline)
    page.callout(f"{one.verdict.outcome}: {one.verdict.sentence}", [], passed=one.verdict.passed)
    spans = one.spans is not None
    names = ["part", "items", "labels", "F1 of characters" if spans else "agreement", "Krippendorff's alpha (95%)"]
    rows = [
        [p.scope, str(p.alpha.items), str(p.alpha.labels), number(p.percent), _interval(p.alpha)]
        + ([] if spans else [_interval(p.ac1), number(p.cohen), number(p.fleiss)])
        for p in one.agreement
    ]
    page.table(names + ([] if spans else ["Gwet's AC1 (95%)", "Cohen, mean", "Fleiss"]), rows)
    if one.spans is not None:
        page.paragraph(
            f"Between two annotators: F1 of exact spans {number(one.spans.exact)}, of overlapping spans "
            f"{number(one.spans.overlap)}, over {one.spans.pairs} pairs of annotations."
        )
    if one.calibration:
        page.table(
            ["annotator", "gold right", "of", "95% interval", "may label", "why"],
            [
                [
                    c.annotator,
                    str(c.right),
                    str(c.answers),
                    f"{c.low:.2f} to {c.high:.2f}",
                    "yes" if c.assignable else "no",
                    c.why,
                ]
                for c in one.calibration
            ],
        )
    confused = [
        row for row in confusion_table([one]).to_pylist() if row["known"] != row["given"] and row["share"] >= 0.05
    ]
    if confused:
        page.table(
            ["annotator", "says", "where right is", "share", "by"],
            [
                [
                    row["annotator"],
                    row["given"],
                    row["known"],
                    f"{row['share']:.0%}",
                    row["against"].replace("_", " and "),
                ]
                for row in sorted(confused, key=lambda row: -row["share"])[:12]
            ],
            "What is taken for what: by gold questions, and by Dawid and Skene's model of all labels; 5% and more.",
        )
    if one.left_out:
        page.table(
            ["without", "labels fewer", "items left without", "alpha", "change (95%)"],
            [
                [
                    row.annotator, str(row.labels), str(row.items), number(row.alpha),
                    f"{number(row.change)} ({number(row.low)} to {number(row.high)})",
                ]
                for row in one.left_out
            ],
        )  # fmt: skip
    if one.disagreement is not None:
        _disagreement(page, one, items)


def _disagreement(page: Page, one: Measured, items: Mapping[str, Item]) -> None:
    found = one.disagreement
    if found is None:
        return
    ambiguous = [item for item in found.items if item.cause == "ambiguous_item"]
    page.paragraph(
        f"Labels differ on {len(found.items)} of {found.compared} items: {len(ambiguous)} are ambiguous, on "
        f"{len(found.items) - len(ambiguous)} somebody erred."
    )
    page.table(
        ["section", "labels", "on ambiguous items", "errors", "share (95%)"],
        [
            [
                f"#{s.section}",
                str(s.labels),
                str(s.ambiguous),
                str(s.errors),
                f"{s.rate:.0%} ({s.low:.0%} to {s.high:.0%})",
            ]
            for s in found.sections[:10]
        ],
    )
    page.samples(
        [
            Sample(
                f"{item.cause.replace('_', ' ')}: likeliest {item.likeliest} ({item.probability:.2f})",
                {
                    "question": items[item.item].prompt,
                    **{f"answer {i}": text for i, text in enumerate(items[item.item].responses, 1)},
                    "labels": ", ".join(f"{who}: {said}" for who, said in item.labels.items()),
                },
            )
            for item in found.items[:10]
        ]
    )


def report_adjudicated(
    step: Step, result: Adjudicated, closed: Mapping[str, str], labels: Sequence[Label], uncalibrated: int
) -> None:
    """Summary and page of settled labels. `closed`: guideline -> why none of its labels is used; `labels`: all of them;
    `uncalibrated`: how many are not used because of their annotator's answers to gold questions."""
    settled = result.settled.to_pylist()
    spent, validated = efforts(labels, settled), validated_share(settled)
    by = Counter(result.settled["by"].to_pylist())
    reasons = Counter(result.open["reason"].to_pylist())
    step.summary |= {
        "settled": result.settled.num_rows,
        "settled_by": dict(sorted(by.items())),
        "open": result.open.num_rows,
        "open_by_reason": dict(sorted(reasons.items())),
        "guidelines_not_used": dict(closed),
        "labels_of_uncalibrated_annotators": uncalibrated,
        "seconds_per_label": {e.kind: e.median_seconds for e in spent if e.median_seconds is not None},
        "seconds_per_settled_item": {e.kind: round(e.per_settled, 1) for e in spent if e.per_settled is not None},
        "validated_by_a_second_person": None if validated is None else round(validated, 3),
    }
    page = Page("adjudicated_labels", "One value per item: agreed, or decided by somebody who did not label it")
    warn_of_demo(page, result.settled["origin"].to_pylist())
    second = "not known" if validated is None else f"{validated:.0%}"
    page.key_figures(
        [
            KeyFigure("settled", f"{len(settled):,}"),
            KeyFigure("open", f"{len(result.open):,}"),
            KeyFigure("seen by a second person", second, "of the settled"),
        ]
    )
    page.heading("What labels take")
    page.table(
        ["kind", "labels", "with a time", "seconds per label (median)", "settled items", "seconds per settled item"],
        [[e.kind, e.labels, e.timed, number(e.median_seconds, 0), e.settled, number(e.per_settled, 0)] for e in spent],
        "All labels of a kind, used or not, spread over the items that they settled.",
    )
    for name, why in closed.items():
        page.callout(f"No label of {name} is used", [why], passed=False)
    decided = [row for row in settled if row["by"] == "adjudicator"]
    page.heading("Decisions")
    page.table(
        ["item", "guideline", "adjudicator", "annotators", "rationale"],
        [
            [r["item_id"][:12], r["guideline"], r["adjudicator"], ", ".join(r["annotators"]), r["rationale"]]
            for r in decided
        ],
    )
    page.heading("Open")
    rows = [
        [r["item_id"][:12], r["guideline"], r["reason"], ", ".join(r["annotators"])] for r in result.open.to_pylist()
    ]
    page.table(["item", "guideline", "reason", "annotators"], rows[:100])
    step.put_report(page.html())


def states_table(states: Mapping[str, tuple[str, tuple[str, ...]]]) -> pa.Table:
    """Label id, state and what makes it stale."""
    keys = sorted(states)
    columns = {"label_id": keys, "state": [states[k][0] for k in keys], "because": [list(states[k][1]) for k in keys]}
    schema = pa.schema([("label_id", pa.string()), ("state", pa.string()), ("because", pa.list_(pa.string()))])
    return pa.table(columns, schema=schema)
