"""The page and pictures of reinforcement learning: curves, coloured answers, and where rewards disagree.

Belongs here: what the page says. Does not: the figures (`figures`), nor the look of a page (`platform.report`).
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ddd_llm.platform.report import KeyFigure, Page, Sample
from ddd_llm.platform.step import Step
from ddd_llm.training.rlhf.recipe import RlhfRecipe
from ddd_llm.training.rlhf.trace import coloured, segments_of

_SHOWN = 6
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def report_rlhf(step: Step, output: Path, recipe: RlhfRecipe) -> None:
    """Page and picture of a finished run."""
    metrics = json.loads((output / "metrics.json").read_bytes())
    losses = json.loads((output / "losses.json").read_bytes())
    picture = reward_curve_png(losses)
    step.put_picture("reward", picture)
    page = Page("rlhf_model", "Reinforcement learning with a reward at the end of every segment")
    _figures(page, metrics)
    page.heading("Rewards over the steps")
    page.figure(
        picture,
        "Mean reward per answer, each reward's own sum, the log-ratio to the supervised model, and answers' perplexity under it "
        "with the share of distinct bigrams, over steps",
    )
    page.heading("Answers and what their segments earned")
    page.paragraph(
        "The last rollout. A number stands where a segment ends: the weighted sum of the rewards given there."
    )
    _answers(page, pq.read_table(output / "traces.parquet").to_pylist())
    page.heading("Do the rewards pull the same way?")
    rows = [
        [" and ".join(row["rewards"]), row["segments"], _number(row["correlation"])]
        for row in metrics.get("held_out_conflicts", [])
    ]
    if rows:
        caption = "Correlation, segment by segment, on held-out prompts after training; below zero they compete."
        page.table(["rewards", "segments", "correlation"], rows, caption)
    else:
        page.paragraph("There is one reward only, so nothing competes.")
    page.heading("Held-out prompts before and after")
    held_out = pq.read_table(output / "held_out.parquet").to_pylist()
    page.samples(
        [
            Sample(
                f"reward {r['reward_before']:+.2f} → {r['reward_after']:+.2f}",
                {"before": r["answer_before"], "after": r["answer_after"]},
            )
            for r in held_out[:_SHOWN]
        ]
    )
    page.heading("Rewards of this run")
    page.table(
        ["reward", "source", "weight", "form"],
        [[name, s.source, s.weight, s.form] for name, s in sorted(recipe.rewards.items())],
    )
    step.put_report(page.html())


def reward_curve_png(losses: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw the reward per answer, the sum of each single reward, the log-ratio, and how fluent answers are over steps; a PNG with
    the same bytes for the same figures."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sampled = [row for row in losses if "rollout" in row]
    steps = [row["step"] - 1 for row in sampled]
    figure = Figure(figsize=(8, 6.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    upper, middle, lower = figure.subplots(3, 1, sharex=True, height_ratios=[3, 1, 1])
    upper.plot(steps, [row["rollout"]["reward"] for row in sampled], color="black", linewidth=2, label="all, weighted")
    names = sorted(
        key.removeprefix("reward/") for key in (sampled[0]["rollout"] if sampled else {}) if key.startswith("reward/")
    )
    for name, colour in zip(names, _COLOURS * len(names), strict=False):
        values = [row["rollout"][f"reward/{name}"] for row in sampled]
        upper.plot(steps, values, color=colour, linewidth=1, linestyle="--", label=f"{name}, unweighted")
    upper.set_ylabel("reward per answer")
    upper.legend(frameon=False)
    middle.plot(steps, [row["rollout"]["kl"] for row in sampled], color="#555555")
    middle.set_ylabel("log-ratio, nats")
    lower.plot(steps, [row["rollout"]["perplexity"] for row in sampled], color="#555555", label="perplexity")
    lower.set_ylabel("perplexity")
    distinct = lower.twinx()
    distinct.plot(steps, [row["rollout"]["distinct_2"] for row in sampled], color=_COLOURS[0], linestyle="--")
    distinct.set_ylabel("distinct bigrams", color=_COLOURS[0])
    distinct.set_ylim(0, 1)
    distinct.spines["top"].set_visible(False)
    lower.set_xlabel("optimizer step")
    for axes in (upper, middle, lower):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    sink = io.BytesIO()
    figure.savefig(sink, format="png", metadata={"Software": None})
    return sink.getvalue()


def _figures(page: Page, found: Mapping[str, Any]) -> None:
    if "held_out_gain" not in found:
        page.callout("No prompt was held out, so nothing is known about answers to new ones.", [], passed=False)
        return
    low, high = found["held_out_gain_low"], found["held_out_gain_high"]
    interval = f"{low:+.3f} to {high:+.3f}" if low is not None else "interval undefined"

    def moved(label: str, name: str, digits: int) -> KeyFigure:
        before, after = (f"{found[f'held_out_{name}_{when}']:.{digits}f}" for when in ("before", "after"))
        return KeyFigure(label, after, f"before: {before}")

    page.key_figures(
        [
            moved("reward per answer", "reward", 3),
            KeyFigure("gain", f"{found['held_out_gain']:+.3f}", interval),
            moved("perplexity", "perplexity", 2),
            moved("tokens per answer", "tokens", 0),
            moved("distinct bigrams", "distinct_2", 3),
            *_chosen(found),
            KeyFigure("rollouts", str(found["rollouts"]), f"{found['stopped_early']} stopped early"),
        ]
    )
    page.paragraph(f"On {found['held_out_prompts']} prompts that were never trained on, one sampled answer each.")


def _chosen(found: Mapping[str, Any]) -> list[KeyFigure]:
    if "held_out_best_of" not in found:
        return []
    label = f"best of {found['held_out_best_of']}, no training"
    return [KeyFigure(label, f"{found['held_out_best_of_reward']:.3f}", f"gain {found['held_out_best_of_gain']:+.3f}")]


def _answers(page: Page, rows: Sequence[Mapping[str, Any]]) -> None:
    last = max((row["step"] for row in rows), default=0)
    answers: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["step"] == last:
            answers.setdefault(row["answer"], []).append(row)
    # Of equal answers to one prompt one is enough.
    different = {(rows[0]["prompt_id"], "".join(r["text"] for r in rows)): rows for _, rows in sorted(answers.items())}
    for mine in list(different.values())[:_SHOWN]:
        page.paragraph(
            f"Answer to {mine[0]['prompt_id'][:12]}, {sum(v for r in mine for _, v in r['segment_rewards']):+.2f} in all:"
        )
        page.markup(coloured(segments_of(mine)))


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:+.2f}"
