"""Governance: which documents may enter the corpus, and in what form.

Belongs here: rights of a source applied to its documents, pseudonyms. Does not belong here: the sources' records
(`sources`), finding identifiers (`identifiers`), quality. It fails closed: what is not known to be allowed is held
back, counted and shown.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from ddd_llm.corpus.ingest import quarantine
from ddd_llm.corpus.pseudonyms import Pseudonymiser
from ddd_llm.corpus.readers.items import Refusal
from ddd_llm.corpus.schemas import GOVERNED
from ddd_llm.corpus.sources import Folder, Purpose, PythonPackage

UNKNOWN_SOURCE = ("unknown_source", "the sources file has no such source any more")


def objection(source: PythonPackage | Folder) -> tuple[str, str] | None:
    """Why the documents of a source may not be used for training (reason, sentence), None when they may."""
    if source.licence is None:
        return "no_licence", "the source names no licence; find it, with evidence, or leave the source out"
    if source.licence_evidence is None:
        return "no_licence_evidence", "the source says nothing that proves its licence; name a file, address or field"
    if source.legal_basis is None:
        return "no_legal_basis", "the source names no legal basis; ask its owner or leave the source out"
    if Purpose.TRAINING not in source.purpose:
        return "no_training_purpose", "the legal basis of the source does not cover training"
    return None


def govern(
    raw: pa.Table, sources: Iterable[PythonPackage | Folder], pseudonymiser: Pseudonymiser
) -> tuple[pa.Table, pa.Table]:
    """Documents of one batch that may be used, their direct identifiers replaced, and those held back.

    Args:
        raw: one batch (`schemas.RAW`).
        sources: the sources as the sources file has them now.
        pseudonymiser: applied to text and title.

    Returns:
        (`schemas.GOVERNED`, `schemas.QUARANTINE`), both in the order of `raw`; each row of `raw` is in one of them.
        A delete always passes: what goes must go whatever its source says.
    """
    by_name = {source.name: source for source in sources}
    objections = {name: objection(source) for name, source in by_name.items()}
    kept: list[dict[str, object]] = []
    held_back: list[tuple[str, Refusal]] = []
    for row in raw.to_pylist():
        name = row["source"]
        source = by_name.get(name)
        if row["op"] == "delete":
            kept.append({**row, "licence": source.licence if source else None, "identifiers": 0})
            continue
        against = objections.get(name, UNKNOWN_SOURCE)
        if source is None or against is not None:
            held_back.append((name, Refusal(row["locator"], *(against or UNKNOWN_SOURCE))))
            continue
        text, in_text = pseudonymiser.apply(row["text"])
        title, in_title = pseudonymiser.apply(row["title"])
        row.update(text=text, title=title, licence=source.licence, identifiers=len(in_text) + len(in_title))
        kept.append(row)
    columns = {name: [row[name] for row in kept] for name in GOVERNED.names}
    return pa.table(columns, schema=GOVERNED), quarantine(held_back)
