"""Which held-out items are asked: stable, shared between tasks, never from the training split."""

from __future__ import annotations

import json
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.evaluation.suite import SCHEMA, SuiteConfig, SuiteError, select_suite


def _messages(name: str) -> str:
    return json.dumps([{"role": "user", "content": f"Was ist é in {name}?"}, {"role": "assistant", "content": "This."}])


def _dataset(rows: list[tuple[str, str, str, str]]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "id": id_,
                "task": task,
                "split": split,
                "slice": slice_,
                "messages": _messages(id_),
                "facts": "{}",
                "source_ids": ["d"],
                "package": "p",
                "module": "p.m",
                "component": "c",
            }
            for id_, task, split, slice_ in rows
        ]
    )


def _many(n: int, task: str = "a", slice_: str = "open_book", split: str = "test") -> list[tuple[str, str, str, str]]:
    return [(f"{slice_}-{split}-{task}-{i}", task, split, slice_) for i in range(n)]


def test_prompt_ends_before_the_answer() -> None:
    suite = select_suite(_dataset(_many(1)), SuiteConfig())
    assert suite.schema == SCHEMA
    [row] = suite.to_pylist()
    assert json.loads(row["prompt"]) == [{"role": "user", "content": "Was ist é in open_book-test-a-0?"}]
    assert row["reference"] == "This."


def test_tasks_share_evenly_and_a_small_task_gives_what_it_has() -> None:
    rows = (
        _many(100, "a")
        + _many(100, "b")
        + _many(7, "c")
        + _many(50, "a", "closed_book")
        + _many(50, "a", split="train")
    )
    suite = select_suite(_dataset(rows), SuiteConfig(open_book_items=61, closed_book_items=10))
    counts = Counter(zip(suite["slice"].to_pylist(), suite["task"].to_pylist(), strict=True))
    assert counts == {("open_book", "a"): 27, ("open_book", "b"): 27, ("open_book", "c"): 7, ("closed_book", "a"): 10}
    assert all("-test-" in i for i in suite["id"].to_pylist())


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.integers(0, 999), st.sampled_from("abcd"), st.sampled_from(["open_book", "closed_book"])),
        unique_by=lambda r: r[0],
        min_size=1,
    ),
    st.integers(1, 40),
    st.integers(0, 20),
    st.randoms(use_true_random=False),
)
def test_choice_is_exact_in_size_and_blind_to_order(rows, open_book, closed_book, shuffler) -> None:  # type: ignore[no-untyped-def]
    listed = [(str(i), task, "test", slice_) for i, task, slice_ in rows]
    config = SuiteConfig(open_book_items=open_book, closed_book_items=closed_book)
    if not any(row[3] == "open_book" for row in listed):
        with pytest.raises(SuiteError, match="no open-book"):
            select_suite(_dataset(listed), config)
        return
    suite = select_suite(_dataset(listed), config)
    counts = Counter(suite["slice"].to_pylist())
    assert counts["open_book"] == min(open_book, sum(row[3] == "open_book" for row in listed))
    assert counts["closed_book"] == min(closed_book, sum(row[3] == "closed_book" for row in listed))
    shuffler.shuffle(listed)
    assert select_suite(_dataset(listed), config).equals(suite)


def test_another_seed_chooses_others() -> None:
    data = _dataset(_many(200))
    first, second = (select_suite(data, SuiteConfig(open_book_items=20, seed=s))["id"].to_pylist() for s in (0, 1))
    assert set(first) != set(second)


def test_what_cannot_be_a_suite_is_refused_without_its_text() -> None:
    with pytest.raises(SuiteError, match="twice"):
        select_suite(_dataset(_many(1) * 2), SuiteConfig())
    with pytest.raises(SuiteError, match="no column"):
        select_suite(_dataset(_many(1)).drop_columns(["facts"]), SuiteConfig())
    for broken in ("[]", "not json secret", '[{"role":"user","content":"secret"}]', '{"a": 1}', "null"):
        data = _dataset(_many(1))
        data = data.set_column(data.column_names.index("messages"), "messages", pa.array([broken]))
        with pytest.raises(SuiteError, match="not a prompt followed by") as raised:
            select_suite(data, SuiteConfig())
        assert "secret" not in str(raised.value)


def test_refusals_share_as_one_task_and_their_categories_take_turns() -> None:
    rows = _many(30, "a") + _many(30, "b") + _many(30, "unknown_object") + _many(30, "unknown_parameter")
    suite = select_suite(_dataset([*rows, *_many(2, "undescribed_parameter")]), SuiteConfig(open_book_items=24))
    assert Counter(suite["task"].to_pylist()) == {
        "a": 8, "b": 8, "unknown_object": 3, "unknown_parameter": 3, "undescribed_parameter": 2,
    }  # fmt: skip
    assert suite["task"].to_pylist() == sorted(suite["task"].to_pylist())
