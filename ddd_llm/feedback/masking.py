"""Personal identifiers and secrets out of what people labelled, as out of documents; marked places move with the text.

Belongs here: items, labels and decisions with their texts changed. Does not: what is replaced by what (`corpus.privacy`).

An item's id is a digest of what it shows, so that an item whose text changes has another id, and its labels and decisions follow
it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from ddd_llm.feedback.labels import Item, Label, SpansValue, Value
from ddd_llm.feedback.records import Adjudication, Entry
from ddd_llm.store.canonical import canonical_json

if TYPE_CHECKING:
    from ddd_llm.corpus.privacy.pseudonyms import Replacement  # which loads the recognisers

Placed = tuple[str, str, Entry]
"""File, place in it, entry."""
E = TypeVar("E", bound=Label | Adjudication)


class Masks(Protocol):
    """Replaces identifiers by tokens `<...>`: the changed text, and where in the given one they stood, in order."""

    def apply(self, text: str) -> tuple[str, Sequence[Replacement]]: ...


class _Text:
    """A text after replacement, and where its places went."""

    def __init__(self, text: str, masks: Masks) -> None:
        self.text, replaced = masks.apply(text)
        self.count = len(replaced)
        # Edges of what was replaced, before and after: between two edges a place keeps its distance from the first.
        self._old, self._new = [0], [0]
        for one in replaced:
            begin = self._new[-1] + one.start - self._old[-1]
            self._old += [one.start, one.end]
            self._new += [begin, self.text.index(">", begin) + 1]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where a stretch went; one that begins or ends inside an identifier takes the whole token in."""
        if not 0 <= start < end:
            return start, end  # no stretch: for the rules to refuse
        first = bisect_right(self._old, start) - 1
        inside = first % 2
        begin = self._new[first] if inside else self._new[first] + start - self._old[first]
        last = bisect_left(self._old, end)
        if last < len(self._old) and last % 2 == 0:  # inside, or at its very end
            return begin, self._new[last]
        return begin, self._new[last - 1] + end - self._old[last - 1]


class _View:
    """What an item shows, as it may be used."""

    def __init__(self, item: Item, masks: Masks) -> None:
        self._masks = masks
        self._prompt = _Text(item.prompt, masks)
        self._passage = None if item.passage is None else _Text(item.passage, masks)
        self._responses = [_Text(response, masks) for response in item.responses]
        self.count = sum(text.count for text in (self._prompt, self._passage, *self._responses) if text)
        self.id = self.item(item).id

    def item(self, item: Item) -> Item:
        """The item so shown; gold, slice and sources are its own."""
        known, gold = item.known, item.gold
        if known is not None and (told := self._value(known)) != known:
            gold = canonical_json(told.model_dump(mode="json")).decode()
        changed = {
            "prompt": self._prompt.text,
            "passage": self._passage and self._passage.text,
            "responses": tuple(text.text for text in self._responses),
            "gold": gold,
        }
        return item.model_copy(update=changed)

    def about(self, entry: E) -> E:
        """A label or decision about the item."""
        rationale = entry.rationale and self._masks.apply(entry.rationale)[0]
        changed = {"item_id": self.id, "value": self._value(entry.value), "rationale": rationale}
        return entry.model_copy(update=changed)

    def _value(self, value: Value) -> Value:
        # With its places moved and its own texts changed.
        if not isinstance(value, SpansValue):
            return value
        spans, missing = [], []
        for one in value.spans:
            start, end = self._responses[0].span(one.start, one.end)
            spans.append(one.model_copy(update={"start": start, "end": end, "note": self._masks.apply(one.note)[0]}))
        for one in value.missing:
            where = self._passage.span(*one.where) if self._passage and one.where else one.where
            missing.append(one.model_copy(update={"where": where, "text": self._masks.apply(one.text)[0]}))
        corrected = None if value.corrected is None else self._masks.apply(value.corrected)[0]
        return SpansValue(spans=tuple(spans), missing=tuple(missing), corrected=corrected)


def without_identifiers(entries: Iterable[Placed], masks: Masks) -> tuple[list[Placed], int]:
    """Entries with identifiers in their texts replaced, in order, and how many were replaced in what items show.

    A label of an item that is not among the entries comes back as it was. Texts without identifiers stay as they are.
    """
    entries = list(entries)
    views: dict[str, _View] = {}
    for _, _, entry in entries:
        if isinstance(entry, Item) and entry.id not in views:
            views[entry.id] = _View(entry, masks)
    changed: list[Placed] = []
    for file, place, entry in entries:
        if isinstance(entry, Item):
            entry = views[entry.id].item(entry)
        elif entry.item_id in views:
            entry = views[entry.item_id].about(entry)
        changed.append((file, place, entry))
    return changed, sum(view.count for view in views.values())
