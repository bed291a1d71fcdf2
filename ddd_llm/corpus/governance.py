"""Governance: which documents may enter the corpus, and in what form.

Belongs here: the judgement of `rights` applied to one batch, pseudonyms. Does not belong here: the judgement itself
(`rights.permissions`), finding identifiers, quality. It fails closed: what is not known to be allowed is held back,
counted and shown.
"""

from __future__ import annotations

from collections.abc import Sized
from functools import partial
from typing import Protocol

import pyarrow as pa

from ddd_llm.corpus.ingest import quarantine
from ddd_llm.corpus.readers.items import Refusal
from ddd_llm.corpus.rights.permissions import Permissions
from ddd_llm.corpus.schemas import GOVERNED
from ddd_llm.platform.cores import over_rows

_FEWEST = 64  # parts, from which on it is worth it that each process loads the recognisers for ten seconds


class Masks(Protocol):
    """Replaces identifiers: the text without them, and one entry per replacement."""

    def apply(self, text: str) -> tuple[str, Sized]: ...


def govern(raw: pa.Table, permissions: Permissions, pseudonymiser: Masks) -> tuple[pa.Table, pa.Table]:
    """Documents of one batch that may be used, their direct identifiers replaced, and those held back.

    Args:
        raw: one batch (`schemas.RAW`).
        permissions: sources, policy and consents as they stand on a stated day.
        pseudonymiser: applied to text and title.

    Returns:
        (`schemas.GOVERNED`, `schemas.QUARANTINE`), both in the order of `raw`; each row of `raw` is in one of them.
        A delete always passes: what goes must go whatever its source says.
    """
    work = partial(_govern, permissions=permissions, masks=pseudonymiser)
    parts = list(over_rows(work, raw, _FEWEST))
    return pa.concat_tables([kept for kept, _ in parts]), pa.concat_tables([held_back for _, held_back in parts])


def _govern(raw: pa.Table, permissions: Permissions, masks: Masks) -> tuple[pa.Table, pa.Table]:
    kept: list[dict[str, object]] = []
    held_back: list[tuple[str, Refusal]] = []
    for row in raw.to_pylist():
        name, source = row["source"], permissions.sources.get(row["source"])
        licence = source.licence if source else None
        if row["op"] == "delete":
            kept.append({**row, "licence": licence, "identifiers": 0})
            continue
        against = permissions.objection(name, row["locator"])
        if against is not None:
            held_back.append((name, Refusal(row["locator"], *against)))
            continue
        text, in_text = masks.apply(row["text"])
        title, in_title = masks.apply(row["title"])
        kept.append(
            {**row, "text": text, "title": title, "licence": licence, "identifiers": len(in_text) + len(in_title)}
        )
    columns = {name: [row[name] for row in kept] for name in GOVERNED.names}
    return pa.table(columns, schema=GOVERNED), quarantine(held_back)
