"""Kernels: what they take and give, and machine code that later processes load without numba."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from ddd_llm.corpus.dedup.jit import count_ones, kernel, read64, trailing_zeros


class Pair(NamedTuple):
    left: Any
    right: Any


@kernel
def _total(values, pair, scale, seed, absent):
    total = 0.0
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            total += values[i, j] * pair.left[j] + pair.right[i]
    if absent is None:
        total += 1000
    return total * scale + np.float64(seed >> np.uint64(60))


@kernel
def _fill(values, begin):
    for i in range(len(values)):
        values[i] = begin + i


@kernel
def _bits(data, index, counts):
    word = read64(data, index)
    counts[0], counts[1] = count_ones(word), trailing_zeros(word)
    return np.int64(word & np.uint64(0xFFFF))


def test_arrays_tuples_and_numbers_go_in_and_numbers_come_out() -> None:
    values = np.arange(6, dtype=np.float64).reshape(2, 3)
    pair = Pair(np.array([1, 2, 3], np.int32), np.array([10, 20], np.uint8))
    expected = (values * pair.left).sum() + 3 * 30
    assert _total(values, pair, 0.5, np.uint64(2**63), None) == (expected + 1000) * 0.5 + 8
    out = np.zeros(4, np.int16)
    assert _fill(out, 7) is None and out.tolist() == [7, 8, 9, 10]
    assert _fill(out[1:3], 0) is None and out.tolist() == [7, 0, 1, 10]


@pytest.mark.parametrize("index", [0, 1, 5])
def test_named_instructions_do_what_their_definitions_say(index: int) -> None:
    data = np.frombuffer(bytes([0, 0, 8, 1, 255, 3, 0, 0, 0, 0, 0, 0, 0, 128]), np.uint8)
    counts = np.zeros(2, np.int64)
    low = _bits(data, index, counts)
    word = read64(data, index)
    assert (low, *counts.tolist()) == (int(word) & 0xFFFF, count_ones(word), trailing_zeros(word))


@pytest.mark.parametrize("wrong", [np.zeros((4, 2), np.int64)[:, 0], "text"])
def test_what_no_kernel_can_take_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="kernels"):
        _fill(wrong, 0)


def test_a_kernel_that_returns_something_else_is_refused(tmp_path: Path) -> None:
    @kernel
    def small(value):
        return np.uint8(value)

    with pytest.raises(TypeError, match="returns uint8"):
        small(1)


def test_kernel_without_a_place_for_its_cache() -> None:
    scope: dict = {}
    source_file = "/nowhere/at/all.py"
    exec(compile("def double(x):\n    return 2 * x", source_file, "exec"), scope)
    assert kernel(scope["double"])(21) == 42


MODULE = """
import sys
from ddd_llm.corpus.dedup.jit import kernel

@kernel
def inner(x):
    return FACTOR * x

@kernel
def outer(x):
    return inner(x) + 1

print(outer(20), "numba" in sys.modules)
"""


def test_machine_code_is_kept_noticed_when_stale_and_made_anew_when_damaged(tmp_path: Path) -> None:
    module, cache = tmp_path / "some_kernels.py", tmp_path / "cache"

    def run(factor: int) -> str:
        module.write_text(MODULE.replace("FACTOR", str(factor)))
        environ = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
        return subprocess.run(
            [sys.executable, str(module)], env=environ, check=True, capture_output=True, text=True
        ).stdout.strip()

    assert run(2) == "41 True"
    assert run(2) == "41 False"
    assert run(3) == "61 True"
    (kept, _) = sorted(cache.iterdir(), key=lambda path: path.stat().st_mtime)
    damaged = bytearray(kept.read_bytes())
    damaged[-100] ^= 1
    kept.write_bytes(bytes(damaged))
    assert run(2) == "41 True"
    assert run(2) == "41 False"
