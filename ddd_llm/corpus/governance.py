"""Governance: which documents may enter the corpus, and in what form.

Belongs here: the judgement of `rights` applied to one batch, pseudonyms. Does not belong here: the judgement itself
(`rights.permissions`), finding identifiers, quality. It fails closed: what is not known to be allowed is held back,
counted and shown.
"""

from __future__ import annotations

import re
from collections.abc import Sized
from functools import partial
from typing import Protocol

import pyarrow as pa

from ddd_llm.corpus.ingest import quarantine
from ddd_llm.corpus.readers.items import Refusal
from ddd_llm.corpus.rights.permissions import Permissions
from ddd_llm.corpus.schemas import GOVERNED
from ddd_llm.corpus.sources import PythonPackage
from ddd_llm.platform.cores import over_rows

_UNDERSCORE = re.compile(r"<[A-Z]\w*>|_")  # those outside of what was replaced
_FEWEST = 64  # parts, from which on it is worth it that each process loads the recognisers for ten seconds


class Masks(Protocol):
    """Replaces identifiers: the text without them, and one entry per replacement."""

    def apply(self, text: str) -> tuple[str, Sized]: ...


class KeyedMasks(Masks, Protocol):
    """Tells places apart, too: another tag for another text, from which nobody without the key learns the text."""

    def tag(self, text: str) -> str: ...


def govern(raw: pa.Table, permissions: Permissions, pseudonymiser: KeyedMasks) -> tuple[pa.Table, pa.Table]:
    """Documents of one batch that may be used, their direct identifiers replaced, and those held back.

    Args:
        raw: one batch (`schemas.RAW`).
        permissions: sources, policy and consents as they stand on a stated day.
        pseudonymiser: applied to text, title and locator.

    Returns:
        (`schemas.GOVERNED`, `schemas.QUARANTINE`), both in the order of `raw`; each row of `raw` is in one of them.
        A delete always passes: what goes must go whatever its source says.
    """
    work = partial(_govern, permissions=permissions, masks=pseudonymiser)
    parts = list(over_rows(work, raw, _FEWEST))
    return pa.concat_tables([kept for kept, _ in parts]), pa.concat_tables([held_back for _, held_back in parts])


def _govern(raw: pa.Table, permissions: Permissions, masks: KeyedMasks) -> tuple[pa.Table, pa.Table]:
    kept: list[dict[str, object]] = []
    held_back: list[tuple[str, Refusal]] = []
    for row in raw.to_pylist():
        name, source = row["source"], permissions.sources.get(row["source"])
        licence = source.licence if source else None
        place, in_place = row["locator"], 0
        if not isinstance(source, PythonPackage):  # whose locators are names of code
            place, in_place = _place(place, masks)
        if row["op"] == "delete":
            kept.append({**row, "locator": place, "licence": licence, "identifiers": 0})
            continue
        against = permissions.objection(name, row["locator"])
        if against is not None:
            held_back.append((name, Refusal(place, *against)))
            continue
        text, in_text = masks.apply(row["text"])
        title, in_title = _titled(row["title"], row["locator"], place, masks)
        found = len(in_text) + in_title + in_place
        kept.append({**row, "locator": place, "text": text, "title": title, "licence": licence, "identifiers": found})
    columns = {name: [row[name] for row in kept] for name in GOVERNED.names}
    return pa.table(columns, schema=GOVERNED), quarantine(held_back)


def _place(locator: str, masks: KeyedMasks) -> tuple[str, int]:
    """A locator without identifiers, and how many it had.

    Where it had some it ends in a tag: two people's files stay two places, whatever the policy puts in place of their names.
    """
    masked, found = _name(locator, masks)
    return (f"{masked}~{masks.tag(locator)}", found) if found else (locator, 0)


def _titled(title: str, locator: str, place: str, masks: Masks) -> tuple[str, int]:
    # A document without a title of its own has its locator for one, or its file's name.
    if title == locator:
        return place, 0
    if locator.endswith(title):
        return _name(title, masks)
    masked, found = masks.apply(title)
    return masked, len(found)


def _name(name: str, masks: Masks) -> tuple[str, int]:
    # As it is written, and then with spaces for underscores, where call_+44_20_7946_0958.txt shows its number.
    masked, found = masks.apply(name)
    spaced, more = masks.apply(_UNDERSCORE.sub(lambda one: " " if one.group() == "_" else one.group(), masked))
    return (spaced if more else masked), len(found) + len(more)
