"""The loss curve as a picture with the same bytes for the same losses.

Belongs here: drawing. Does not: where losses come from (`worker`) or where the picture goes.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def loss_curve_png(losses: Sequence[Mapping[str, Any]], unit: str = "nats per response token") -> bytes:
    """Draw training and validation loss over steps.

    Args:
        losses: rows of losses.json: `step` and `loss` (nats per token; None at step 0), `validation_loss` where it
            was measured.
        unit: of the loss, for the axis.

    Returns:
        A PNG of 960 x 540 pixels, without time or software in its metadata.
    """
    train = [(row["step"], row["loss"]) for row in losses if row.get("loss") is not None]
    held_out = [(row["step"], row["validation_loss"]) for row in losses if row.get("validation_loss") is not None]
    figure, axes = line_figure()
    axes.plot([s for s, _ in train], [v for _, v in train], color="#9db8d9", linewidth=1, label="training, each step")
    smooth = _moving_mean([v for _, v in train])
    axes.plot([s for s, _ in train], smooth, color="#1f5fa8", linewidth=2, label="training, mean of 10 steps")
    if held_out:
        axes.plot(*zip(*held_out, strict=True), color="#c4501b", marker="o", linewidth=1.5, label="validation")
    axes.set_xlabel("step")
    axes.set_ylabel(f"loss ({unit})")
    axes.set_ylim(bottom=0)
    return line_png(figure, axes)


def line_figure() -> tuple[Figure, Axes]:
    """An empty figure of 960 x 540 pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def line_png(figure: Figure, axes: Axes) -> bytes:
    """The finished figure with grid and legend, without time or software in its metadata."""
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    sink = io.BytesIO()
    figure.savefig(sink, format="png", metadata={"Software": None})
    return sink.getvalue()


def _moving_mean(values: Sequence[float], width: int = 10) -> list[float]:
    """Mean of up to the last `width` values at each place."""
    return [sum(part) / len(part) for part in (values[max(0, i + 1 - width) : i + 1] for i in range(len(values)))]
