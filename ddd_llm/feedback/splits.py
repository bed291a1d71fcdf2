"""Which side of the split feedback falls on, so that no document is both learnt from and measured on.

Belongs here: an item's component and side, and parting rows whose documents are held out elsewhere. Does not: making rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ddd_llm.feedback.labels import Item
from ddd_llm.instructions.build import OWN_TASK
from ddd_llm.instructions.prompts import stable_hash
from ddd_llm.store.canonical import canonical_json, digest


@dataclass(frozen=True)
class Splits:
    """How items are split.

    Attributes:
        held_out_share: of the components.
        components: component of each document that the instruction dataset shows.
        tested: documents that the dataset validates or tests on: what rests on them is never trained on.
    """

    held_out_share: float
    components: Mapping[str, str] = field(default_factory=dict)
    tested: Set[str] = frozenset()

    @classmethod
    def beside(cls, examples: pa.Table, held_out_share: float) -> Splits:
        """Splits that agree with the instruction dataset. Of `examples` task, source_ids, component and split are read."""
        components: dict[str, str] = {}
        tested: set[str] = set()
        for row in examples.select(["task", "source_ids", "component", "split"]).to_pylist():
            if row["task"] == OWN_TASK:  # whose component is its file, and whose documents are never held out
                continue
            components |= dict.fromkeys(row["source_ids"], row["component"])
            if row["split"] != "train":
                tested.update(row["source_ids"])
        return cls(held_out_share, components, frozenset(tested))

    def of(self, item: Item) -> tuple[str, str]:
        """Component and side of an item: that of its documents in the dataset, or else what shows the same documents, or
        without any the same passage and question."""
        known = {self.components[name] for name in item.source_ids if name in self.components}
        own = digest(canonical_json(sorted(item.source_ids) or [item.passage, item.prompt]))[:32]
        component = min(known, default=own)
        tested = not self.tested.isdisjoint(item.source_ids)
        return component, "held_out" if tested else self.side(component)

    def side(self, component: str) -> str:
        """train or held_out, by a stable hash of the component."""
        share = self.held_out_share * 10_000
        return "held_out" if stable_hash("held_out", component) % 10_000 < share else "train"


def part(rows: Iterable[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows that may stay, and train rows whose prompt, or a document of it, is held out by another row.

    Columns prompt, source_ids and split are read.
    """
    listed = list(rows)
    held_out = [row for row in listed if row["split"] == "held_out"]
    prompts = {row["prompt"] for row in held_out}
    documents = {name for row in held_out for name in row["source_ids"]}
    stay: list[dict[str, Any]] = []
    conflict: list[dict[str, Any]] = []
    for row in listed:
        shared = row["prompt"] in prompts or not documents.isdisjoint(row["source_ids"])
        (conflict if row["split"] == "train" and shared else stay).append(row)
    return stay, conflict
