"""One ingest over all sources: read each, compare with what all batches before left, keep what could not be read.

Belongs here: joining `ingest`'s parts over several sources. Does not: reading one source (`ingest`), or rights (`governance`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.ingest import Known, delta, fold, read_source, stated, unread_sources
from ddd_llm.corpus.readers.locators import file_of
from ddd_llm.corpus.schemas import CURRENT, QUARANTINE
from ddd_llm.corpus.sources import Source
from ddd_llm.platform.step import Progress

# Said in the quarantine table, although the documents they speak of were kept.
NOTICES = frozenset({"duplicate_id_conflict", "duplicate_member", "charset_detected"})


HISTORY = ("source", "locator", "op", "id", "title", "date", "quality")
"""What `ingest` reads of earlier batches."""


@dataclass(frozen=True)
class Batch:
    """`documents` (schemas.RAW), `quarantine` (schemas.QUARANTINE) and, per quarantine row, whether it is only a notice
    about documents that were kept."""

    documents: pa.Table
    quarantine: pa.Table
    notices: pa.Array


def ingest(
    sources: Sequence[tuple[Source, Path]], history: Sequence[pa.Table], key: bytes, progress: Progress
) -> Batch:
    """What changed in all sources since the batches in `history` (columns of `HISTORY`, oldest first).

    A source or file that cannot be read now keeps what it held: a broken disk must not look like a deletion.
    """
    state: dict[tuple[str, str], str] = {}
    for batch in history:
        state = fold(state, batch)
    known: defaultdict[str, dict[str, Known]] = defaultdict(dict)
    facts = _stated(history)
    for (name, locator), identity in state.items():
        known[name][locator] = Known(identity, facts[name, locator])
    read: dict[str, pa.Table] = {}
    held_back, unchanged, restated, done = [], set(), set(), 0
    for source, root in sources:
        before = done

        def report(count: int, before: int = before, name: str = source.name) -> None:
            progress(before + count, note=f"now {name}")

        reading = read_source(source, root, key, report, known=known.pop(source.name, {}))
        done += len(reading.documents) + len(reading.unchanged)
        read[source.name] = reading.documents
        held_back.append(reading.quarantine)
        unchanged.update((source.name, locator) for locator in reading.unchanged)
        restated.update((source.name, locator) for locator in reading.restated)
    quarantine = pa.concat_tables([QUARANTINE.empty_table(), *held_back])
    current = pa.concat_tables([CURRENT.empty_table(), *(read[name] for name in sorted(read))])
    changed = delta(state, current, unread_sources(quarantine), unchanged, restated)
    notices = _notices(quarantine)
    return Batch(_spared(changed, quarantine.filter(pc.invert(notices))), quarantine, notices)  # type: ignore[attr-defined]


def _stated(history: Sequence[pa.Table]) -> dict[tuple[str, str], int]:
    facts: dict[tuple[str, str], int] = {}
    for batch in history:
        columns = (batch[name].to_pylist() for name in ("source", "locator", "title", "date", "quality"))
        facts |= {(source, locator): stated(*said) for source, locator, *said in zip(*columns, strict=True)}
    return facts


def _notices(quarantine: pa.Table) -> pa.Array:
    return pa.array([reason in NOTICES for reason in quarantine["reason"].to_pylist()], pa.bool_())


def _spared(changed: pa.Table, refused: pa.Table) -> pa.Table:
    """The delta without deletions of documents whose file, module, archive or folder was refused as a whole."""
    places = set(zip(refused["source"].to_pylist(), refused["locator"].to_pylist(), strict=True))
    rows = zip(*(changed[name].to_pylist() for name in ("source", "locator", "op")), strict=True)
    keep = [
        op != "delete" or not any((source, holder) in places for holder in _holders(locator))
        for source, locator, op in rows
    ]
    return changed if all(keep) else changed.filter(pa.array(keep, pa.bool_()))


def _holders(locator: str) -> Iterator[str]:
    """What a document stands in: its file (before `#`), or module (before `:`), archives (before each `!`), folders.

    Not the document itself where it is one of several in a file: a record that was refused is gone, its file is not in doubt.
    """
    file = file_of(locator)
    yield file
    if file == locator:
        yield file.partition(":")[0]
    for at, character in enumerate(file):
        if character in "!/":
            yield file[:at]
