"""Plots shared by the stages, as small PNG files that a report page or Dagster's UI can inline.

Here belong forms of plot that more than one stage can use and the look they share. Here does not belong what is plotted.

The same numbers give the same bytes (for one matplotlib version): figures are drawn without pyplot's global state, with the
font matplotlib ships, and without software name or date in the file. Colours are from Okabe and Ito's colour-blind-safe
palette ("Color Universal Design", 2008) and never carry the meaning alone. Text is data: no `$...$` is read as a formula.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#9AA3AD"
INK, SOFT, LINE = "#22272E", "#5B6570", "#DDE2E7"
_WIDTH = 7.6
_DPI = 100
_LONGEST_LABEL = 44

_LOOK = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "axes.titlepad": 12,
    "axes.axisbelow": True,
    "xtick.color": SOFT,
    "ytick.color": INK,
    "xtick.labelcolor": SOFT,
    "text.color": INK,
    "axes.formatter.use_mathtext": False,
    "text.parse_math": False,
    "grid.color": LINE,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Interval:
    """One row of an interval plot: a value with its interval; `group` rows of one group share a colour and a legend entry."""

    label: str
    value: float
    low: float
    high: float
    note: str = ""
    group: str = ""


def funnel(stages: Sequence[tuple[str, int, Mapping[str, int]]], title: str = "", unit: str = "documents") -> bytes:
    """Horizontal bars, one per stage: what it kept, what it dropped beside it, and the commonest reasons beneath.

    Args:
        stages: (label, kept, {reason: dropped}) in pipeline order.
        title: heading of the plot.
        unit: what is counted.

    Returns:
        A PNG.

    Raises:
        ValueError: no stage, or a negative count.
    """
    if not stages or any(kept < 0 or any(n < 0 for n in reasons.values()) for _, kept, reasons in stages):
        raise ValueError("a funnel needs at least one stage and no negative counts")
    totals = [kept + sum(reasons.values()) for _, kept, reasons in stages]
    with _axes(1.0 + 0.72 * len(stages), title) as (figure, axes):
        for row, (_, kept, reasons) in enumerate(stages):
            dropped = sum(reasons.values())
            axes.barh(row, kept, height=0.46, color=BLUE)
            axes.barh(row, dropped, left=kept, height=0.46, color=ORANGE, hatch="////", edgecolor="white", linewidth=0)
            text = f" {kept:,} kept" + (f", {dropped:,} dropped" if dropped else "")
            axes.text(kept + dropped, row, text, va="center", ha="left", fontsize=9.5)
            if dropped:
                axes.text(0, row + 0.38, _commonest(reasons), va="center", ha="left", fontsize=8.5, color=SOFT)
        _rows(axes, [label for label, _, _ in stages])
        axes.set_xlim(0, max(1, *totals) * 1.5)
        axes.set_ylim(len(stages) - 0.4, -0.6)
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
        axes.set_xticks([t for t in axes.get_xticks() if t <= max(1, *totals)])
        axes.set_xlabel(unit, loc="left")
        return _png(figure)


def paired_bars(
    labels: Sequence[str],
    series: Mapping[str, Sequence[float]],
    title: str = "",
    axis: str = "",
    limit: float | None = 1.0,
) -> bytes:
    """Horizontal bars side by side: one row per label, one bar per series, the value at its end.

    Args:
        labels: the rows.
        series: for each series one value per label; NaN draws no bar and says so.
        title: heading of the plot.
        axis: what is measured.
        limit: right end of the axis; None fits the data.

    Returns:
        A PNG.

    Raises:
        ValueError: no row, no series, more than four series, or a series of another length.
    """
    if not labels or not 0 < len(series) <= 4 or any(len(values) != len(labels) for values in series.values()):
        raise ValueError("paired bars need one to four series with one value per label")
    thick = 0.8 / len(series)
    with _axes(1.25 + len(labels) * (0.2 + 0.24 * len(series)), title) as (figure, axes):
        colours = (GREY, BLUE, GREEN, ORANGE)
        for place, (name, values) in enumerate(series.items()):
            rows = [row - 0.4 + thick * (place + 0.5) for row in range(len(labels))]
            finite = [value if math.isfinite(value) else 0.0 for value in values]
            axes.barh(rows, finite, height=thick * 0.9, color=colours[place], label=name)
            for row, value in zip(rows, values, strict=True):
                text = f" {value:.2f}" if math.isfinite(value) else " not known"
                axes.text(max(value, 0.0) if math.isfinite(value) else 0.0, row, text, va="center", fontsize=8.5)
        _rows(axes, labels)
        axes.set_ylim(len(labels) - 0.45, -0.55)
        if limit is not None:
            axes.set_xlim(0, limit * 1.08)
        axes.set_xlabel(axis, loc="left")
        _legend(axes, len(series))
        return _png(figure)


def interval_plot(rows: Sequence[Interval], title: str = "", axis: str = "", reference: float = 0.0) -> bytes:
    """A forest plot: per row a point and its interval, and a line at the reference value.

    An interval that does not cover the reference is drawn with a filled point, one that does with a hollow point.

    Returns:
        A PNG.

    Raises:
        ValueError: no row.
    """
    if not rows:
        raise ValueError("an interval plot needs at least one row")
    groups = list(dict.fromkeys(row.group for row in rows))
    with _axes(1.25 + 0.36 * len(rows), title) as (figure, axes):
        axes.axvline(reference, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
        for place, row in enumerate(rows):
            colour = (BLUE, ORANGE, GREEN, GREY)[groups.index(row.group) % 4]
            marker = "oDs^"[groups.index(row.group) % 4]
            if not all(map(math.isfinite, (row.value, row.low, row.high))):
                axes.text(reference, place, "  not known", va="center", fontsize=8.5, color=SOFT)
                continue
            clear = row.low > reference or row.high < reference
            axes.hlines(place, row.low, row.high, color=colour, linewidth=2.2)
            axes.plot(
                row.value, place, marker, color=colour, markerfacecolor=colour if clear else "white", markersize=7.5
            )
        for group in groups:
            if group:
                first = groups.index(group)
                axes.plot([], [], "oDs^"[first % 4], color=(BLUE, ORANGE, GREEN, GREY)[first % 4], label=group)
        _rows(axes, [row.label for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(axis="x")
        axes.set_xlabel(axis, loc="left")
        notes = axes.secondary_yaxis("right")
        notes.set_yticks(range(len(rows)), [row.note for row in rows], fontsize=8.5, color=SOFT)
        notes.tick_params(length=0)
        notes.spines["right"].set_visible(False)
        if any(groups):
            _legend(axes, len(groups))
        return _png(figure)


def histogram(
    values: Sequence[float], title: str = "", axis: str = "", log_counts: bool = False, limit: float | None = None
) -> bytes:
    """How values spread, with the median marked, and a limit if given; what is not finite is left out and counted above.

    Returns:
        A PNG.

    Raises:
        ValueError: no finite value.
    """
    given = np.asarray(values, dtype=np.float64)
    finite = given[np.isfinite(given)]
    if finite.size == 0:
        raise ValueError("a histogram needs at least one finite value")
    with _axes(3.0, title) as (figure, axes):
        axes.hist(finite, bins=40, color=BLUE, edgecolor="white", linewidth=0.6, log=log_counts)
        middle = float(np.median(finite))
        axes.axvline(middle, color=ORANGE, linewidth=2)
        if limit is not None:
            axes.axvline(limit, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
        left_out = f", {given.size - finite.size:,} not finite" if given.size > finite.size else ""
        text = f"n = {finite.size:,}{left_out}, median {middle:,.4g}"
        axes.text(1, 1.02, text, transform=axes.transAxes, ha="right", va="bottom", fontsize=9, color=SOFT)
        axes.grid(axis="y")
        axes.tick_params(axis="y", labelcolor=SOFT)
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.4g}" if abs(x) < 1000 else f"{x:,.0f}")
        axes.yaxis.set_major_formatter(lambda y, _: f"{y:,.0f}")
        axes.set_xlabel(axis, loc="left")
        return _png(figure)


def heatmap(rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float]], title: str = "") -> bytes:
    """A PNG of shares from 0 (white, nothing printed) to the largest of them (dark), each printed as a percentage.

    Raises:
        ValueError: no row or column, another number of values than cells, or a value that is no share.
    """
    cells = np.asarray(values, np.float64)
    if not cells.size or cells.shape != (len(rows), len(columns)) or not ((cells >= 0) & (cells <= 1)).all():
        raise ValueError("a heatmap needs one share between 0 and 1 per row and column")
    top = float(cells.max()) or 1.0
    with _axes(1.6 + 0.32 * len(rows), title) as (figure, axes):
        axes.imshow(cells, cmap="Blues", vmin=0, vmax=1.25 * top, aspect="auto")
        for row, column in np.argwhere(cells > 0):
            ink = "white" if cells[row, column] > 0.75 * top else INK
            axes.text(column, row, f"{cells[row, column]:.1%}", ha="center", va="center", fontsize=7.5, color=ink)
        _rows(axes, rows)
        names = [_short(name, 18) for name in columns]
        axes.set_xticks(range(len(columns)), names, rotation=40, ha="right", fontsize=8.5)
        return _png(figure)


@contextmanager
def _axes(height: float, title: str) -> Iterator[tuple[Figure, Axes]]:
    from matplotlib import style
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with style.context(["default", _LOOK]):
        figure = Figure(
            figsize=(_WIDTH, height), dpi=_DPI, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.07), facecolor="white"
        )
        axes = figure.add_subplot()
        if title:
            figure.suptitle(title, x=0.012, ha="left", fontsize=12, fontweight="bold", color=INK)
        yield figure, axes


def _rows(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), [_short(label) for label in labels])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _legend(axes: Axes, columns: int) -> None:
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=min(columns, 3),  # more are cut off beside long row labels
        fontsize=9,
        borderaxespad=0.2,
        handlelength=1.2,
    )


def _commonest(reasons: Mapping[str, int]) -> str:
    ranked = sorted(((n, reason) for reason, n in reasons.items() if n), key=lambda pair: (-pair[0], pair[1]))
    shown = [f"{_short(reason, 26)} {n:,}" for n, reason in ranked[:3]]
    rest = sum(n for n, _ in ranked[3:])
    return ", ".join(shown) + (f", other {rest:,}" if rest else "")


def _short(text: str, longest: int = _LONGEST_LABEL) -> str:
    flat = " ".join(str(text).replace("_", " ").split())
    shown = "".join(c if c.isprintable() else "\ufffd" for c in flat)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _png(figure: Figure) -> bytes:
    """The figure as PNG with a palette of 128 colours, a third of the size and no difference to the eye."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    file = io.BytesIO()
    drawn.quantize(128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        file, format="PNG", optimize=True
    )
    return file.getvalue()
