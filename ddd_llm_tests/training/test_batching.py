"""Properties of the batch plan, for any lengths and sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.training.batching import plan_batches


@st.composite
def problems(draw: st.DrawFn) -> dict[str, int | list[int]]:
    size = draw(st.integers(1, 6))
    return {
        "lengths": draw(st.lists(st.integers(1, 500), min_size=size, max_size=60)),
        "batch_size": size,
        "batches": draw(st.integers(0, 60)),
        "seed": draw(st.integers(0, 5)),
        "window": draw(st.integers(1, 8)),
        "group": draw(st.integers(1, 3)),
    }


@given(problems())
@settings(max_examples=150)
def test_every_plan(problem: dict) -> None:
    plan = plan_batches(**problem)
    assert len(plan.batches) == problem["batches"]
    times = [0] * len(problem["lengths"])
    for done, batch in enumerate(plan.batches, start=1):
        assert len(batch) == len(set(batch)) == problem["batch_size"]
        for i in batch:
            times[i] += 1
        assert max(times) - min(times) <= 1, "no example twice more than another"
        assert plan.times_seen(done) == times
        assert plan.tokens(done) == sum(t * n for t, n in zip(times, problem["lengths"], strict=True))
    assert plan == plan_batches(**problem)
    assert 0 <= plan.padding_waste < 1


def test_similar_lengths_share_a_batch() -> None:
    lengths = np.random.default_rng(0).integers(50, 500, 2_000).tolist()
    shuffled = plan_batches(lengths, 8, 250, seed=1, window=1)
    sorted_ = plan_batches(lengths, 8, 250, seed=1, window=16)
    assert sorted_.padding_waste < 0.05 < 0.25 < shuffled.padding_waste


def test_long_batches_do_not_come_in_order() -> None:
    plan = plan_batches(list(range(1, 1_001)), 4, 250, seed=0, window=250)
    tops = [max(plan.lengths[i] for i in batch) for batch in plan.batches]
    assert abs(np.corrcoef(tops, np.arange(250))[0, 1]) < 0.2


def test_another_seed_is_another_order() -> None:
    lengths = list(range(1, 50))
    assert plan_batches(lengths, 4, 10, seed=0).digest != plan_batches(lengths, 4, 10, seed=1).digest


def test_too_few_examples() -> None:
    with pytest.raises(ValueError, match="3 examples do not fill one batch of 4"):
        plan_batches([1, 2, 3], 4, 1, seed=0)
