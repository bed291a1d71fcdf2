"""Coefficients corrected for chance against published tables and literal formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.feedback.agreement.chance import ac1, cohen, fleiss, pairwise_cohen, percent
from ddd_llm.feedback.agreement.ratings import Ratings


def from_table(table: list[list[int]]) -> Ratings:
    """Two annotators' labels that give this confusion table."""
    labels = [(a, b) for a, row in enumerate(table) for b, count in enumerate(row) for _ in range(count)]
    rows = [(f"i{i:04}", name, str(v)) for i, pair in enumerate(labels) for name, v in zip("AB", pair, strict=True)]
    return Ratings.from_rows(rows, [str(i) for i in range(len(table))])


def test_skew_pulls_kappa_down_and_leaves_ac1() -> None:
    """Gwet 2008's case: 118 of 125 agreed on yes, none on no."""
    skewed = from_table([[118, 5], [2, 0]])
    assert percent(skewed) == pytest.approx(0.944)
    assert cohen(skewed, "A", "B").value == pytest.approx(-0.0234, abs=5e-4)
    found = ac1(skewed)
    assert found.value == pytest.approx(0.9408, abs=5e-4)
    assert found.low is not None and found.high is not None
    assert 0.85 < found.low < 0.9408 < found.high < 1


def test_cohen_in_a_textbook_table() -> None:
    """Fleiss, Cohen and Everitt 1969: kappa .429 and its quadratic weighting by the definition."""
    table = [[53, 5, 2], [11, 14, 5], [1, 6, 3]]
    found = cohen(from_table(table), "A", "B")
    counts = np.array(table) / 100
    chance = float(counts.sum(1) @ counts.sum(0))
    assert found.value == pytest.approx((np.trace(counts) - chance) / (1 - chance))
    assert found.value == pytest.approx(0.429, abs=5e-4)
    apart = np.subtract.outer(np.arange(3), np.arange(3)) ** 2
    weighted = 1 - (apart * counts).sum() / (apart * np.outer(counts.sum(1), counts.sum(0))).sum()
    assert cohen(from_table(table), "A", "B", "quadratic").value == pytest.approx(weighted)
    assert found.low is not None and found.high is not None
    assert found.low < 0.429 < found.high


def test_fleiss_published_example() -> None:
    """Fleiss 1971 as commonly reproduced: 10 subjects, 14 raters, 5 categories, kappa .210."""
    counts = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    rows = []
    for item, row in enumerate(counts):
        labels = [str(c) for c, times in enumerate(row) for _ in range(times)]
        rows += [(f"s{item}", f"r{j:02}", value) for j, value in enumerate(labels)]
    assert fleiss(Ratings.from_rows(rows, many_annotators=True)) == pytest.approx(0.210, abs=5e-4)
    assert fleiss(Ratings.from_rows(rows[:-1], many_annotators=True)) is None  # one label fewer on one item


@settings(max_examples=100)
@given(
    st.lists(st.lists(st.sampled_from(["", "x", "y", "z"]), min_size=4, max_size=4), min_size=1, max_size=10).filter(
        lambda units: any(sum(v != "" for v in unit) >= 2 for unit in units)
    )
)
def test_ac1_is_its_formula(units: list[list[str]]) -> None:
    rows = [(f"i{i}", f"a{j}", v) for i, unit in enumerate(units) for j, v in enumerate(unit) if v]
    found = ac1(Ratings.from_rows(rows, ["x", "y", "z"], many_annotators=True), resamples=0).value
    labelled = [[v for v in unit if v] for unit in units if any(unit)]
    agreed = [
        sum(a == b for i, a in enumerate(unit) for j, b in enumerate(unit) if i != j) / (len(unit) * (len(unit) - 1))
        for unit in labelled
        if len(unit) > 1
    ]
    shares = {c: float(np.mean([unit.count(c) / len(unit) for unit in labelled])) for c in "xyz"}
    chance = sum(p * (1 - p) for p in shares.values()) / 2
    assert found == pytest.approx((np.mean(agreed) - chance) / (1 - chance))


def test_annotators_without_common_items_have_no_kappa() -> None:
    rows = [("i1", "A", "x"), ("i2", "B", "y"), ("i1", "C", "y"), ("i2", "C", "y")]
    found = pairwise_cohen(Ratings.from_rows(rows, many_annotators=True))
    assert set(found) == {("A", "C"), ("B", "C")}
    assert found["B", "C"].value is None, "one category only"
