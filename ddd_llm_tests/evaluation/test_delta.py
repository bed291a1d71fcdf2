"""The comparison: counts, pairs, slices kept apart, and what is missing counted."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest

from ddd_llm.evaluation.delta import compare
from ddd_llm_tests.evaluation.helpers import Item, compared, make_answers, make_suite, read_score, strong


def test_summaries_count_facts_refusals_and_over_refusals() -> None:
    items = [
        Item(1.0, 1.0),
        Item(0.0, 1.0, refused=("base",)),
        Item(0.0, 1.0, task="unknown", refusal=True, refused=("tuned",)),
        Item(1.0, 0.0, slice="closed_book"),
    ]
    result = compared(items)
    base, tuned = result.summary("base"), result.summary("tuned")
    assert base is not None
    assert tuned is not None
    assert (base.n, base.correct, base.over_refusals, base.answerable, base.refusals_right) == (3, 1, 1, 2, 0)
    assert (tuned.correct, tuned.over_refusals, tuned.refusals_right, tuned.refusals_expected) == (3, 0, 1, 1)
    assert (base.facts_right, base.facts_expected, base.over_refusal_rate) == (2, 6, 0.5)
    target, closed = result.comparison("base"), result.comparison("base", "closed_book")
    assert target is not None
    assert closed is not None
    assert target.delta.delta == pytest.approx(2 / 3)
    assert (target.only_tuned, target.only_other) == (2, 0)
    assert closed.delta.delta == -1.0
    assert result.better == ("item-1", "item-2")
    assert result.worse == ("item-3",)
    assert (result.retention.n, result.retention.kept) == (1, 1)
    assert result.retention.low < 0.3


def test_tasks_are_compared_each_and_their_p_values_adjusted() -> None:
    result = compared(strong())
    whole = result.comparison("base")
    tasks = [c for c in result.comparisons if c.against == "base" and c.task is not None]
    assert whole is not None
    assert {c.task for c in tasks} == {"parameters", "unknown_parameter"}
    assert sum(c.delta.n for c in tasks) == whole.delta.n == 160
    assert all(c.p_holm >= c.p for c in tasks)
    assert whole.p_holm == whole.p
    assert whole.delta.clusters == 41
    assert result.comparison("champion") is not None


def test_missing_answers_and_scores_that_are_no_number_are_counted_and_left_out() -> None:
    items = [Item(1.0, math.nan), Item(0.0, 1.0), Item(1.0, 1.0)]
    base = make_answers(items, "base").slice(0, 2)
    result = compare(make_suite(items), {"base": base, "tuned": make_answers(items, "tuned")}, read_score, resamples=99)
    assert result.unscored == {"base": 1, "tuned": 1}
    target = result.comparison("base")
    assert target is not None
    assert (target.delta.n, target.delta.delta) == (1, 1.0)
    assert result.items["score"].null_count == 2


def test_an_empty_suite_gives_no_comparison() -> None:
    result = compared([])
    assert result.comparisons == ()
    assert math.isnan(result.retention.share)


def test_answers_that_do_not_belong_are_refused() -> None:
    items = [Item(1.0, 1.0)]
    suite, good = make_suite(items), make_answers(items, "base")
    with pytest.raises(ValueError, match="answers are needed"):
        compare(suite, {"base": good}, read_score)
    with pytest.raises(ValueError, match="answers are needed"):
        compare(suite, {"base": good, "tuned": good, "other": good}, read_score)
    with pytest.raises(ValueError, match="an id twice"):
        compare(suite, {"base": good, "tuned": pa.concat_tables([good, good])}, read_score)
    with pytest.raises(ValueError, match="does not have"):
        compare(suite.slice(0, 0), {"base": good, "tuned": good}, read_score)


def test_the_result_is_the_same_every_time() -> None:
    first, second = compared(strong()), compared(strong())
    assert first.comparisons == second.comparisons
    assert first.items.equals(second.items)
