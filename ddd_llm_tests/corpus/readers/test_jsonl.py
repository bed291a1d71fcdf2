"""Lines and strict JSON against Python's own, on any input."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.corpus.readers.jsonl import split_lines
from ddd_llm.corpus.readers.strict_json import BadRecord, loads

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(st.binary(max_size=40)), st.integers(0, 30))
def test_lines_are_those_of_a_whole_read_whatever_the_blocks(blocks: list[bytes], limit: int) -> None:
    data = b"".join(blocks)
    expected = data.split(b"\n")
    if not expected[-1]:
        expected.pop()
    lines = list(split_lines(blocks, limit))
    assert [line.data for line in lines] == [line if len(line) <= limit else None for line in expected]
    assert [line.size for line in lines] == [len(line) for line in expected]
    assert [line.number for line in lines] == list(range(1, len(expected) + 1))
    for line, text in zip(lines, expected, strict=True):
        assert data[line.offset : line.offset + line.size] == text
        assert line.ended == (data[line.offset + line.size : line.offset + line.size + 1] == b"\n")


@given(json_values)
def test_good_json_is_read_as_python_reads_it(value: object) -> None:
    data = json.dumps(value).encode()
    assert loads(data, 50) == json.loads(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(BadRecord):
        json.dumps(loads(data, 10), allow_nan=False)


@pytest.mark.parametrize("depth", [1, 5, 99])
def test_depth_is_counted_outside_strings_only(depth: int) -> None:
    brackets = json.dumps("[{" * 500)
    inside = "[" * (depth - 1) + brackets + "]" * (depth - 1)
    assert loads(f"[{inside}]".encode(), depth) is not None
    with pytest.raises(BadRecord, match="too_deep"):
        loads(f"[[{inside}]]".encode(), depth)
