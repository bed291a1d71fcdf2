"""The loss curve's bytes."""

from __future__ import annotations

import struct

from ddd_llm.training.curve import loss_curve_png

LOSSES = [
    {"step": 0, "loss": None, "validation_loss": 3.0},
    *({"step": i, "loss": 3 - i / 10, "validation_loss": 3 - i / 11 if i % 5 == 0 else None} for i in range(1, 21)),
]


def test_same_losses_same_bytes() -> None:
    picture = loss_curve_png(LOSSES)
    assert picture == loss_curve_png(LOSSES) != loss_curve_png(LOSSES[:-1])
    assert struct.unpack(">II", picture[16:24]) == (960, 540)
    assert b"tEXt" not in picture
    assert b"tIME" not in picture


def test_without_validation() -> None:
    assert loss_curve_png([{"step": 1, "loss": 1.0}]).startswith(b"\x89PNG")
