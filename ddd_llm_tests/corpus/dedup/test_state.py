"""Folding batches against a dictionary."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.corpus.dedup.state import CURRENT, fold

SCHEMA = pa.schema([(name, pa.string()) for name in (*CURRENT, "op") if name != "batch"])

rows = st.lists(
    st.tuples(
        st.sampled_from("st"), st.sampled_from("kl"), st.sampled_from(["add", "update", "delete"]), st.integers(0, 3)
    ),
    max_size=8,
)


def batch(content: list[tuple[str, str, str, int]]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "source": source,
                "locator": locator,
                "op": op,
                "id": None if op == "delete" else f"id{revision}",
                "text": None if op == "delete" else f"text {revision}",
            }
            for source, locator, op, revision in content
        ],
        SCHEMA,
    )


@settings(deadline=None)  # the first call compiles
@given(st.lists(rows, max_size=4))
def test_agrees_with_a_dictionary(batches: list[list[tuple[str, str, str, int]]]) -> None:
    state: dict[tuple[str, str], tuple[str, str]] = {}
    reasons: dict[str, int] = {}
    for number, content in enumerate(batches):
        for source, locator, op, revision in content:
            state.pop((source, locator), None)
            if op != "delete":
                state[source, locator] = (f"b{number}", f"text {revision}")
            else:
                reasons["deletion"] = reasons.get("deletion", 0) + 1
    result = fold((f"b{number}", batch(content)) for number, content in enumerate(batches))

    current = {(row["source"], row["locator"]): (row["batch"], row["text"]) for row in result.current.to_pylist()}
    assert current == state
    assert result.current.num_rows == len(state)
    assert result.current.num_rows + result.decisions.num_rows == sum(map(len, batches))
    decisions = result.decisions.to_pylist()
    assert sum(row["reason"] == "deletion" for row in decisions) == reasons.get("deletion", 0)
    assert all(row["verdict"] == "dropped" and row["kept_id"] is None and row["jaccard"] is None for row in decisions)
    assert all((row["source"], row["locator"]) not in state for row in decisions if row["reason"] == "deleted")
    assert all((row["source"], row["locator"]) in state for row in decisions if row["reason"] == "superseded")


def test_order_is_that_of_batches_and_rows() -> None:
    first = batch([("s", "x", "add", 1), ("s", "y", "add", 1), ("s", "z", "add", 1)])
    second = batch([("s", "y", "update", 2), ("s", "z", "delete", 0)])
    result = fold([("one", first), ("two", second)])
    assert [(row["locator"], row["batch"]) for row in result.current.to_pylist()] == [("x", "one"), ("y", "two")]
    assert [(row["locator"], row["batch"], row["reason"]) for row in result.decisions.to_pylist()] == [
        ("y", "one", "superseded"),
        ("z", "one", "deleted"),
        ("z", "two", "deletion"),
    ]


def test_no_batches() -> None:
    result = fold([])
    assert result.current.column_names == list(CURRENT)
    assert result.current.num_rows == result.decisions.num_rows == 0


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([("b", batch([])), ("b", batch([]))], "two batches"),
        ([("b", batch([("s", "k", "replace", 1)]))], "op is none of"),
        ([("b", batch([]).drop_columns(["text"]))], "no column text"),
        (
            [("b", pa.Table.from_pylist([{"source": "s", "locator": "k", "op": "add", "id": "i"}], SCHEMA))],
            "without id or text",
        ),
        ([("b", pa.Table.from_pylist([{"source": "s", "op": "delete"}], SCHEMA))], "without source or locator"),
    ],
)
def test_bad_batches_are_refused(batches: list[tuple[str, pa.Table]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fold(batches)
