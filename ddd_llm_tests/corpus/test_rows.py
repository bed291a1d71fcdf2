"""Rows collected in Arrow form: cut back, and gathered from several batches."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.corpus.rows import Rows, gather


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=40))
def test_rows_cut_back_are_gone_whatever_was_flushed(steps: list[tuple[int, bool]]) -> None:
    schema = pa.schema([pa.field("n", pa.int64())])
    rows, expected = Rows(schema), []
    for number, (size, cut) in enumerate(steps):
        if cut:
            keep = len(expected) * size // 4
            rows.cut(keep)
            del expected[keep:]
        else:
            rows.append((number,), size * 3_000_000)
            expected.append(number)
        assert len(rows) == len(expected)
    assert rows.table()["n"].to_pylist() == expected


@settings(max_examples=40)
@given(st.lists(st.integers(1, 5), max_size=6), st.data())
def test_rows_are_gathered_as_arrow_takes_them(sizes: list[int], data: st.DataObject) -> None:
    schema = pa.schema([pa.field("n", pa.int64(), nullable=False), pa.field("t", pa.string())])
    total = iter(range(100))
    numbers = [[next(total) for _ in range(size)] for size in sizes]
    batches = [pa.record_batch([pa.array(part), pa.array([f"t{n}" for n in part])], schema=schema) for part in numbers]
    whole = pa.Table.from_batches(batches, schema)
    some = st.lists(st.sampled_from(range(len(whole))), unique=True) if len(whole) else st.just([])
    order: list[int | None] = [*data.draw(some), *data.draw(st.sampled_from([[], [None]]))]
    order = data.draw(st.permutations(order))
    found = gather(list(batches), order, schema)
    assert found.to_pylist() == whole.take(pa.array(order, pa.int64())).to_pylist()
