"""Krippendorff's alpha against the published example, the pairwise definition, and its invariants."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.feedback.agreement.alpha import Level, alpha
from ddd_llm.feedback.agreement.ratings import Ratings, RatingsError

# Krippendorff 2011, example C: four observers, twelve units, gaps.
EXAMPLE = {
    "A": [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    "B": [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    "C": [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    "D": [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
}
LEVELS: tuple[Level, ...] = ("nominal", "ordinal", "interval", "ratio")
Rows = list[tuple[str, str, str]]


def rows_of(table: dict[str, list[int | None]]) -> Rows:
    return [
        (f"u{i:02}", name, str(value))
        for name, row in table.items()
        for i, value in enumerate(row)
        if value is not None
    ]


def by_definition(rows: Rows, level: Level) -> float | None:
    """1 - observed / expected disagreement, pair by pair, as the paper says it in words."""
    units: dict[str, list[int]] = {}
    for item, _, value in rows:
        units.setdefault(item, []).append(int(value))
    units = {item: values for item, values in units.items() if len(values) > 1}
    pooled = [value for values in units.values() for value in values]
    total = len(pooled)

    def apart(a: int, b: int) -> float:
        if level == "nominal":
            return float(a != b)
        if level == "ratio":
            return ((a - b) / (a + b)) ** 2 if a + b else 0.0
        if level == "interval":
            return float((a - b) ** 2)
        low, high = min(a, b), max(a, b)
        between = sum(low <= value <= high for value in pooled)
        return (between - (pooled.count(a) + pooled.count(b)) / 2) ** 2

    observed = sum(
        sum(apart(a, b) for a, b in permutations(values, 2)) / (len(values) - 1) for values in units.values()
    )
    expected = sum(apart(a, b) for a, b in permutations(pooled, 2)) / (total - 1) if total > 1 else 0.0
    return 1 - observed / expected if expected else None


@pytest.mark.parametrize(("level", "published"), zip(LEVELS, (0.743, 0.815, 0.849, 0.797), strict=True))
def test_the_published_example(level: Level, published: float) -> None:
    found = alpha(Ratings.from_rows(rows_of(EXAMPLE)), level)
    assert found.value == pytest.approx(published, abs=5e-4)
    assert (found.items, found.labels) == (11, 40)
    assert found.low is not None and found.high is not None
    assert -1 <= found.low < published < found.high <= 1


tables = st.lists(
    st.lists(st.one_of(st.none(), st.integers(0, 4)), min_size=3, max_size=3), min_size=1, max_size=8
).map(lambda units: {name: [unit[i] for unit in units] for i, name in enumerate("ABC")})


@settings(max_examples=150)
@given(table=tables, level=st.sampled_from(LEVELS))
def test_alpha_is_its_definition(table: dict[str, list[int | None]], level: Level) -> None:
    rows = rows_of(table)
    values = [str(i) for i in range(5)]
    found = alpha(Ratings.from_rows(rows, values, many_annotators=True), level, resamples=0).value
    expected = by_definition(rows, level)
    if expected is None:
        assert found is None
    else:
        assert found == pytest.approx(expected, abs=1e-9)


@settings(max_examples=50)
@given(table=tables, seed=st.integers(0, 99))
def test_order_of_rows_and_names_of_annotators_do_not_matter(table: dict[str, list[int | None]], seed: int) -> None:
    rows = rows_of(table)
    renamed = [(item, {"A": "z", "B": "y", "C": "x"}[name], value) for item, name, value in rows]
    np.random.default_rng(seed).shuffle(renamed)  # type: ignore[arg-type]
    one, two = (alpha(Ratings.from_rows(r, many_annotators=True), resamples=20) for r in (rows, renamed))
    if one.value is None:
        assert two.value is None
    else:
        assert two.value == pytest.approx(one.value, abs=1e-12)
        assert two.low == pytest.approx(one.low, abs=1e-12)


def test_perfect_agreement_is_one_and_a_single_category_is_undefined() -> None:
    agreed = [(f"i{i}", name, str(i % 3)) for i in range(12) for name in "AB"]
    assert alpha(Ratings.from_rows(agreed)).value == 1.0
    same = [(f"i{i}", name, "yes") for i in range(12) for name in "AB"]
    found = alpha(Ratings.from_rows(same, ["yes", "no"]))
    assert (found.value, found.low, found.high, found.items) == (None, None, None, 12)
    assert alpha(Ratings.from_rows([("i", "A", "yes")])).items == 0


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Two annotators who copy a fair coin with probability .8 each have alpha .8 * .8 = .64."""
    random = np.random.default_rng(3)
    covered = 0
    for trial in range(120):
        truth = random.integers(0, 2, 80)
        given_ = [np.where(random.random(80) < 0.8, truth, random.integers(0, 2, 80)) for _ in "AB"]
        rows = [(f"i{i}", name, str(v)) for name, row in zip("AB", given_, strict=True) for i, v in enumerate(row)]
        found = alpha(Ratings.from_rows(rows), resamples=400, seed=trial)
        assert found.low is not None and found.high is not None
        covered += found.low <= 0.64 <= found.high
    assert 0.88 <= covered / 120 <= 1.0


def test_wrong_tables_are_refused_with_the_likely_cause() -> None:
    with pytest.raises(RatingsError, match="look exchanged") as refused:
        Ratings.from_rows([(f"rater{i}", f"item{j}", str(j % 2)) for i in range(3) for j in range(20)])
    assert refused.value.reason == "transposed"
    assert len(Ratings.from_rows([(f"i{i}", f"a{j}", "x") for i in range(3) for j in range(20)], None, True).items) == 3
    with pytest.raises(RatingsError) as twice:
        Ratings.from_rows([("i", "a", "x"), ("i", "a", "x")])
    assert twice.value.reason == "annotator_twice"
    with pytest.raises(RatingsError) as unknown:
        Ratings.from_rows([("i", "a", "z")], ["x", "y"])
    assert unknown.value.reason == "unknown_value"
    with pytest.raises(ValueError):
        alpha(Ratings.from_rows([("i", "a", "x"), ("i", "b", "y")]), "interval")
