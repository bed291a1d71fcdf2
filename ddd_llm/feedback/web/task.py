"""What one annotation page is about, and what each person sees of it in which order.

Belongs here: items and guideline of a page, order, blinding. Does not: answers (`desk`, `forms`) or HTTP (`app`).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import Any, Literal

from ddd_llm.feedback.guidelines import Guideline
from ddd_llm.feedback.labels import Item
from ddd_llm.instructions.prompts import stable_hash
from ddd_llm.platform.inputs import InputError

Shown = Literal["first_second", "second_first"]
MOST_NAME = 100


@dataclass(frozen=True)
class Task:
    """Items to be labelled by one version of one guideline.

    Attributes:
        guideline: its schema says what may be answered, its sections stand beside the items.
        items: gold questions among them; which ones they are never reaches a browser.
        by_id: the items by id.

    Raises:
        InputError: no items, an item twice, or an item of another guideline or kind.
    """

    guideline: Guideline
    items: tuple[Item, ...]
    by_id: dict[str, Item] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        name, kind = self.guideline.name, self.guideline.label_schema.kind
        if not self.items:
            raise InputError(f"no items to label by the guideline {name}")
        if strangers := sum(item.guideline != name or item.kind != kind for item in self.items):
            raise InputError(f"{strangers} items are not of the guideline {name} or not of its kind, {kind}")
        object.__setattr__(self, "by_id", {item.id: item for item in self.items})
        if len(self.by_id) < len(self.items):
            raise InputError(f"{len(self.items) - len(self.by_id)} items stand in the list twice")

    def order(self, annotator: str) -> list[str]:
        """Item ids as this person goes through them: shuffled by a hash, so that gold questions lie anywhere among the others."""
        return sorted(self.by_id, key=lambda item_id: (stable_hash("order", annotator, item_id), item_id))


def shown_order(annotator: str, item_id: str) -> Shown:
    """Which response of a preference this person sees as A: by lot, but the same one at every visit."""
    return "second_first" if stable_hash("shown", annotator, item_id) % 2 else "first_second"


def what_is_shown(item: Item, shown: Shown) -> dict[str, Any]:
    """The parts of an item that a browser may have: no gold, no slice, no sources."""
    responses = item.responses if shown == "first_second" else item.responses[::-1]
    return {"id": item.id, "prompt": item.prompt, "passage": item.passage, "responses": list(responses)}


def annotator_name(text: str) -> str | None:
    """A person's name in one form (NFC, single spaces); None where it cannot be one: empty, too long, not printable."""
    name = " ".join(unicodedata.normalize("NFC", text).split())
    return name if name.isprintable() and 0 < len(name) <= MOST_NAME else None
