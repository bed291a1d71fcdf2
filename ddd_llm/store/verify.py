"""Does every stored byte still say what it said? Walks objects, records, attestations and heads.

Tells corrupt (bytes changed) from missing (a name without bytes) from erased (bytes taken away on purpose, with a statement).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ddd_llm.store import canonical
from ddd_llm.store.artifact_store import ArtifactStore, object_key, record_key
from ddd_llm.store.errors import Corrupt, NotFound
from ddd_llm.store.log import parse_entry, sequence_number
from ddd_llm.store.records import Record


@dataclass
class Findings:
    """What a verification found; lists hold keys of the store, sorted."""

    checked: int = 0
    corrupt: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """True when nothing is corrupt or missing (erased is lawful)."""
        return not self.corrupt and not self.missing


def verify(store: ArtifactStore, progress: Callable[[int], None] | None = None) -> Findings:
    """Check every object, record, attestation and head of a store."""
    found = Findings()

    def seen() -> None:
        found.checked += 1
        if progress is not None and found.checked % 500 == 0:
            progress(found.checked)

    objects: set[str] = set()
    for key in sorted(store.backend.keys("objects")):
        seen()
        objects.add(key)
        with store.backend.open(key) as stream:
            if canonical.stream_digest(stream)[0] != key.rpartition("/")[2]:
                found.corrupt.append(key)

    records: dict[str, Record] = {}
    damaged: set[str] = set()
    for digest in sorted(store.record_digests()):
        seen()
        try:
            records[digest] = store.get_record(digest)
        except Corrupt:
            found.corrupt.append(record_key(digest))
            damaged.add(digest)

    erased = _entries(store, found, records.keys() | damaged, seen)
    wanted = {object_key(ref.digest) for record in records.values() for ref in record.objects().values()}
    absent = wanted - objects
    found.erased.extend(sorted(key for key in absent if key.rpartition("/")[2] in erased))
    found.missing.extend(sorted(key for key in absent if key.rpartition("/")[2] not in erased))
    pinned = {pin.record for record in records.values() for pin in record.inputs}
    found.missing.extend(sorted(record_key(d) for d in pinned - records.keys() - damaged))
    for part in (found.corrupt, found.missing, found.erased):
        part[:] = sorted(set(part))
    return found


def _entries(store: ArtifactStore, found: Findings, known: set[str], seen: Callable[[], None]) -> set[str]:
    """Check all numbered entries; returns the digests of objects that erasure statements name."""
    erased: set[str] = set()
    for top in ("attestations", "heads"):
        before: dict[str, tuple[int, str]] = {}
        for key in sorted(store.backend.keys(top)):
            seen()
            try:
                if not sequence_number(key):
                    raise Corrupt(f"{key}: not a numbered entry")
                entry = parse_entry(key, store.backend.read(key))
            except (Corrupt, NotFound):
                found.corrupt.append(key)
                continue
            folder = key.rpartition("/")[0]
            last = before.get(folder)
            if last is not None and last[0] == entry.seq - 1 and entry.previous not in (last[1], None):
                found.corrupt.append(key)
            before[folder] = (entry.seq, entry.digest)
            if entry.body["record"] not in known:
                found.missing.append(record_key(entry.body["record"]))
            if entry.body.get("kind") == "erasure":
                erased.update(entry.body["detail"].get("objects", []))
    return erased


def erased_objects(store: ArtifactStore, record_digest: str) -> set[str]:
    """Digests of a record's objects that an erasure statement says were taken away on purpose."""
    statements = store.attestations(record_digest, "erasure")
    return {digest for body in statements for digest in body["detail"].get("objects", [])}
