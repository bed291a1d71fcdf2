"""The evaluation suite: which held-out questions every model is asked.

Here belongs the choice of items from the test split and their form (the prompt without its answer). Here does not belong
asking a model (`generate`) or judging an answer (`scoring`).
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from ddd_llm.instructions.selection import REFUSAL_TASKS

OPEN_BOOK = "open_book"
CLOSED_BOOK = "closed_book"

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("task", pa.string()),
        ("slice", pa.string()),
        ("prompt", pa.string()),
        ("reference", pa.string()),
        ("facts", pa.string()),
        ("source_ids", pa.list_(pa.string())),
        ("package", pa.string()),
        ("module", pa.string()),
    ]
)


class SuiteConfig(BaseModel):
    """How many held-out items of each slice are asked, and the seed of the choice."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    open_book_items: int = Field(
        default=200, ge=1, description="items whose prompt carries the passage; the target of the gate"
    )
    closed_book_items: int = Field(default=40, ge=0, description="items without the passage; reported apart")
    seed: int = Field(default=0, ge=0, description="another seed chooses other items")


class SuiteError(ValueError):
    """The instruction dataset cannot give a suite; the message names ids, never text."""


def select_suite(dataset: pa.Table, config: SuiteConfig) -> pa.Table:
    """Choose test items by a stable hash of what they say, shared evenly between the tasks of each slice.

    All refusals together have one task's share, their categories taking turns. Their benign look-alikes come before other items
    of their tasks, so that over-refusal is measured on the same passages. A task with fewer items than its share gives all
    it has and the others give more. The choice does not depend on the order of the rows, and where the corpus grows few items
    change.

    Args:
        dataset: instruction examples; needs `id, task, split, slice, messages, facts, source_ids, package, module`.
        config: sizes and seed.

    Returns:
        A table with `SCHEMA`, ordered by slice (open book first), task, look-alikes first, and hash. `prompt` is a JSON list
        of messages that ends before the assistant's answer, which is `reference`. Fewer rows than asked for when the split
        is small.

    Raises:
        SuiteError: no open-book test item, an id twice, or messages that do not end with an assistant's answer.
    """
    columns = ("id", "task", "split", "slice", "messages", "facts", "source_ids", "package", "module")
    missing = [name for name in columns if name not in dataset.column_names]
    if missing:
        raise SuiteError(f"the instruction dataset has no column {', '.join(missing)}")
    test = [row for row in dataset.select(list(columns)).to_pylist() if row["split"] == "test"]
    ids = [row["id"] for row in test]
    if len(set(ids)) != len(ids):
        raise SuiteError(
            f"an id stands twice in the test split, for example {next(i for i in ids if ids.count(i) > 1)}"
        )
    chosen: list[dict[str, Any]] = []
    for slice_, size in ((OPEN_BOOK, config.open_book_items), (CLOSED_BOOK, config.closed_book_items)):
        tasks = _by_task(test, slice_, config.seed)
        wanted = {key for row in _share(tasks, size) if (key := look_alike(row)) is not None}
        for rows in tasks.values():
            rows.sort(key=lambda row: (row["source_ids"][0], row["task"]) not in wanted)  # stable: else by hash
        chosen += sorted(_share(tasks, size), key=lambda row: row["task"])
    if not chosen or chosen[0]["slice"] != OPEN_BOOK:
        raise SuiteError("the test split holds no open-book item: there is nothing to decide by")
    return pa.Table.from_pylist([_item(row) for row in chosen], schema=SCHEMA)


def look_alike(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """(document, task) of the benign look-alike of an item that must be refused; None of other items."""
    form = json.loads(row["facts"]).get("form") if row["task"] in REFUSAL_TASKS else None
    return (row["source_ids"][0], form) if form else None


def _by_task(rows: list[dict[str, Any]], slice_: str, seed: int) -> dict[str, list[dict[str, Any]]]:
    """Rows of a slice by what shares items: a task, or all refusals."""
    tasks: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (_rank(row["messages"], seed), row["id"])):
        if row["slice"] == slice_:
            tasks[row["task"]].append(row)
    refusals = [tasks.pop(task) for task in REFUSAL_TASKS if task in tasks]
    shared = {task: tasks[task] for task in sorted(tasks)}
    if refusals:
        shared["refusals"] = [row for turn in zip_longest(*refusals) for row in turn if row is not None]
    return shared


def _rank(messages: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\x1f{messages}".encode()).digest()


def _share(tasks: dict[str, list[dict[str, Any]]], size: int) -> list[dict[str, Any]]:
    taken = dict.fromkeys(tasks, 0)
    left = min(size, sum(map(len, tasks.values())))
    while left:
        open_ = [task for task in tasks if taken[task] < len(tasks[task])]
        for task in open_[:left]:
            more = min(max(1, left // len(open_)), len(tasks[task]) - taken[task])
            taken[task] += more
        left = min(size, sum(map(len, tasks.values()))) - sum(taken.values())
    return [row for task, rows in tasks.items() for row in rows[: taken[task]]]


def _item(row: dict[str, Any]) -> dict[str, Any]:
    try:
        messages = json.loads(row["messages"])
        answer = messages[-1]
        if answer["role"] != "assistant" or len(messages) < 2:
            raise ValueError
        reference = str(answer["content"])
    except (ValueError, KeyError, IndexError, TypeError):
        raise SuiteError(f"example {row['id']}: messages are not a prompt followed by an assistant's answer") from None
    prompt = json.dumps(messages[:-1], ensure_ascii=False, separators=(",", ":"))
    return {**{name: row[name] for name in SCHEMA.names if name in row}, "prompt": prompt, "reference": reference}
