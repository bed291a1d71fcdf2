"""Append-only numbered entries: the one mechanism under heads, attestations and leases.

An entry is created with create-if-absent at the next number, so appending *is* compare-and-swap. Each entry carries
its own digest and the digest of the entry before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ddd_llm.store.backend import Backend
from ddd_llm.store.canonical import canonical_json, digest_value
from ddd_llm.store.errors import Corrupt, HeadMoved, NotFound

UNPARTITIONED = "@"


@dataclass(frozen=True)
class Entry:
    """One numbered statement. `seq` starts at 1; `digest` covers body, number and predecessor."""

    seq: int
    body: dict[str, Any]
    previous: str | None
    digest: str


def safe_name(name: str) -> str:
    """A user-chosen name as one path part: nothing in it can climb, hide or collide."""
    quoted = quote(name, safe="")
    return quoted.replace(".", "%2E") if set(quoted) == {"."} else quoted


class Log:
    """The entries under one key prefix."""

    def __init__(self, backend: Backend, prefix: str) -> None:
        self._backend = backend
        self.prefix = prefix

    def _key(self, seq: int) -> str:
        return f"{self.prefix}/{seq:08d}.json"

    def numbers(self) -> list[int]:
        """The numbers of all entries, ascending."""
        found = (sequence_number(key) for key in self._backend.keys(self.prefix))
        return sorted(number for number in found if number)

    def last_number(self) -> int:
        """The number of the last entry; 0 when there is none."""
        return max(self.numbers(), default=0)

    def get(self, seq: int) -> Entry:
        """One entry, checked against its own digest. Raises NotFound, Corrupt."""
        return parse_entry(self._key(seq), self._backend.read(self._key(seq)))

    def latest(self) -> Entry | None:
        """The last entry, or None."""
        last = self.last_number()
        return self.get(last) if last else None

    def entries(self) -> Iterator[Entry]:
        """All entries, oldest first."""
        for seq in self.numbers():
            yield self.get(seq)

    def append(self, body: dict[str, Any], expected: int | None = None) -> Entry:
        """Add an entry after `expected` (a number), or after whatever is last when None.

        Raises:
            HeadMoved: another entry was appended after `expected`.
        """
        while True:
            last = self.last_number() if expected is None else expected
            entry = self._build(last + 1, body)
            payload = {"seq": entry.seq, "body": body, "previous": entry.previous, "digest": entry.digest}
            if self._backend.create(self._key(entry.seq), canonical_json(payload)):
                return entry
            if expected is not None:
                raise HeadMoved(f"{self.prefix}: entry {entry.seq} already exists")

    def _build(self, seq: int, body: dict[str, Any]) -> Entry:
        try:
            previous = self.get(seq - 1).digest if seq > 1 else None
        except (NotFound, Corrupt):
            # A predecessor that cannot be read is a finding of `verify`; it must not stop new work.
            previous = None
        return Entry(seq, body, previous, digest_value({"seq": seq, "body": body, "previous": previous}))

    def drop(self, seq: int) -> None:
        """Remove one entry (garbage collection and leases only)."""
        self._backend.delete(self._key(seq))


def sequence_number(key: str) -> int:
    """The number in an entry's key; 0 for a stray name, which `verify` reports and reads pass over."""
    stem = key.rpartition("/")[2].removesuffix(".json")
    return int(stem) if len(stem) == 8 and stem.isascii() and stem.isdigit() else 0


def parse_entry(key: str, data: bytes) -> Entry:
    """The entry in stored bytes. Raises Corrupt when number or digest do not fit."""
    try:
        raw = json.loads(data)
        entry = Entry(int(raw["seq"]), dict(raw["body"]), raw["previous"], str(raw["digest"]))
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt(f"{key}: not an entry ({error})") from None
    body = {"seq": entry.seq, "body": entry.body, "previous": entry.previous}
    if digest_value(body) != entry.digest or entry.seq != sequence_number(key) or canonical_json(raw) != data:
        raise Corrupt(f"{key}: its digest does not fit its content")
    return entry
