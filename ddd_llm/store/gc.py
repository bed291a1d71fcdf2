"""Garbage collection: keep what heads, registered versions, leases and live runs reach; remove the rest.

Anything younger than `min_age` stays, because a run writes its objects before the record that names them.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Set
from dataclasses import dataclass

from ddd_llm.store.artifact_store import ArtifactStore, object_key, record_key
from ddd_llm.store.backend import pid_alive
from ddd_llm.store.errors import NotFound
from ddd_llm.store.leases import held_records, hold
from ddd_llm.store.log import Log
from ddd_llm.store.records import Record

DEFAULT_MIN_AGE = 24 * 3600.0
RUN_AGE = 7 * 24 * 3600.0  # no run is taken for alive longer than this


@dataclass(frozen=True)
class Collected:
    """Counts of what was (or, in a dry run, would be) removed, and the bytes of the objects among it."""

    records: int
    objects: int
    bytes: int
    heads: int
    attestations: int
    temporary: int


def _run_records(store: ArtifactStore) -> set[str]:
    """Records in the snapshots of runs that may still read them."""
    kept: set[str] = set()
    for key in store.backend.keys("runs"):
        body = json.loads(store.backend.read(key))
        gone = body["host"] == socket.gethostname() and not pid_alive(body["pid"])
        if gone or store.backend.age(key) > RUN_AGE:
            continue
        for asset, partition, seq in body["heads"]:
            kept.add(store.head_log(asset, partition).get(seq).body["record"])
    return kept


def reachable(store: ArtifactStore) -> dict[str, Record]:
    """Records that must stay, by digest."""
    todo = held_records(store) | _run_records(store)
    for asset, partition in store.head_numbers():
        latest = store.head_log(asset, partition).latest()
        if latest is not None:
            todo.add(latest.body["record"])
    todo.update(digest for digest in store.record_digests() if store.attestations(digest, "registered"))
    kept: dict[str, Record] = {}
    stack = list(todo)
    while stack:
        digest = stack.pop()
        if digest not in kept:
            kept[digest] = store.get_record(digest)
            stack.extend(pin.record for pin in kept[digest].inputs)
    return kept


def collect(store: ArtifactStore, min_age: float = DEFAULT_MIN_AGE, dry_run: bool = False) -> Collected:
    """Remove unreachable records, objects, old heads and temp files. `min_age` is in seconds.

    Raises:
        Corrupt, NotFound: something reachable does not verify; nothing is removed then.
        LeaseHeld: another collection is under way.
    """
    with hold(store, "gc"):
        kept = reachable(store)
        backend = store.backend
        young = {d for d in store.record_digests() if d not in kept and backend.age(record_key(d)) < min_age}
        for digest in young:
            kept[digest] = store.get_record(digest)
        keep_objects = {object_key(ref.digest) for record in kept.values() for ref in record.objects().values()}
        dead_records = [digest for digest in store.record_digests() if digest not in kept]
        dead_objects = [k for k in backend.keys("objects") if k not in keep_objects and backend.age(k) >= min_age]
        dead_heads = _dead_heads(store, kept.keys())
        dead_attestations = [
            key for digest in dead_records for key in backend.keys(store.attestation_log(digest).prefix)
        ]
        old_runs = [key for key in backend.keys("runs") if backend.age(key) > RUN_AGE]
        size = sum(_size(store, key) for key in dead_objects)
        if not dry_run:
            # Heads first and objects last: what a half-done collection leaves is never a name without bytes.
            for key in old_runs + dead_heads + dead_attestations + [record_key(d) for d in dead_records] + dead_objects:
                backend.delete(key)
        swept = 0 if dry_run else backend.sweep()
        return Collected(len(dead_records), len(dead_objects), size, len(dead_heads), len(dead_attestations), swept)


def _dead_heads(store: ArtifactStore, kept: Set[str]) -> list[str]:
    dead: list[str] = []
    for asset, partition in store.head_numbers():
        log: Log = store.head_log(asset, partition)
        for seq in log.numbers()[:-1]:
            if log.get(seq).body["record"] not in kept:
                dead.append(f"{log.prefix}/{seq:08d}.json")
    return dead


def _size(store: ArtifactStore, key: str) -> int:
    try:
        with store.backend.open(key) as stream:
            return stream.seek(0, 2)
    except NotFound:
        return 0
