"""One ingest: the state of a source, its documents, and what changed since the last one.

Belongs here: reading sources into tables, and the delta between two readings. Does not belong here: formats
(`readers`), rights (`governance`), where tables are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa

from ddd_llm.corpus.identity import doc_id
from ddd_llm.corpus.readers import docstrings, folder
from ddd_llm.corpus.readers.items import DEFAULT_LIMITS, Item, Limits, Refusal
from ddd_llm.corpus.readers.jsonl import Fields
from ddd_llm.corpus.schemas import CURRENT, QUARANTINE, RAW
from ddd_llm.corpus.sources import Folder, PythonPackage
from ddd_llm.corpus.text import NORMAL_FORM, language, normalise, refuse_reason

Progress = Callable[[int], None]
"""Called with the number of documents read so far, every `PROGRESS_EVERY` documents and at the end."""

PROGRESS_EVERY = 1000

_REFUSED = {
    "empty_text": "the text holds nothing but white space",
    "nul_character": "the text or its title holds a NUL character",
    "lone_surrogate": "the text or its title holds half of a surrogate pair, which no encoding can store",
}


def scan(source: PythonPackage | Folder, root: Path) -> str:
    """Digest of all that `read_source` depends on, except the id key: equal digests mean equal documents.

    A folder counts with the path, size and SHA-256 of every file that matches, a package with its installed version.

    Args:
        root: folder of a folder source (`sources.resolve_root`); not looked at for a package.
    """
    state = sha256(f"{NORMAL_FORM}\0{DEFAULT_LIMITS}\0".encode())
    if isinstance(source, PythonPackage):
        parts = [docstrings.READER, source.package, source.version, docstrings.installed_version(source.package) or ""]
        state.update("\0".join([*parts, *source.modules, "", *source.exclude]).encode())
        return state.hexdigest()
    parts = [folder.READER, repr(_fields(source)), *source.include]
    state.update("\0".join(parts).encode())
    for entry in folder.walk(root, source.include):
        if isinstance(entry, Refusal):
            state.update(f"\0{entry.locator}\0{entry.reason}".encode())
            continue
        size, content = _content(entry.path)
        state.update(f"\0{entry.locator}\0{size}\0{content}".encode())
    return state.hexdigest()


def _content(path: Path) -> tuple[int, str]:
    digest, size = sha256(), 0
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
                size += len(block)
    except OSError:
        return -1, "unreadable"  # `read_source` reports it
    return size, digest.hexdigest()


def read_source(
    source: PythonPackage | Folder,
    root: Path,
    key: bytes,
    progress: Progress | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> tuple[pa.Table, pa.Table]:
    """All documents of a source as they stand now, and what was held back.

    Args:
        root: folder of a folder source (`sources.resolve_root`); not looked at for a package.
        key: the id key (`identity.load_key`).
        progress: told how far it is.

    Returns:
        (`schemas.CURRENT` sorted by locator, `schemas.QUARANTINE` in reading order). Texts are normalised. Nothing of
        a file that was refused as a whole is among the documents.
    """
    rows: list[tuple[str, str, str, str, str]] = []
    refused: list[Refusal] = []
    for items, refusals in _per_file(_items(source, root, limits)):
        for item in items:
            row = _row(item, key)
            if isinstance(row, Refusal):
                refused.append(row)
                continue
            rows.append(row)
            if progress is not None and len(rows) % PROGRESS_EVERY == 0:
                progress(len(rows))
        refused.extend(refusals)
    if progress is not None and len(rows) % PROGRESS_EVERY:
        progress(len(rows))
    rows.sort(key=lambda row: row[1])
    return _current(source.name, rows), quarantine([(source.name, refusal) for refusal in refused])


def _items(source: PythonPackage | Folder, root: Path, limits: Limits) -> Iterator[Item | Refusal]:
    if isinstance(source, PythonPackage):
        return docstrings.read(source.package, source.version, source.modules, source.exclude)
    return folder.read(root, source.include, _fields(source), limits)


def _fields(source: Folder) -> Fields:
    return Fields(text=source.text_field, id=source.id_field, title=source.title_field)


def _per_file(stream: Iterator[Item | Refusal]) -> Iterator[tuple[list[Item], list[Refusal]]]:
    """Items and refusals file by file; a refusal of the whole file leaves nothing else of it."""
    name: str | None = None
    items: list[Item] = []
    refusals: list[Refusal] = []
    for one in stream:
        file = one.locator.partition("#")[0]  # a '#' in a name is escaped
        if file != name:
            yield items, refusals
            name, items, refusals = file, [], []
        if isinstance(one, Item):
            items.append(one)
        elif one.whole_file:
            items, refusals = [], [one]
        else:
            refusals.append(one)
    yield items, refusals


def _row(item: Item, key: bytes) -> tuple[str, str, str, str, str] | Refusal:
    reason = refuse_reason(item.text)
    title = item.title
    if reason is None and refuse_reason(title) not in (None, "empty_text"):
        reason = refuse_reason(title)
    if reason is not None:
        return Refusal(item.locator, reason, _REFUSED[reason])
    text = normalise(item.text)
    title = " ".join(normalise(title).split()) or item.locator
    return doc_id(key, text), item.locator, title, item.media_type, text


def _current(name: str, rows: list[tuple[str, str, str, str, str]]) -> pa.Table:
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], [], []]
    ids, locators, titles, media_types, texts = columns
    return pa.table(
        {
            "id": ids,
            "source": [name] * len(rows),
            "locator": locators,
            "title": titles,
            "media_type": media_types,
            "language": language(texts),
            "text": texts,
            "bytes": [len(text.encode()) for text in texts],
        },
        schema=CURRENT,
    )


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


def delta(previous: Mapping[tuple[str, str], str], current: pa.Table, unread: Collection[str] = ()) -> pa.Table:
    """The batch that leads from the previous state to the current one.

    Args:
        previous: (source, locator) -> document id, as `fold` gives it.
        current: the documents of all sources now (`schemas.CURRENT`).
        unread: sources that could not be read now (`unread_sources`): what they held stays, nothing is deleted.

    Returns:
        `schemas.RAW`, sorted by (source, locator): an add, an update (same place, other id) or a delete (the id that
        goes, nulls after `op`) for every place that differs, and no row for one that does not.

    Raises:
        ValueError: two documents at one place.
    """
    ids = current["id"].to_pylist()
    places = list(zip(current["source"].to_pylist(), current["locator"].to_pylist(), strict=True))
    now = dict(zip(places, range(len(places)), strict=True))
    if len(now) != len(places):
        raise ValueError("two documents share one source and locator: a reader gave a locator twice")
    kept_away = set(unread)
    changed: list[tuple[tuple[str, str], str, int | None]] = []
    for place, index in now.items():
        before = previous.get(place)
        if before != ids[index]:
            changed.append((place, "add" if before is None else "update", index))
    changed += [(place, "delete", None) for place in previous if place not in now and place[0] not in kept_away]
    changed.sort(key=lambda change: change[0])
    taken = current.take(pa.array([index for _, _, index in changed], pa.int64()))
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
