"""Groups of documents that share band keys, against a dictionary."""

from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.corpus.dedup.candidates import group


@st.composite
def keys(draw: st.DrawFn, most: int) -> np.ndarray:
    rows = draw(st.integers(0, most))
    few = st.sampled_from([1, 2, 3, 4, 2**63 + 1, 2**63 + 2])
    return np.array([[draw(few) for _ in range(3)] for _ in range(rows)], np.uint64).reshape(rows, 3)


@given(st.lists(keys(4), max_size=3), keys(8), st.integers(1, 3), st.data())
def test_groups_are_those_of_a_dictionary(history: list[np.ndarray], batch: np.ndarray, least: int, data) -> None:
    rows = np.array(
        sorted(data.draw(st.sets(st.integers(0, max(0, len(batch) - 1)))) & set(range(len(batch)))), np.int64
    )
    found = group(history, batch, rows, rows + sum(map(len, history)), least)
    before = sum(map(len, history))
    number = {before + row: batch[row] for row in rows.tolist()} | dict(
        enumerate(row for part in history for row in part)
    )
    expected: dict[tuple[int, int], set[int]] = defaultdict(set)
    for who, bands in number.items():
        for band, key in enumerate(bands.tolist()):
            expected[band, key].add(who)
    wanted = [members for members in expected.values() if len(members) > 1 and max(members) >= before]
    often = Counter(member for members in wanted for member in members)
    taking = sorted(member for member, times in often.items() if times >= least)
    assert found.members.tolist() == taking
    got: dict[int, set[int]] = defaultdict(set)
    for member, (begin, end) in zip(taking, pairwise(found.offsets.tolist()), strict=True):
        ids = found.ids[begin:end].tolist()
        assert ids == sorted(ids)
        for one in ids:
            got[one].add(member)
    assert sorted(map(sorted, got.values())) == sorted(
        sorted(members & set(taking)) for members in wanted if members & set(taking)
    )
    assert sorted(found.sizes.tolist()) == sorted(map(len, wanted))
