"""Whatever the order of writes, reads, crashes and concurrent writes: only whole, verifiable records, and nothing lost."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddd_llm.store.artifact_store import ArtifactStore, open_store
from ddd_llm.store.backend import LocalBackend
from ddd_llm.store.canonical import canonical_json, digest_value, parquet_bytes
from ddd_llm.store.errors import Corrupt, HeadMoved, NotFound
from ddd_llm.store.session import Session
from ddd_llm.store.verify import verify
from ddd_llm_tests.store.conftest import make_record

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


class Crash(Exception):
    """Stands for the death of the process between two operations of the backend."""


class Crashing(LocalBackend):
    """Dies before the n-th publication."""

    def __init__(self, root: Path, after: int) -> None:
        super().__init__(root)
        self.left = after

    def create(self, key: str, data: bytes | Path) -> bool:
        self.left -= 1
        if self.left < 0:
            raise Crash
        return super().create(key, data)


Action = tuple[str, int, int]


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.sampled_from(["write", "crash", "race", "read"]), st.integers(0, 3), st.integers(0, 8)),
        max_size=12,
    )
)
def test_any_sequence_leaves_only_whole_records(actions: list[Action]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        store = open_store(root)
        truth: dict[str, list[str]] = {}
        for step, (action, which, number) in enumerate(actions):
            asset, values = f"asset{which}", [f"{step}-{i}" for i in range(number)]
            run = f"run-{step}"
            if action == "write":
                Session.begin(store, run).commit(make_record(store, asset, values, run_id=run))
                truth[asset] = values
            elif action == "crash":
                dying = ArtifactStore(Crashing(root, number))
                try:
                    Session.begin(dying, run).commit(make_record(dying, asset, values, run_id=run))
                    truth[asset] = values
                except Crash:
                    pass
            elif action == "race":
                first, second = Session.begin(store, run + "a"), Session.begin(store, run + "b")
                first.commit(make_record(store, asset, values, run_id=run + "a"))
                with pytest.raises(HeadMoved):
                    second.commit(make_record(store, asset, [*values, "late"], run_id=run + "b"))
                truth[asset] = values
            for name, expected in truth.items():
                head = Session.current(store).head(name)
                assert head is not None
                assert store.read_table(head.record.tables["documents"])["id"].to_pylist() == expected
        found = verify(store)
        assert found.clean, found


def test_two_processes_writing_one_asset_lose_nothing(store: ArtifactStore) -> None:
    children = []
    for child in range(2):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                for i in range(20):
                    record = make_record(store, values=[f"{child}-{i}"], run_id=f"{child}-{i}")
                    store.move_head(store.put_record(record), record)
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0]
    entries = list(store.head_log("documents").entries())
    assert [e.seq for e in entries] == list(range(1, 41))
    runs = {store.get_record(e.body["record"]).run_id for e in entries}
    assert runs == {f"{child}-{i}" for child in range(2) for i in range(20)}
    assert verify(store).clean


@settings(max_examples=40)
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), which=st.integers(0, 10**6))
def test_a_flipped_bit_anywhere_is_found(position: float, bit: int, which: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder))
        held = Session.begin(store, "run").commit(make_record(store, checks=("ok",)))
        store.attest(held.digest, "check", "ok", True, {}, by="test")
        keys = sorted(k for top in ("objects", "records", "attestations", "heads") for k in store.backend.keys(top))
        key = keys[which % len(keys)]
        path = Path(folder, key)
        data = bytearray(path.read_bytes())
        data[int(position * len(data))] ^= 1 << bit
        path.write_bytes(data)
        assert verify(store).corrupt == [key]
        with pytest.raises((Corrupt, NotFound)):
            _read_all(store)


def _read_all(store: ArtifactStore) -> pa.Table:
    return store.read_table(Session.current(store).read("documents").record.tables["documents"])


def test_a_damaged_object_is_healed_by_writing_it_again(store: ArtifactStore, tmp_path: Path) -> None:
    ref = store.put_bytes(b"good", "text/plain")
    (tmp_path / "store" / "objects" / ref.digest[:2] / ref.digest).write_bytes(b"evil")
    with pytest.raises(Corrupt, match=ref.digest):
        store.read_bytes(ref)
    store.put_bytes(b"good", "text/plain")
    assert store.read_bytes(ref) == b"good"


def test_a_deleted_object_is_missing_unless_a_statement_says_erased(store: ArtifactStore, tmp_path: Path) -> None:
    held = Session.begin(store, "run").commit(make_record(store))
    (ref,) = held.record.objects().values()
    key = f"objects/{ref.digest[:2]}/{ref.digest}"
    store.backend.delete(key)
    assert verify(store).missing == [key]
    store.attest(held.digest, "erasure", "subject request", True, {"objects": [ref.digest]}, by="test")
    found = verify(store)
    assert (found.missing, found.erased, found.clean) == ([], [key], True)


@given(JSON)
def test_canonical_json_is_one_form_per_value(value: Any) -> None:
    assert canonical_json(value) == canonical_json(_reordered(value))


def _reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _reordered(value[k]) for k in reversed(list(value))}
    return [_reordered(v) for v in value] if isinstance(value, list) else value


def test_canonical_json_refuses_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        digest_value(float("nan"))


@given(rows=st.lists(st.text(), max_size=20), cut=st.integers(0, 20))
def test_parquet_bytes_do_not_depend_on_chunks_or_metadata(rows: list[str], cut: int) -> None:
    whole = pa.table({"text": pa.array(rows, pa.string())})
    pieces = pa.concat_tables([whole.slice(0, cut), whole.slice(cut)]).replace_schema_metadata({"made": "today"})
    assert parquet_bytes(whole) == parquet_bytes(pieces)
