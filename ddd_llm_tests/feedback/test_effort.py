"""Time of labels by kind, spread over what they settled; and what a second person saw."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.feedback.effort import efforts, validated_share
from ddd_llm_tests.feedback.samples import item, label


def settled(kind: str, people: list[str], by: str = "agreement") -> dict[str, object]:
    return {"kind": kind, "annotators": people, "by": by}


def test_unsettled_and_untimed_labels_are_paid_for_too() -> None:
    one, other = item(), item(prompt="another?")
    made = [label(one, "ada", seconds=10), label(one, "bob", seconds=20), label(other, "ada", seconds=None)]
    kind = made[0].kind
    (found,) = efforts(made, [settled(kind, ["ada", "bob"])])
    assert (found.kind, found.labels, found.timed, found.settled) == (kind, 3, 2, 1)
    assert found.median_seconds == 15 and found.per_settled == 45
    (nothing,) = efforts([label(other, seconds=None)], [settled(kind, ["ada"])])
    assert nothing.median_seconds is None and nothing.per_settled is None
    assert efforts(made, [])[0].per_settled is None and efforts([], []) == []


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=12), st.integers(1, 5))
def test_time_is_conserved(seconds: list[float], count: int) -> None:
    one = item()
    made = [label(one, f"p{i}", seconds=value) for i, value in enumerate(seconds)]
    (found,) = efforts(made, [settled(made[0].kind, ["x"])] * count)
    assert found.per_settled is not None
    assert found.per_settled * count == pytest.approx(sum(seconds))


def test_a_second_person_is_another_annotator_or_an_adjudicator() -> None:
    rows = [
        settled("preference", ["ada"]),
        settled("preference", ["ada", "ada"]),
        settled("spans", ["ada", "bob"]),
        settled("spans", ["ada"], by="adjudicator"),
    ]
    assert validated_share(rows) == 0.5
    assert validated_share([]) is None
