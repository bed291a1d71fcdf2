"""One ingest: the documents of a source, and what changed since the last one.

Belongs here: reading sources into tables, and the delta between two readings. Does not belong here: formats
(`readers`), the state of a source (`scan`), rights (`rights`), where tables are kept.

Memory holds the text of what changed, in Arrow form, and the text of one document or record, whatever a file holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from ddd_llm.corpus.identity import doc_id
from ddd_llm.corpus.readers import bucket, docstrings, folder, hf_dataset
from ddd_llm.corpus.readers.items import DEFAULT_LIMITS, Item, Limits, Refusal
from ddd_llm.corpus.readers.locators import file_of, holders
from ddd_llm.corpus.rows import Rows, gather
from ddd_llm.corpus.scan import options, place_of
from ddd_llm.corpus.schemas import CURRENT, QUARANTINE, RAW
from ddd_llm.corpus.sources import Bucket, Folder, PythonPackage, Source
from ddd_llm.corpus.text import language, normalise, refuse_reason

Progress = Callable[[int], None]
"""Called with the number of documents read so far, every `PROGRESS_EVERY` documents and at the end."""

PROGRESS_EVERY = 1000

_REFUSED = {
    "empty_text": "the text holds nothing but white space",
    "nul_character": "the text or its title holds a NUL character",
    "lone_surrogate": "the text or its title holds half of a surrogate pair, which no encoding can store",
}


class Known(NamedTuple):
    """What earlier batches left at a place: the document's id, and its `stated` facts."""

    id: str
    stated: int


class Reading(NamedTuple):
    """A source as it stands now."""

    documents: pa.Table
    """`schemas.CURRENT` sorted by locator: documents that are new, or differ in text, title, date or quality from what was
    known."""
    quarantine: pa.Table
    """`schemas.QUARANTINE` in reading order."""
    unchanged: set[str]
    """Locators of the documents that are as they were known."""
    restated: set[str]
    """Locators of the documents whose text alone is as it was known."""


def read_source(
    source: Source,
    root: Path,
    key: bytes,
    progress: Progress | None = None,
    limits: Limits = DEFAULT_LIMITS,
    known: Mapping[str, Known] | None = None,
) -> Reading:
    """The documents of a source as they stand now, and what was held back.

    Args:
        root: folder of a folder source (`sources.resolve_root`); not looked at for a package or a bucket.
        key: the id key (`identity.load_key`).
        progress: told how far it is.
        known: by locator, what earlier batches left; documents that are still so are named and not kept in memory.

    Texts are normalised. Nothing of a file that was refused as a whole is among the documents.
    """
    reading = _Accumulator(source.name, key, known or {})
    for one in _items(source, root, limits):
        reading.take(one)
        if progress is not None and reading.count and reading.count % PROGRESS_EVERY == 0:
            progress(reading.count)
    if progress is not None and reading.count % PROGRESS_EVERY:
        progress(reading.count)
    return reading.result()


def _items(source: Source, root: Path, limits: Limits) -> Iterator[Item | Refusal]:
    if isinstance(source, PythonPackage):
        return docstrings.read(source.package, source.version, source.modules, source.exclude)
    if isinstance(source, Bucket):
        return bucket.read(place_of(source), source.include, options(source), limits)
    if isinstance(source, Folder):
        return folder.read(root, source.include, options(source), limits)
    return hf_dataset.read(root, source.splits, options(source), limits)


class _Accumulator:
    """What was read so far; a file, or a member of an archive, that is refused as a whole is taken back."""

    def __init__(self, name: str, key: bytes, known: Mapping[str, Known]) -> None:
        self.name = name
        self.key = key
        self.known = known
        self.documents = Rows(CURRENT)
        self.refused = Rows(QUARANTINE)
        self.unchanged: list[str] = []
        self.restated: set[str] = set()
        # Where the rows of the file at hand begin, and of every archive that it lies in.
        self._starts: dict[str, tuple[int, int, int]] = {}
        self._at: str | None = None

    @property
    def count(self) -> int:
        """Documents so far."""
        return len(self.documents) + len(self.unchanged)

    def take(self, one: Item | Refusal) -> None:
        """Add a document or a refusal."""
        file = file_of(one.locator)
        if file != self._at:
            here = len(self.documents), len(self.refused), len(self.unchanged)
            self._starts = {holder: self._starts.get(holder, here) for holder in holders(file)}
            self._at = file
        if isinstance(one, Item):
            row = self._row(one)
            if isinstance(row, Refusal):
                self._refuse(row)
            return
        if one.whole_file:
            documents, refused, unchanged = self._starts[file]
            self.documents.cut(documents)
            self.refused.cut(refused)
            del self.unchanged[unchanged:]
        self._refuse(one)

    def result(self) -> Reading:
        """Everything, the documents sorted."""
        documents = self.documents.sorted_by("locator").cast(CURRENT)
        return Reading(documents, self.refused.table(), set(self.unchanged), self.restated)

    def _refuse(self, one: Refusal) -> None:
        self.refused.append((self.name, one.locator, one.reason, one.detail, one.offset))

    def _row(self, item: Item) -> Refusal | None:
        """Add a document, or say why it cannot be stored."""
        reason = refuse_reason(item.text)
        if reason is None and (of_title := refuse_reason(item.title)) != "empty_text":
            reason = of_title
        if reason is not None:
            return Refusal(item.locator, reason, _REFUSED[reason])
        text = normalise(item.text)
        identity = doc_id(self.key, text)
        title = " ".join(normalise(item.title).split()) or item.locator
        before = self.known.get(item.locator)
        if before is not None and before.id == identity:
            if before.stated == stated(title, item.date, item.quality):
                self.unchanged.append(item.locator)
                return None
            self.restated.add(item.locator)
        size = len(text.encode())
        self.documents.append(
            (identity, self.name, item.locator, title, item.media_type, language([text])[0], item.date, item.quality,
             text, size),
            size + len(title) + len(item.locator),
        )  # fmt: skip
        return None


def stated(title: str | None, date: str | None, quality: float | None) -> int:
    """What a source says about a document, in 64 bits: enough to see that it says something else now."""
    said = "\0".join((title or "", date or "", repr(quality)))
    return int.from_bytes(hashlib.blake2b(said.encode(), digest_size=8).digest())


def quarantine(refusals: list[tuple[str, Refusal]]) -> pa.Table:
    """`schemas.QUARANTINE` of (source, refusal) pairs."""
    return pa.table(
        {
            "source": [source for source, _ in refusals],
            "locator": [refusal.locator for _, refusal in refusals],
            "reason": [refusal.reason for _, refusal in refusals],
            "detail": [refusal.detail for _, refusal in refusals],
            "offset": [refusal.offset for _, refusal in refusals],
        },
        schema=QUARANTINE,
    )


def unread_sources(held_back: pa.Table) -> set[str]:
    """Names of the sources that `read_source` could not read as a whole, for `delta`: what they held is unknown, not gone.

    A refusal of a source as a whole has an empty locator.
    """
    pairs = zip(held_back["source"].to_pylist(), held_back["locator"].to_pylist(), strict=True)
    return {source for source, locator in pairs if not locator}


def delta(
    previous: Mapping[tuple[str, str], str],
    current: pa.Table,
    unread: Collection[str] = (),
    unchanged: Collection[tuple[str, str]] = (),
    restated: Collection[tuple[str, str]] = (),
) -> pa.Table:
    """The batch that leads from the previous state to the current one.

    Args:
        previous: (source, locator) -> document id, as `fold` gives it.
        current: documents of all sources now (`schemas.CURRENT`).
        unread: sources that could not be read now (`unread_sources`): what they held stays, nothing is deleted.
        unchanged: places whose document is as before and therefore not in `current`.
        restated: places whose document has the text that it had, and another title, date or quality.

    Returns:
        `schemas.RAW`, sorted by (source, locator): an add, an update (same place, other id or restated) or a delete (the id that
        goes, nulls after `op`) for every place that differs, and no row for one that does not.

    Raises:
        ValueError: two documents at one place.
    """
    ids = current["id"].to_pylist()
    places = list(zip(current["source"].to_pylist(), current["locator"].to_pylist(), strict=True))
    now = dict(zip(places, range(len(places)), strict=True))
    same = set(unchanged)
    if len(now) != len(places) or not same.isdisjoint(now):
        raise ValueError("two documents share one source and locator: a reader gave a locator twice")
    kept_away, again = set(unread), set(restated)
    changed: list[tuple[tuple[str, str], str, int | None]] = []
    for place, index in now.items():
        before = previous.get(place)
        if before != ids[index] or place in again:
            changed.append((place, "add" if before is None else "update", index))
    gone = (place for place in previous if place not in now and place not in same and place[0] not in kept_away)
    changed += [(place, "delete", None) for place in gone]
    changed.sort(key=lambda change: change[0])
    taken = gather(current.to_batches(), [index for _, _, index in changed], CURRENT)
    columns: dict[str, Any] = {name: taken[name] for name in CURRENT.names if name not in ("id", "source", "locator")}
    columns["id"] = [previous[place] if index is None else ids[index] for place, _, index in changed]
    columns["source"] = [place[0] for place, _, _ in changed]
    columns["locator"] = [place[1] for place, _, _ in changed]
    columns["op"] = [op for _, op, _ in changed]
    return pa.table({name: columns[name] for name in RAW.names}, schema=RAW)


def fold(state: Mapping[tuple[str, str], str], batch: pa.Table) -> dict[tuple[str, str], str]:
    """The state after a batch: (source, locator) -> document id.

    Raises:
        ValueError: an operation that is none of add, update and delete.
    """
    after = dict(state)
    columns = (batch[name].to_pylist() for name in ("source", "locator", "op", "id"))
    for source, locator, op, identity in zip(*columns, strict=True):
        if op == "delete":
            after.pop((source, locator), None)
        elif op in ("add", "update"):
            after[(source, locator)] = identity
        else:
            raise ValueError(f"a batch has the operation {op!r}; there are add, update and delete")
    return after
