"""One ingest over all sources: read each, compare with what all batches before left, keep what could not be read.

Belongs here: joining `ingest`'s parts over several sources. Does not: reading one source (`ingest`), or rights (`governance`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ddd_llm.corpus.ingest import delta, fold, read_source, unread_sources
from ddd_llm.corpus.sources import Source
from ddd_llm.platform.step import Progress

# Said in the quarantine table, although the documents they speak of were kept.
NOTICES = frozenset({"duplicate_id_conflict"})


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
    """What changed in all sources since the batches in `history` (columns source, locator, op, id, oldest first).

    A source or file that cannot be read now keeps what it held: a broken disk must not look like a deletion.
    """
    state: dict[tuple[str, str], str] = {}
    for batch in history:
        state = fold(state, batch)
    read, held_back, done = [], [], 0
    for source, root in sources:
        before = done

        def report(count: int, before: int = before, name: str = source.name) -> None:
            progress(before + count, note=f"now {name}")

        documents, quarantine = read_source(source, root, key, report)
        done += len(documents)
        read.append(documents)
        held_back.append(quarantine)
    quarantine = pa.concat_tables(held_back)
    changed = delta(state, pa.concat_tables(read), unread_sources(quarantine))
    return Batch(_spared(changed, quarantine), quarantine, _notices(quarantine))


def _notices(quarantine: pa.Table) -> pa.Array:
    return pa.array([reason in NOTICES for reason in quarantine["reason"].to_pylist()], pa.bool_())


def _spared(changed: pa.Table, quarantine: pa.Table) -> pa.Table:
    """The delta without deletions of documents whose whole file or module was refused.

    A file's locator has no `#`, a module's no `:`; its documents have theirs behind it.
    """
    refused = set(zip(quarantine["source"].to_pylist(), quarantine["locator"].to_pylist(), strict=True))
    rows = zip(*(changed[name].to_pylist() for name in ("source", "locator", "op")), strict=True)
    keep = [
        op != "delete" or not {(source, locator.partition(mark)[0]) for mark in "#:"} & refused
        for source, locator, op in rows
    ]
    return changed.filter(pa.array(keep, pa.bool_()))
