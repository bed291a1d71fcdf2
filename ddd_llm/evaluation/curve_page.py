"""Summary, picture and page of a learning curve.

Belongs here: what the page says. Does not: the figures (`learning_curve`), nor the look of a page (`platform.report`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from ddd_llm.evaluation.learning_curve import Gain, nats_by_size
from ddd_llm.evaluation.publish import json_number
from ddd_llm.platform.report import KeyFigure, Page
from ddd_llm.platform.step import Step
from ddd_llm.training.curve import line_figure, line_png


def report_curve(step: Step, found: pa.Table, steps: Sequence[Gain]) -> None:
    """Put figures, picture and page into the record."""
    means = mean_by_size(found)
    step.summary |= {
        "held_out_examples": len(set(found["id"].to_pylist())),
        "nats_by_examples": {str(size): json_number(mean) for size, mean in means.items()},
        "gains": [
            {
                "from": one.before,
                "to": one.after,
                "gain": json_number(one.gain.delta),
                "low": json_number(one.gain.low),
                "high": json_number(one.gain.high),
                "per_doubling": None if one.per_doubling is None else json_number(one.per_doubling[0]),
            }
            for one in steps
        ],
    }
    page = Page("learning_curve", "Whether more examples would help")
    page.key_figures(
        [
            KeyFigure(f"{size:,} examples" if size else "base", f"{mean:.3f}", "nats per token, held out")
            for size, mean in means.items()
        ]
    )
    page.paragraph(
        "Each model but the last is trained anew on a part of what the supervised model was trained on; smaller parts lie within "
        "larger ones, and steps shrink with the examples. All are measured on the same held-out answers."
    )
    if len(means) > 2:
        picture = curve_picture(means)
        step.put_picture("curve", picture)
        page.figure(picture, "Held-out loss by number of examples", "The base is the dashed line.")
    page.heading("What each step gained")
    page.table(
        ["from", "to", "gain, nats per token", "95%", "per doubling", "95%"],
        [
            [
                one.before or "base",
                one.after,
                f"{one.gain.delta:+.3f}",
                f"{one.gain.low:+.3f} to {one.gain.high:+.3f}",
                *(_doubling(one)),
            ]
            for one in steps
        ],
        "Less loss is a gain; paired over examples, bootstrap over components.",
    )
    last = steps[-1] if steps else None
    if last is not None and last.per_doubling is not None:
        page.paragraph(
            f"If it goes on like the last step, twice as many take another {last.per_doubling[0]:.3f} nats per token off "
            f"({last.per_doubling[1]:+.3f} to {last.per_doubling[2]:+.3f}). Curves bend: that is the most to hope for."
        )
    step.put_report(page.html())


def mean_by_size(found: pa.Table) -> dict[int, float]:
    """Mean loss per number of examples, in order."""
    return {size: sum(values) / len(values) for size, values in nats_by_size(found).items()}


def curve_picture(means: Mapping[int, float]) -> bytes:
    """Loss over examples, both logarithmic where they can be; a PNG of 960 x 540 pixels."""
    figure, axes = line_figure()
    sizes = [size for size in means if size]
    if 0 in means:
        axes.axhline(means[0], color="#888888", linestyle="--", linewidth=1.2, label="base")
    axes.plot(sizes, [means[size] for size in sizes], color="#1f5fa8", marker="o", linewidth=2, label="trained")
    for size in sizes:
        axes.annotate(f"{means[size]:.3f}", (size, means[size]), textcoords="offset points", xytext=(0, 9), ha="center")
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.set_ylim(bottom=0, top=1.15 * max(means.values()))
    axes.set_xlabel("examples trained on")
    axes.set_ylabel("held-out loss (nats per answer token)")
    return line_png(figure, axes)


def _doubling(one: Gain) -> tuple[str, str]:
    if one.per_doubling is None:
        return "–", "–"
    value, low, high = one.per_doubling
    return f"{value:+.3f}", f"{low:+.3f} to {high:+.3f}"
