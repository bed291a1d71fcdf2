"""kill -9 at moments spread over every kind of write: nothing half-written is ever visible, nothing that was there is lost."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pyarrow as pa
import pytest

import ddd_llm.store
from ddd_llm.store.artifact_store import ArtifactStore, open_store
from ddd_llm.store.gc import collect
from ddd_llm.store.leases import hold
from ddd_llm.store.session import Session
from ddd_llm.store.verify import verify
from ddd_llm_tests.store.conftest import make_record

STORE_CODE = str(Path(ddd_llm.store.__file__).parent)
MOMENTS = 25


def write_object(store: ArtifactStore) -> str:
    return store.put_bytes(b"payload" * 1000, "text/plain").digest


def write_file(store: ArtifactStore) -> str:
    return store.put_file(Path(__file__)).digest


def write_table(store: ArtifactStore) -> str:
    table = store.put_table([("one", pa.table({"id": ["x"] * 500})), ("two", pa.table({"id": ["y"]}))])
    return " ".join(segment.object.digest for segment in table.segments)


def commit_record(store: ArtifactStore) -> str:
    return Session.begin(store, "run-2").commit(make_record(store, values=["new"], run_id="run-2")).record.data_version


def attest(store: ArtifactStore) -> str:
    held = Session.current(store).head("documents")
    assert held is not None
    store.attest(held.digest, "check", "complete", True, {}, by="test")
    return str(store.verdicts(held.digest))


def take_lease(store: ArtifactStore) -> str:
    with hold(store, "documents"):
        return "held"


def collect_garbage(store: ArtifactStore) -> str:
    collect(store, min_age=0)
    return "collected"


def dies_after(store: ArtifactStore, work: Callable[[ArtifactStore], str], lines: int) -> bool:
    """Run `work` in a child that SIGKILLs itself after so many executed lines of the store. True if it died so."""
    pid = os.fork()
    if pid == 0:
        count = 0

        def tracer(frame: FrameType, event: str, arg: Any) -> Any:
            nonlocal count
            if not frame.f_code.co_filename.startswith(STORE_CODE):
                return None
            if event == "line":
                count += 1
                if count >= lines:
                    os.kill(os.getpid(), signal.SIGKILL)
            return tracer

        status = 1
        try:
            sys.settrace(tracer)
            work(store)
            status = 0
        finally:
            os._exit(status)
    code = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(code) or os.WEXITSTATUS(code) == 0
    return os.WIFSIGNALED(code)


def lines_of(store: ArtifactStore, work: Callable[[ArtifactStore], str]) -> int:
    """How many lines of the store an undisturbed run of `work` executes (found by doubling, then halving)."""
    low, high = 1, 64
    while dies_after(prepared(store.backend.root.parent / f"probe{high}"), work, high):  # type: ignore[attr-defined]
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        fresh = prepared(store.backend.root.parent / f"probe{low}-{middle}")  # type: ignore[attr-defined]
        low, high = (middle, high) if dies_after(fresh, work, middle) else (low, middle)
    return low


def prepared(root: Path) -> ArtifactStore:
    """A store that holds one good version already, and some garbage."""
    store = open_store(root)
    Session.begin(store, "run-1").commit(make_record(store, values=["old"], run_id="run-1"))
    store.put_record(make_record(store, "abandoned", values=["never a head"]))
    return store


@pytest.mark.parametrize(
    "work", [write_object, write_file, write_table, commit_record, attest, take_lease, collect_garbage]
)
def test_killed_writes_leave_only_whole_records(tmp_path: Path, work: Callable[[ArtifactStore], str]) -> None:
    undisturbed = work(prepared(tmp_path / "undisturbed"))
    total = lines_of(prepared(tmp_path / "count"), work)
    moments = sorted({1 + total * i // MOMENTS for i in range(MOMENTS)})
    for moment in moments:
        store = prepared(tmp_path / f"killed-{moment}")
        assert dies_after(store, work, moment)
        assert verify(store).clean, moment
        head = Session.current(store).head("documents")
        assert head is not None
        values = store.read_table(head.record.tables["documents"])["id"].to_pylist()
        assert values in (["old"], ["new"]), moment
        assert work(store) == undisturbed, moment
        assert verify(store).clean, moment
        store.backend.sweep()
        assert list((tmp_path / f"killed-{moment}" / "tmp").iterdir()) == [], moment
