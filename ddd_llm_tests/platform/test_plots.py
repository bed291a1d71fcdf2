"""Plots: a small PNG, the same bytes every time, whatever the labels say."""

from __future__ import annotations

import math
import struct
import subprocess
import sys

import pytest

from ddd_llm.platform.plots import Interval, funnel, heatmap, histogram, interval_plot, paired_bars

STAGES = [("raw", 1000, {}), ("kept", 800, {"near_duplicate": 150, "too_short": 30, "a": 9, "b": 7, "c": 4})]
LABELS = ["$\\frac{1}{0}$ <b>&", "x" * 300, "日本\u202e\x1b", "plain_name"]


def _plots() -> list[bytes]:
    rows = [Interval(label, 0.1, -0.1, 0.3, "n = 9", "against base") for label in LABELS]
    return [
        funnel(STAGES, "From raw to kept"),
        funnel([(label, 0, {}) for label in LABELS]),
        paired_bars(LABELS, {"base": [0, 0.5, 1, math.nan], "tuned": [0.2, 1, 1, 1]}, "Scores", "score"),
        interval_plot([*rows, Interval("unknown", math.nan, math.nan, math.nan)], "Delta", "difference"),
        histogram([1.0, 2.0, 2.0, 900.0, math.inf], "Lengths", "characters"),
        histogram([1.0], log_counts=True, limit=0.5),
        heatmap(["a rule", "another"], ["one source", "$x^2$"], [[0.0, 0.25], [1.0, 0.001]], "Dropped"),
        heatmap(["r"], ["s"], [[0.0]]),
    ]


def _chunks(png: bytes) -> list[bytes]:
    kinds, at = [], 8
    while at < len(png):
        size = struct.unpack(">I", png[at : at + 4])[0]
        kinds.append(png[at + 4 : at + 8])
        at += size + 12
    return kinds


def test_pictures_are_small_readable_png_without_software_or_date() -> None:
    for png in _plots():
        assert png.startswith(b"\x89PNG\r\n")
        assert len(png) < 60_000
        width, height = struct.unpack(">II", png[16:24])
        assert width == 760
        assert 150 < height < 900
        assert not {b"tEXt", b"iTXt", b"zTXt", b"tIME"} & set(_chunks(png))


def test_same_numbers_same_bytes_whatever_the_caller_has_set() -> None:
    import matplotlib

    first = _plots()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        assert _plots() == first


@pytest.mark.slow
def test_same_bytes_in_another_process_with_another_hash_seed() -> None:
    code = (
        "import hashlib; from ddd_llm_tests.platform.test_plots import _plots; "
        "print([hashlib.sha256(p).hexdigest() for p in _plots()])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


def test_wrong_use_is_an_error() -> None:
    for call in (
        lambda: funnel([]),
        lambda: funnel([("a", -1, {})]),
        lambda: paired_bars([], {"a": []}),
        lambda: paired_bars(["x"], {"a": [1, 2]}),
        lambda: paired_bars(["x"], {}),
        lambda: interval_plot([]),
        lambda: histogram([math.nan]),
        lambda: heatmap([], [], []),
        lambda: heatmap(["r"], ["s"], [[0.1, 0.2]]),
        lambda: heatmap(["r"], ["s"], [[math.nan]]),
        lambda: heatmap(["r"], ["s"], [[1.5]]),
    ):
        with pytest.raises(ValueError):
            call()
