"""The best of several answers: highest weighted sum, first of equals, whole groups only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.training.rlhf.recipe import RlhfRecipe
from ddd_llm.training.rlhf.rerank import best_of, taken
from ddd_llm.training.rlhf.rewards import Scored, Scores, totals

RECIPE = RlhfRecipe.model_validate(
    {"rewards": {"names": {"source": "listing", "weight": 2.0}, "short": {"source": "brevity", "weight": -1.0}}}
)


def scores(values: list[tuple[int, int]]) -> Scores:
    rows = [[[Scored(0, float(v), 0, 1)] for v in column] for column in zip(*values, strict=True)]
    return dict(zip(("names", "short"), rows, strict=True))


@given(
    st.integers(1, 4).flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.lists(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=n, max_size=n), min_size=1),
        )
    )
)
def test_the_chosen_answer_is_the_first_of_the_best(given: tuple[int, list[list[tuple[int, int]]]]) -> None:
    samples, groups = given
    flat = scores([one for group in groups for one in group])
    places = best_of(flat, RECIPE, samples)
    sums = [[2.0 * a - b for a, b in group] for group in groups]
    assert [place - samples * g for g, place in enumerate(places)] == [row.index(max(row)) for row in sums]
    assert totals(taken(flat, places), RECIPE) == [max(row) for row in sums]


def test_half_a_group_is_refused() -> None:
    with pytest.raises(ValueError, match="3 answers are no whole number of groups of 2"):
        best_of(scores([(1, 1), (0, 0), (1, 0)]), RECIPE, 2)
