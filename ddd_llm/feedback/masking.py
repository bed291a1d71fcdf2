"""Personal identifiers and secrets out of what people labelled, as out of documents; marked places move with the text.

Belongs here: items, labels and decisions with their texts changed. Does not: what is replaced by what (`corpus.privacy`).

An item's id is a digest of what it shows, so that an item whose text changes has another id, and its labels and decisions follow
it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol, TypeVar

from ddd_llm.feedback.labels import Item, Label, Span, SpansValue, Value
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
        self._prompt = _Text(item.prompt, masks)
        self.passage = None if item.passage is None else _Text(item.passage, masks)
        self.responses = [_Text(response, masks) for response in item.responses]
        self.count = sum(text.count for text in (self._prompt, self.passage, *self.responses) if text)
        self._masks = masks
        self.id = self.item(item).id

    def item(self, item: Item) -> Item:
        """The item so shown; gold, slice and sources are its own."""
        known, gold = item.known, item.gold
        if known is not None and (told := _value(known, self._masks, self)) != known:
            gold = canonical_json(told.model_dump(mode="json")).decode()
        changed = {
            "prompt": self._prompt.text,
            "passage": self.passage and self.passage.text,
            "responses": tuple(text.text for text in self.responses),
            "gold": gold,
        }
        return item.model_copy(update=changed)


def without_identifiers(entries: Iterable[Placed], masks: Masks) -> tuple[list[Placed], int]:
    """Entries with identifiers in their texts replaced, in order, and how many were replaced in what items show.

    Places that a label marks move with the text of its item, where that is among the entries.
    """
    entries = list(entries)
    views: dict[str, _View] = {}
    for _, _, entry in entries:
        if isinstance(entry, Item) and entry.id not in views:
            views[entry.id] = _View(entry, masks)
    changed: list[Placed] = []
    for file, place, entry in entries:
        if isinstance(entry, Item):
            changed.append((file, place, views[entry.id].item(entry)))
        else:
            changed.append((file, place, _about(entry, masks, views.get(entry.item_id))))
    return changed, sum(view.count for view in views.values())


def masked_items(items: Iterable[Item], masks: Masks) -> list[Item]:
    """Items with identifiers in their texts replaced, each once."""
    found = (_View(item, masks).item(item) for item in items)
    return list({item.id: item for item in found}.values())


def _about(entry: E, masks: Masks, view: _View | None) -> E:
    rationale = entry.rationale and masks.apply(entry.rationale)[0]
    changed = {"value": _value(entry.value, masks, view), "rationale": rationale}
    return entry.model_copy(update=changed if view is None else {**changed, "item_id": view.id})


def _value(value: Value, masks: Masks, view: _View | None) -> Value:
    # With its places moved and its own texts changed.
    if not isinstance(value, SpansValue):
        return value
    spans, missing = [], []
    for one in value.spans:
        start, end = view.responses[0].span(one.start, one.end) if view else (one.start, one.end)
        spans.append(one.model_copy(update={"start": start, "end": end, "note": masks.apply(one.note)[0]}))
    for one in value.missing:
        where = view.passage.span(*one.where) if view and view.passage and one.where else one.where
        missing.append(one.model_copy(update={"where": where, "text": masks.apply(one.text)[0]}))
    if not _overlap(value.spans):
        spans = _joined(spans)
    corrected = None if value.corrected is None else masks.apply(value.corrected)[0]
    return SpansValue(spans=tuple(spans), missing=tuple(missing), corrected=corrected)


def _overlap(spans: Sequence[Span]) -> bool:
    ordered = sorted(spans, key=lambda span: (span.type, span.start))
    return any(one.type == two.type and two.start < one.end for one, two in pairwise(ordered))


def _joined(spans: Sequence[Span]) -> list[Span]:
    # Those that marked parts of one identifier mark all of its token now: they are one, at the first one's place.
    found: list[Span] = []
    for one in spans:
        same = [other for other in found if one.type == other.type and one.start < other.end and other.start < one.end]
        if not same:
            found.append(one)
            continue
        all_ = [*same, one]
        notes = "; ".join(dict.fromkeys(span.note for span in all_ if span.note))
        wide = {"start": min(span.start for span in all_), "end": max(span.end for span in all_), "note": notes}
        found[found.index(same[0])] = one.model_copy(update=wide)
        found = [span for span in found if span not in same[1:]]
    return found
