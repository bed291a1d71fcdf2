"""Snapshots, verdicts, diamonds, leases, garbage collection."""

from __future__ import annotations

import os
import signal
import time

import pyarrow as pa
import pytest

from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.errors import Diamond, HeadMoved, LeaseHeld, NotFound, StoreError, Unreadable
from ddd_llm.store.gc import collect
from ddd_llm.store.leases import hold, lease_log
from ddd_llm.store.log import safe_name
from ddd_llm.store.session import Held, Session
from ddd_llm.store.verify import verify
from ddd_llm_tests.store.conftest import make_record


def test_a_run_reads_the_heads_as_they_stood_when_it_began_plus_its_own(store: ArtifactStore) -> None:
    Session.begin(store, "first").commit(make_record(store, values=["1"], run_id="first"))
    reader = Session.begin(store, "reader")
    Session.begin(store, "second").commit(make_record(store, values=["2"], run_id="second"))
    same_run_elsewhere = Session.begin(store, "reader")
    for session in (reader, same_run_elsewhere):
        held = session.read("documents")
        assert store.read_table(held.record.tables["documents"])["id"].to_pylist() == ["1"]
    reader.commit(make_record(store, "other", values=["mine"], run_id="reader"))
    assert same_run_elsewhere.read("other").record.run_id == "reader"
    with pytest.raises(Unreadable, match="no record yet"):
        Session.begin(store, "nobody").read("absent")


def test_a_late_commit_on_old_data_is_refused_but_kept(store: ArtifactStore) -> None:
    slow, fast = Session.begin(store, "slow"), Session.begin(store, "fast")
    fast.commit(make_record(store, values=["new"], run_id="fast"))
    with pytest.raises(HeadMoved, match="kept"):
        slow.commit(make_record(store, values=["old"], run_id="slow"))
    assert Session.current(store).read("documents").record.run_id == "fast"
    assert len(list(store.record_digests())) == 2


def test_equal_work_of_two_runs_may_both_stand(store: ArtifactStore) -> None:
    one, two = Session.begin(store, "one"), Session.begin(store, "two")
    a = one.commit(make_record(store, run_id="one"))
    b = two.commit(make_record(store, run_id="two"))
    assert a.record.data_version == b.record.data_version
    assert store.head_log("documents").last_number() == 2


def test_a_record_is_readable_only_with_all_its_verdicts(store: ArtifactStore) -> None:
    session = Session.begin(store, "run")
    held = session.commit(make_record(store, checks=("complete", "clean")))
    store.attest(held.digest, "check", "complete", True, {}, by="test")
    with pytest.raises(Unreadable, match="clean has no verdict yet"):
        session.read("documents")
    store.attest(held.digest, "check", "clean", False, {}, by="test")
    with pytest.raises(Unreadable, match="clean failed"):
        Session.begin(store, "later").read("documents")
    store.attest(held.digest, "check", "clean", True, {}, by="test")
    assert session.read("documents").digest == held.digest


def test_a_diamond_of_two_versions_is_refused(store: ArtifactStore) -> None:
    first = Session.begin(store, "r1").commit(make_record(store, "split", ["1"], run_id="r1"))
    model = Session.begin(store, "r2").commit(make_record(store, "model", ["m"], (first.pin("input"),), "r2"))
    again = Session.begin(store, "r3").commit(make_record(store, "split", ["2"], run_id="r3"))
    joined = make_record(store, "report", ["x"], (model.pin("input"), again.pin("input")), "r4")
    with pytest.raises(Diamond, match="split"):
        Session.begin(store, "r4").commit(joined)
    compared = make_record(store, "report", ["x"], (model.pin("baseline"), again.pin("input")), "r4")
    Session.begin(store, "r4").commit(compared)


def test_equal_bytes_made_twice_are_no_diamond(store: ArtifactStore) -> None:
    first = Session.begin(store, "r1").commit(make_record(store, "split", ["1"], run_id="r1"))
    model = Session.begin(store, "r2").commit(make_record(store, "model", ["m"], (first.pin("input"),), "r2"))
    again = Session.begin(store, "r3").commit(make_record(store, "split", ["1"], run_id="r3"))
    assert again.digest != first.digest
    Session.begin(store, "r4").commit(
        make_record(store, "report", ["x"], (model.pin("input"), again.pin("input")), "r4")
    )


def test_a_change_above_equal_data_is_no_diamond(store: ArtifactStore) -> None:
    """corpus -> split -> {model, suite} -> report; the corpus changes, the split comes out the same, only the model is new."""
    old_corpus = Session.begin(store, "r1").commit(make_record(store, "corpus", ["1"], run_id="r1"))
    old_split = Session.begin(store, "r2").commit(make_record(store, "split", ["s"], (old_corpus.pin("input"),), "r2"))
    suite = Session.begin(store, "r3").commit(make_record(store, "suite", ["q"], (old_split.pin("input"),), "r3"))
    corpus = Session.begin(store, "r4").commit(make_record(store, "corpus", ["2"], run_id="r4"))
    split = Session.begin(store, "r5").commit(make_record(store, "split", ["s"], (corpus.pin("input"),), "r5"))
    model = Session.begin(store, "r6").commit(make_record(store, "model", ["m"], (split.pin("input"),), "r6"))
    inputs = (suite.pin("input"), model.pin("input"))
    Session.begin(store, "r7").commit(make_record(store, "report", ["x"], inputs, "r7"))
    direct = (*inputs, old_corpus.pin("input"))
    Session.begin(store, "r8").commit(make_record(store, "profile", ["x"], direct, "r8"))
    both = make_record(store, "mixed", ["x"], (corpus.pin("input"), *direct), "r9")
    with pytest.raises(Diamond, match="corpus"):
        Session.begin(store, "r9").commit(both)


def test_what_was_not_drawn_anew_rests_on_the_equal_data_of_now(store: ArtifactStore) -> None:
    """corpus -> {labels -> gold, split -> model} -> report; the corpus changes, the labels come out the same, so gold stays."""

    def made(name: str, value: str, *inputs: Held) -> Held:
        run = f"run-{name}-{value}"
        pins = tuple(one.pin("input") for one in inputs)
        return Session.begin(store, run).commit(make_record(store, name, [value], pins, run))

    before = made("corpus", "1")
    gold = made("gold", "g", made("labels", "l", before))
    after = made("corpus", "2")
    model = made("model", "m", made("split", "s", after))
    with pytest.raises(Diamond, match="corpus"):
        made("report", "early", gold, model)
    made("labels", "l", after)
    made("report", "x", gold, model)
    made("labels", "others", after)
    with pytest.raises(Diamond, match="corpus"):
        made("report", "late", gold, model)


def test_an_empty_batch_leaves_the_data_what_it_was(store: ArtifactStore) -> None:
    rows, none = pa.table({"id": ["a"]}), pa.table({"id": pa.array([], pa.string())})
    one = make_record(store).model_copy(update={"tables": {"t": store.put_table([("b1", rows)])}})
    two = make_record(store).model_copy(update={"tables": {"t": store.put_table([("b1", rows), ("b2", none)])}})
    empty = make_record(store).model_copy(update={"tables": {"t": store.put_table([("b2", none)])}})
    assert one.content == two.content != empty.content


def test_a_lease_is_exclusive_and_ends_with_its_process(store: ArtifactStore) -> None:
    with hold(store, "train"), pytest.raises(LeaseHeld, match=str(os.getpid())), hold(store, "train"):
        pass
    pid = os.fork()
    if pid == 0:
        with hold(store, "train"):
            time.sleep(60)
        os._exit(1)
    while not _held_by(store, pid):
        time.sleep(0.01)
    with pytest.raises(LeaseHeld), hold(store, "train"):
        pass
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with hold(store, "train"):
        pass


def _held_by(store: ArtifactStore, pid: int) -> bool:
    return any(f'"pid":{pid},'.encode() in store.backend.read(key) for key in store.backend.keys("leases"))


def test_a_lease_taken_over_forbids_the_commit(store: ArtifactStore) -> None:
    with hold(store, "train") as lease:
        log = lease_log(store, "train")
        log.append({"name": "train", "holder": "other", "host": "elsewhere", "pid": 1, "records": []}
                   | {"released": False, "expires": time.time() + 60})  # fmt: skip
        with pytest.raises(LeaseHeld, match="taken over"):
            lease.check()


def test_gc_keeps_what_heads_and_registrations_reach(store: ArtifactStore) -> None:
    old_input = Session.begin(store, "r0").commit(make_record(store, "raw", ["0"], run_id="r0"))
    released = Session.begin(store, "r1").commit(make_record(store, "model", ["1"], (old_input.pin("input"),), "r1"))
    store.attest(released.digest, "registered", "registered", True, {}, by="test")
    Session.begin(store, "r2").commit(make_record(store, "raw", ["2"], run_id="r2"))
    middle = Session.begin(store, "r3").commit(make_record(store, "model", ["3"], run_id="r3"))
    latest = Session.begin(store, "r4").commit(make_record(store, "model", ["4"], run_id="r4"))
    for key in list(store.backend.keys("runs")):
        store.backend.delete(key)
    orphan = store.put_bytes(b"never named by a record", "text/plain")
    assert collect(store, min_age=3600).objects == 0, "young things stay"
    dry = collect(store, min_age=0, dry_run=True)
    done = collect(store, min_age=0)
    assert (dry.records, dry.objects) == (done.records, done.objects) == (1, 2)
    with pytest.raises(NotFound):
        store.get_record(middle.digest)
    with pytest.raises(NotFound):
        store.read_bytes(orphan)
    for digest in (old_input.digest, released.digest, latest.digest):
        assert store.read_table(store.get_record(digest).tables["documents"]).num_rows == 1
    assert verify(store).clean


def test_gc_spares_what_a_live_run_may_still_read(store: ArtifactStore) -> None:
    Session.begin(store, "r1").commit(make_record(store, values=["1"], run_id="r1"))
    reader = Session.begin(store, "reader")
    Session.begin(store, "r2").commit(make_record(store, values=["2"], run_id="r2"))
    collect(store, min_age=0)
    assert store.read_table(reader.read("documents").record.tables["documents"])["id"].to_pylist() == ["1"]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "a\0b", "..", ".", "@", "x" * 150, "ü/ä", "CON", "-rf"]
)
def test_hostile_names_stay_inside_the_store(store: ArtifactStore, name: str) -> None:
    part = safe_name(name)
    assert "/" not in part and part not in (".", "..", "@") and "\0" not in part
    Session.begin(store, "run").commit(make_record(store, "documents", partition=name))
    assert store.partitions("documents") == [name]
    assert Session.current(store).read("documents", name).record.partition == name


def test_keys_cannot_climb(store: ArtifactStore) -> None:
    with pytest.raises(StoreError, match="not a store key"):
        store.backend.read("objects/../../secret")


def test_segments_of_one_table_have_one_schema(store: ArtifactStore) -> None:
    with pytest.raises(StoreError, match="columns"):
        store.put_table([("a", pa.table({"id": ["1"]})), ("b", pa.table({"id": [1]}))])
