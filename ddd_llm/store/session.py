"""One run's view of the store: heads as they stood when the run began, plus what the run wrote itself.

The snapshot is written once under `runs/`, so that every process of a run (each step may be a pod of its own) reads the same.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from graphlib import TopologicalSorter

from ddd_llm.store.artifact_store import ArtifactStore, now
from ddd_llm.store.canonical import canonical_json
from ddd_llm.store.errors import Diamond, HeadMoved, NotFound, Refused, Unreadable
from ddd_llm.store.log import safe_name
from ddd_llm.store.records import Pin, Record

BASELINE = "baseline"


@dataclass(frozen=True)
class Held:
    """A record as a run holds it: its digest and its content."""

    digest: str
    record: Record

    def pin(self, role: str) -> Pin:
        """The pin under which a new record names this one as input."""
        return self.record.pin(role, self.digest)


class Session:
    """Reads and commits of one run."""

    def __init__(self, store: ArtifactStore, run_id: str, heads: dict[tuple[str, str | None], int]) -> None:
        self.store = store
        self.run_id = run_id
        self._heads = heads

    @classmethod
    def begin(cls, store: ArtifactStore, run_id: str) -> Session:
        """The session of a run; the first process to ask takes the snapshot, the others find it."""
        key = f"runs/{safe_name(run_id)}.json"
        try:
            snapshot = json.loads(store.backend.read(key))
        except NotFound:
            heads = [[asset, partition, seq] for (asset, partition), seq in store.head_numbers().items()]
            heads.sort(key=lambda h: (h[0], h[1] or ""))
            body = {"run_id": run_id, "heads": heads, "at": now(), "host": socket.gethostname(), "pid": os.getpid()}
            store.backend.create(key, canonical_json(body))
            snapshot = json.loads(store.backend.read(key))
        return cls(store, run_id, {(asset, partition): seq for asset, partition, seq in snapshot["heads"]})

    @classmethod
    def current(cls, store: ArtifactStore) -> Session:
        """A view of the store as it stands now, for tools that belong to no run."""
        return cls(store, "", store.head_numbers())

    def _own_number(self, asset: str, partition: str | None) -> int:
        """The number of the head this run reads: its own latest write, else the snapshot's; 0 for none."""
        seen = self._heads.get((asset, partition), 0)
        log = self.store.head_log(asset, partition)
        for seq in range(log.last_number() if self.run_id else 0, seen, -1):
            if log.get(seq).body["run_id"] == self.run_id:
                return seq
        return seen

    def head(self, asset: str, partition: str | None = None) -> Held | None:
        """The head of an asset partition, whatever its verdicts; None when there is none.

        Raises:
            Corrupt, NotFound: the head or its record does not verify.
        """
        number = self._own_number(asset, partition)
        if not number:
            return None
        digest = self.store.head_log(asset, partition).get(number).body["record"]
        return Held(digest, self.store.get_record(digest))

    def partitions(self, asset: str) -> list[str]:
        """Partitions of an asset that this run sees, sorted by name."""
        seen = {p for (name, p) in self._heads if name == asset and p is not None}
        mine = {p for p in self.store.partitions(asset) if p not in seen and self._own_number(asset, p)}
        return sorted(seen | mine)

    def read(self, asset: str, partition: str | None = None) -> Held:
        """The head of an asset partition, if its required verdicts are all there and all good.

        Raises:
            Unreadable: no record, or a required verdict is missing or bad; the message names the cure.
        """
        name = asset if partition is None else f"{asset}[{partition}]"
        held = self.head(asset, partition)
        if held is None:
            raise Unreadable(f"{name} has no record yet: materialise it first")
        bad = unmet(self.store, held)
        if bad:
            said = ", ".join(f"{check} {state}" for check, state in bad.items())
            kind = Refused if "failed" in bad.values() else Unreadable
            raise kind(f"{name} may not be read ({said}): mend its cause and materialise {name} again")
        return held

    def commit(self, record: Record) -> Held:
        """Store a record and move its head, unless another run moved it since this run's snapshot.

        Raises:
            Diamond: its inputs rest on different versions of one ancestor.
            HeadMoved: another run wrote other data; this run's record is kept but is not the head.
        """
        check_diamond(self, record.asset, record.inputs)
        digest = self.store.put_record(record)
        log = self.store.head_log(record.asset, record.partition)
        expected = self._own_number(record.asset, record.partition)
        while True:
            try:
                self.store.move_head(digest, record, expected)
                return Held(digest, record)
            except HeadMoved:
                latest = log.latest()
                other = latest and self.store.get_record(latest.body["record"])
                if latest is None or other is None or other.fingerprint != record.fingerprint:
                    raise HeadMoved(
                        f"{record.asset}: another run wrote other data meanwhile; this run's record {digest[:12]} is "
                        "kept but is not the head. Materialise again to build on what is there now"
                    ) from None
                # The other run did the very same work: both heads may stand, ours after theirs.
                expected = latest.seq


def unmet(store: ArtifactStore, held: Held) -> dict[str, str]:
    """Required checks of a record without a good verdict: name -> "failed" or "has no verdict yet"."""
    verdicts = store.verdicts(held.digest) if held.record.required_checks else {}
    return {
        check: "failed" if check in verdicts else "has no verdict yet"
        for check in held.record.required_checks
        if not verdicts.get(check, False)
    }


def ancestors(store: ArtifactStore, pins: tuple[Pin, ...], baselines: bool = True) -> dict[str, Record]:
    """All records that pins rest on, by digest. `baselines=False` leaves out what was only compared against."""
    found: dict[str, Record] = {}
    todo = list(pins)
    while todo:
        pin = todo.pop()
        if pin.record in found or (pin.role == BASELINE and not baselines):
            continue
        found[pin.record] = store.get_record(pin.record)
        todo.extend(found[pin.record].inputs)
    return found


Key = tuple[str, str | None]


def check_diamond(session: Session, asset: str, inputs: tuple[Pin, ...]) -> None:
    """Refuse inputs of an asset that rest on different data of one common ancestor.

    Records with equal data stand for each other: if `split` was made again from a changed corpus and came out the same, a
    model trained on the earlier record of it and a suite drawn from the later one rest on the same split, and how the corpus
    changed above it does not matter. The later one counts too where nothing was drawn from it anew, because there was no
    reason to. So the question is, for each ancestor, whether one version satisfies all who read it.

    Raises:
        Diamond: names the ancestor nearest to the asset for which there is none.
    """
    reached = ancestors(session.store, inputs, baselines=False)
    if _unmatched(reached, inputs) is None:
        return
    key = _unmatched(_with_equal_heads(session, reached), inputs)
    if key is not None:
        name = key[0] if key[1] is None else f"{key[0]}[{key[1]}]"
        raise Diamond(
            f"{asset}: its inputs rest on two different versions of {name}. "
            f"Materialise everything between {name} and {asset} again"
        )


def _unmatched(reached: dict[str, Record], inputs: tuple[Pin, ...]) -> Key | None:
    """The nearest ancestor of which no version satisfies all who read it."""
    records: dict[Key, dict[str, Record]] = {}
    for digest, ancestor in reached.items():
        records.setdefault((ancestor.asset, ancestor.partition), {})[digest] = ancestor
    parents = {key: {_key(p) for r in same.values() for p in _real(r.inputs)} for key, same in records.items()}
    wanted: dict[Key, list[set[str]]] = {key: [] for key in records}
    for pin in _real(inputs):
        wanted[_key(pin)].append({pin.content})
    for key in TopologicalSorter(_children(parents)).static_order():
        allowed = set.intersection(*wanted[key]) if wanted[key] else set()
        if not allowed:
            return key
        _ask(wanted, [r for r in records[key].values() if r.content in allowed])
    return None


def _with_equal_heads(session: Session, reached: dict[str, Record]) -> dict[str, Record]:
    """With them the records that stand now with the data of one that was reached, and what these rest on."""
    todo = list(reached.values())
    while todo:
        one = todo.pop()
        head = session.head(one.asset, one.partition)
        if head is not None and head.digest not in reached and head.record.content == one.content:
            above = ancestors(session.store, (head.pin("input"),), baselines=False)
            todo += [record for digest, record in above.items() if digest not in reached]
            reached |= above
    return reached


def _key(pin: Pin) -> Key:
    return pin.asset, pin.partition


def _real(inputs: tuple[Pin, ...]) -> list[Pin]:
    return [pin for pin in inputs if pin.role != BASELINE]


def _children(parents: dict[Key, set[Key]]) -> dict[Key, set[Key]]:
    """For each ancestor, who reads it: an ancestor is judged after all its readers."""
    children: dict[Key, set[Key]] = {key: set() for key in parents}
    for child, above in parents.items():
        for key in above:
            children[key].add(child)
    return children


def _ask(wanted: dict[Key, list[set[str]]], readers: list[Record]) -> None:
    """Add what one asset's possible records ask of each ancestor: any of the versions that one of them was made from."""
    asked: dict[Key, set[str]] = {}
    for reader in readers:
        for pin in _real(reader.inputs):
            asked.setdefault(_key(pin), set()).add(pin.content)
    for key, contents in asked.items():
        wanted[key].append(contents)
