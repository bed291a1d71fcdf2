"""Which documents an item rests on: an id stays, a place (`source/locator`) becomes the id that the corpus has it under.

Belongs here: that translation and its refusals, so that no item rests on a document that may not be used. Ids depend on the
installation's key, so files that are shared name places.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from ddd_llm.feedback.labels import Item


@dataclass(frozen=True)
class Rested:
    """`sources`: document ids of each item that may be used; `refused`: item id -> the sentence against it."""

    sources: Mapping[str, tuple[str, ...]]
    refused: Mapping[str, str]


def rest_on(items: Iterable[Item], documents: pa.Table) -> Rested:
    """Translate and check the sources of items.

    Args:
        items: what was labelled; one that names no source rests on no document.
        documents: the curated documents; columns id, source and locator are read.
    """
    rows = documents.select(["id", "source", "locator"]).to_pylist()
    known = {row["id"] for row in rows}
    places = {f"{row['source']}/{row['locator']}": row["id"] for row in rows}
    sources: dict[str, tuple[str, ...]] = {}
    refused: dict[str, str] = {}
    for item in items:
        found = tuple(sorted({places.get(name, name) for name in item.source_ids}))
        if absent := [name for name in found if name not in known]:
            refused[item.id] = f"{len(absent)} of its documents are not in the curated corpus"
        else:
            sources[item.id] = found
    return Rested(sources, refused)
