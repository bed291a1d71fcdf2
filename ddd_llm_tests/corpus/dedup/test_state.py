"""Folding batches against a dictionary."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.corpus.dedup.state import fold

SCHEMA = pa.schema([(name, pa.string()) for name in ("source", "locator", "op", "id")])

rows = st.lists(
    st.tuples(
        st.sampled_from("st"), st.sampled_from("kl"), st.sampled_from(["add", "update", "delete"]), st.integers(0, 3)
    ),
    max_size=8,
)


def batch(content: list[tuple[str, str, str, int]]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {"source": source, "locator": locator, "op": op, "id": f"id{revision}"}
            for source, locator, op, revision in content
        ],
        SCHEMA,
    )


@given(st.lists(rows, max_size=4))
def test_agrees_with_a_dictionary(batches: list[list[tuple[str, str, str, int]]]) -> None:
    state: dict[tuple[str, str], tuple[int, int]] = {}
    for number, content in enumerate(batches):
        for row, (source, locator, op, _) in enumerate(content):
            state.pop((source, locator), None)
            if op != "delete":
                state[source, locator] = (number, row)
    found = fold([batch(content) for content in batches])

    assert [len(why) for why in found] == [len(content) for content in batches]
    current = {
        (number, row) for number, why in enumerate(found) for row, one in enumerate(why.to_pylist()) if one is None
    }
    assert current == set(state.values())
    for content, why in zip(batches, found, strict=True):
        for (source, locator, op, _), one in zip(content, why.to_pylist(), strict=True):
            if op == "delete":
                assert one == "deletion"
            elif one is not None:
                assert one == ("superseded" if (source, locator) in state else "deleted")


def test_no_batches() -> None:
    assert fold([]) == []


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([batch([("s", "k", "replace", 1)])], "op is none of"),
        ([batch([]).drop_columns(["op"])], "no column op"),
        ([pa.Table.from_pylist([{"source": "s", "op": "delete"}], SCHEMA)], "without source or locator"),
    ],
)
def test_bad_batches_are_refused(batches: list[pa.Table], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fold(batches)
