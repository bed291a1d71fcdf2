"""Leases: long work says "I am on it", so that two trainers never do one piece of work.

A lease ends by release, by the death of its process (seen at once on the same machine) or by time (elsewhere).
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.backend import pid_alive
from ddd_llm.store.errors import HeadMoved, LeaseHeld
from ddd_llm.store.log import Entry, Log, safe_name

TTL = 120.0
KEEP = 2


def lease_log(store: ArtifactStore, name: str) -> Log:
    """The entries of one lease."""
    return Log(store.backend, f"leases/{safe_name(name)}")


def active(entry: Entry | None, clock: Callable[[], float] = time.time) -> bool:
    """Whether the last entry of a lease says that somebody holds it."""
    if entry is None or entry.body["released"]:
        return False
    if entry.body["host"] == socket.gethostname() and not pid_alive(entry.body["pid"]):
        return False
    return clock() < entry.body["expires"]


class Lease:
    """A held lease. Renewed by a thread; `check()` before a commit tells whether it is still ours."""

    def __init__(self, log: Log, name: str, body: dict[str, Any], entry: Entry, ttl: float) -> None:
        self._log, self._name, self._body, self._ttl = log, name, body, ttl
        self._seq = entry.seq
        self._lost = False
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._renew, daemon=True, name=f"lease-{name}")
        self._thread.start()

    def _renew(self) -> None:
        while not self._stop.wait(self._ttl / 4):
            self._append(released=False)

    def _append(self, released: bool) -> None:
        with self._lock:
            if self._lost:
                return
            try:
                body = self._body | {"released": released, "expires": time.time() + self._ttl}
                self._seq = self._log.append(body, self._seq).seq
                for number in self._log.numbers()[:-KEEP]:
                    self._log.drop(number)
            except HeadMoved:
                self._lost = True

    def check(self) -> None:
        """Raises LeaseHeld when somebody else took the lease over meanwhile."""
        self._append(released=False)
        if self._lost:
            raise LeaseHeld(f"the lease on {self._name} was taken over by another process: this run must not commit")

    def release(self) -> None:
        """Give the lease back."""
        self._stop.set()
        self._thread.join()
        self._append(released=True)


@contextmanager
def hold(store: ArtifactStore, name: str, records: list[str] | None = None, ttl: float = TTL) -> Iterator[Lease]:
    """Hold a lease for the time of a block. `records` are kept from garbage collection meanwhile.

    Raises:
        LeaseHeld: somebody holds it; the message names who.
    """
    log = lease_log(store, name)
    body = {
        "name": name,
        "holder": uuid.uuid4().hex,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "records": records or [],
    }
    latest = log.latest()
    if active(latest):
        assert latest is not None
        who = f"process {latest.body['pid']} on {latest.body['host']}"
        raise LeaseHeld(f"{name} is being worked on by {who}: wait for it, or stop it, then materialise again")
    try:
        first = log.append(body | {"released": False, "expires": time.time() + ttl}, latest.seq if latest else 0)
    except HeadMoved:
        raise LeaseHeld(f"{name} was taken by another process just now: wait for it, then materialise again") from None
    lease = Lease(log, name, body, first, ttl)
    try:
        yield lease
    finally:
        lease.release()


def held_records(store: ArtifactStore) -> set[str]:
    """Records that active leases keep from garbage collection."""
    names = {key.split("/")[1] for key in store.backend.keys("leases")}
    kept: set[str] = set()
    for name in names:
        latest = Log(store.backend, f"leases/{name}").latest()
        if latest is not None and active(latest):
            kept.update(latest.body["records"])
    return kept
