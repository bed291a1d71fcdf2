"""The delta report: the page a person reads to see what tuning won and lost, and why the gate decided as it did.

Here belongs how the comparison is shown. Here do not belong the numbers (`delta`), the rules (`gate`) or the look (`platform`).
The page shows questions and answers in full, so it lives in the store; the plots hold numbers and names of tasks alone.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping

import pyarrow as pa

from ddd_llm.evaluation.delta import BASE, CHAMPION, Comparison, DeltaResult
from ddd_llm.evaluation.gate import GateVerdict
from ddd_llm.evaluation.refusals import Rate, refusal_rates
from ddd_llm.evaluation.suite import CLOSED_BOOK, OPEN_BOOK
from ddd_llm.platform.plots import Interval, interval_plot, paired_bars
from ddd_llm.platform.report import KeyFigure, Page, Sample

SHOWN = 60
_READABLE = 90


def delta_plot(result: DeltaResult) -> bytes:
    """Forest plot (PNG) of tuned minus the other models on the open-book slice: all tasks, then each.

    Raises:
        ValueError: there is no open-book item.
    """
    rows = [
        Interval(
            label="all tasks" if c.task is None else c.task,
            value=c.delta.delta,
            low=c.delta.low,
            high=c.delta.high,
            note=f"n = {c.delta.n}",
            group=f"against {c.against}",
        )
        for c in result.comparisons
        if c.slice == OPEN_BOOK
    ]
    axis = "difference of mean score, tuned minus the other; 95% interval"
    return interval_plot(rows, title="What tuning changed, open book", axis=axis)


def score_plot(result: DeltaResult, slice_: str = OPEN_BOOK) -> bytes:
    """Mean score per task (PNG), one bar per model.

    Raises:
        ValueError: the slice has no item.
    """
    tasks = [s.task for s in result.summaries if s.slice == slice_ and s.model == BASE]
    found = {name: [result.summary(name, slice_, task) for task in tasks] for name in result.models}
    series = {name: [s.score if s else math.nan for s in summaries] for name, summaries in found.items()}
    title = f"Mean score per task, {slice_.replace('_', ' ')}"
    return paired_bars([task or "all tasks" for task in tasks], series, title=title, axis="mean score, 0 to 1")


def delta_page(suite: pa.Table, answers: Mapping[str, pa.Table], result: DeltaResult, verdict: GateVerdict) -> str:
    """The whole report as one HTML page.

    Args:
        suite: the items that were asked.
        answers: each model's answers.
        result: what the comparison found.
        verdict: what the gate decided.
    """
    page = Page("Delta report", f"The same held-out questions through {_listed(result.models)}")
    page.key_figures(_key_figures(result))
    title = (
        "The gate passed: this model may be registered"
        if verdict.passed
        else "The gate did not pass: nothing is registered"
    )
    page.callout(title, [_marked(reason.passed, reason.sentence) for reason in verdict.reasons], passed=verdict.passed)
    if result.comparison(BASE) is not None:
        _slice(page, result, OPEN_BOOK)
        _refusals(page, suite, result)
    if result.comparison(BASE, CLOSED_BOOK) is not None:
        _slice(page, result, CLOSED_BOOK)
    _flips(page, suite, answers, result)
    _how(page, result, answers)
    return page.html()


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}"


def _marked(passed: bool, sentence: str) -> str:
    return f"{'✓' if passed else '✗'} {sentence}"


def _key_figures(result: DeltaResult) -> list[KeyFigure]:
    target = result.comparison(BASE)
    if target is None:
        return [KeyFigure("open-book items", "0", "nothing was compared")]
    d, champion = target.delta, result.comparison(CHAMPION)
    figures = [
        KeyFigure("tuned", _number(d.mean_b), "mean score, open book"),
        KeyFigure("base", _number(d.mean_a), "mean score, open book"),
        KeyFigure("difference", _number(d.delta, sign=True), f"95%: {_number(d.low, True)} to {_number(d.high, True)}"),
        KeyFigure("compared", f"{d.n:,}", f"items from {d.clusters:,} modules"),
        KeyFigure("detectable", _number(target.mde), "smallest difference, 80% power"),
    ]
    if champion is not None:
        c = champion.delta
        note = f"95%: {_number(c.low, True)} to {_number(c.high, True)}"
        figures.append(KeyFigure("against champion", _number(c.delta, sign=True), note))
    return figures


def _number(value: float, sign: bool = False) -> str:
    if not math.isfinite(value):
        return "not known"
    return f"{value:+.3f}" if sign else f"{value:.3f}"


def _slice(page: Page, result: DeltaResult, slice_: str) -> None:
    if slice_ == OPEN_BOOK:
        page.heading("Open book: the target")
        page.paragraph(
            "The prompt carries the passage it asks about, as a retriever would give it. The gate decides on this slice."
        )
        page.figure(
            delta_plot(result),
            "Difference of mean score with 95% interval, per task",
            "A hollow point: the interval covers 0.",
        )
    else:
        page.heading("Closed book, reported apart")
        page.paragraph("No passage is given, so this asks what the model remembers. It takes no part in the verdict.")
    page.figure(score_plot(result, slice_), "Mean score of each model per task")
    _comparisons(page, result, slice_)
    _summaries(page, result, slice_)


def _comparisons(page: Page, result: DeltaResult, slice_: str) -> None:
    for other in result.models:
        rows = [_comparison_row(c) for c in result.comparisons if (c.slice, c.against) == (slice_, other)]
        if rows:
            columns = [
                "task",
                "n",
                other,
                "tuned",
                "difference",
                "95% interval",
                f"only {other} right",
                "only tuned right",
            ]
            caption = f"Tuned against {other}, {slice_.replace('_', ' ')}"
            page.table([*columns, "McNemar p", "detectable"], rows, caption=caption)


def _comparison_row(c: Comparison) -> list[object]:
    d = c.delta
    interval = f"{d.low:+.3f} to {d.high:+.3f}" if math.isfinite(d.low) else "not known"
    p = "< 0.001" if c.p_holm < 0.001 else f"{c.p_holm:.3f}"
    row: list[object] = [c.task or "all tasks", d.n, d.mean_a, d.mean_b, _number(d.delta, sign=True), interval]
    return [*row, c.only_tuned, c.only_other, p, c.mde]


def _summaries(page: Page, result: DeltaResult, slice_: str) -> None:
    columns = [
        "model",
        "right",
        "95% interval",
        "facts right",
        "facts invented",
        "refusals right",
        "over-refusals",
        "cut off",
    ]
    rows = []
    for name in result.models:
        s = result.summary(name, slice_)
        if s is not None:
            interval = f"{s.correct_low:.3f} to {s.correct_high:.3f}" if s.n else "not known"
            refused = f"{s.refusals_right} of {s.refusals_expected}"
            row = [name, f"{s.correct} of {s.n}", interval, f"{s.facts_right} of {s.facts_expected}", s.facts_invented]
            rows.append([*row, refused, f"{s.over_refusals} of {s.answerable}", s.cut_off])
    page.table(columns, rows, caption="Each model alone: items right as a whole, single facts, refusals")


def _refusals(page: Page, suite: pa.Table, result: DeltaResult) -> None:
    rows = [
        [r.category.replace("_", " "), r.model, _share_of(r.refused), _share_of(r.over_refused)]
        for r in refusal_rates(suite, result)
    ]
    if rows:
        page.heading("Refusals by category")
        page.paragraph(
            "What the passage does not tell must be refused. Beside it the benign look-alikes: questions in the same words "
            "on the same passages that it does answer."
        )
        page.table(["category", "model", "refused", "look-alikes refused"], rows)


def _share_of(rate: Rate) -> str:
    if not rate.n:
        return "none asked"
    low, high = rate.interval
    return f"{rate} ({low:.2f} to {high:.2f})"


def _flips(page: Page, suite: pa.Table, answers: Mapping[str, pa.Table], result: DeltaResult) -> None:
    items = {row["id"]: row for row in suite.to_pylist()}
    said = {name: dict(zip(t["id"].to_pylist(), t["answer"].to_pylist(), strict=True)) for name, t in answers.items()}
    for title, ids, none in (
        ("Flipped for the worse", result.worse, "No item that the base got right is wrong now."),
        ("Flipped for the better", result.better, "No item that the base got wrong is right now."),
    ):
        page.heading(f"{title} ({len(ids):,})")
        if not ids:
            page.paragraph(none)
            continue
        counts = Counter((items[i]["slice"], items[i]["task"]) for i in ids)
        rows = [[task, slice_.replace("_", " "), n] for (slice_, task), n in sorted(counts.items())]
        page.table(["task", "slice", "items"], rows)
        shown = ids[:SHOWN]
        if len(ids) > len(shown):
            page.paragraph(f"The first {len(shown)} of {len(ids)}; the table of items beside this page names all.")
        page.samples([_sample(items[i], {name: said[name].get(i) for name in result.models}) for i in shown])


def _sample(item: dict[str, str], said: Mapping[str, str | None]) -> Sample:
    messages = json.loads(item["prompt"])
    question = str(messages[-1]["content"]).strip().splitlines()
    line = question[-1].removeprefix("Question: ") if question else ""
    short = line if len(line) <= _READABLE else line[: _READABLE - 1] + "…"
    parts = {str(m["role"]): str(m["content"]) for m in messages}
    parts |= {f"{name}'s answer": "(none)" if text is None else text or "(empty)" for name, text in said.items()}
    return Sample(
        f"{item['task']} · {item['module']}: {short}", {**parts, "reference": item["reference"], "item": item["id"]}
    )


def _how(page: Page, result: DeltaResult, answers: Mapping[str, pa.Table]) -> None:
    page.heading("How this was measured")
    page.paragraph(
        "Every model gets the same prompts in the same batches and decodes greedily. A program scores each answer against the "
        "facts of its item. Differences are paired item by item. Intervals come from bootstrap resamples of whole modules, as "
        "questions about one module are not independent. McNemar's test is exact; its p-values per task are adjusted by Holm. "
        "'Detectable' is the smallest true difference that so many items find with 80% power at the 5% level. "
        "An interval from fewer than about 20 modules is too short to rely on."
    )
    reasons = {name: Counter(table["finish_reason"].to_pylist()) for name, table in answers.items()}
    kinds = sorted({str(kind) for counts in reasons.values() for kind in counts})
    rows = [[name, *(reasons[name][kind] for kind in kinds), result.unscored.get(name, 0)] for name in result.models]
    page.table(["model", *kinds, "not scored"], rows, caption="How answers ended")
