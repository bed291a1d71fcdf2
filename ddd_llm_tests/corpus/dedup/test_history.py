"""Batches one after the other: what an earlier run decided, taken up, equals deciding everything anew."""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

import io

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ddd_llm.corpus.dedup.history import remember, still_holds
from ddd_llm.corpus.dedup.leader import Batch, Kept, decide
from ddd_llm.corpus.dedup.policy import DedupPolicy
from ddd_llm.corpus.dedup.sets import JoinedSets, TextSets, shingle_sets
from ddd_llm.corpus.dedup.sets_file import DamagedSets, SetFile, checksums
from ddd_llm.corpus.dedup.signatures import sketch
from ddd_llm.corpus.dedup.state import fold
from ddd_llm_tests.corpus.dedup.strategies import similar_texts, small_text

POLICY = DedupPolicy()
text = similar_texts() | small_text | st.sampled_from(["", "...", "one two", "One two."])
row = st.tuples(
    st.sampled_from("st"), st.integers(0, 9).map(str), st.sampled_from(["add", "add", "update", "delete"]), text
)
batches = st.lists(st.lists(row, max_size=8), min_size=2, max_size=4)


def table(number: int, content: list[tuple[str, str, str, str]]) -> pa.Table:
    """Rows of a batch with their sketches; a place occurs once in a batch, as ingest makes them."""
    once = list({(source, locator): (source, locator, op, text) for source, locator, op, text in content}.values())
    texts = pa.array(["" if op == "delete" else text for _, _, op, text in once], pa.string())
    made = sketch(texts, POLICY.signature, threads=1)
    return pa.table(
        {
            "id": pa.array([f"id-{text}" for *_, text in once], pa.string()),
            "source": pa.array([source for source, *_ in once], pa.string()),
            "locator": pa.array([locator for _, locator, *_ in once], pa.string()),
            "op": pa.array([op for _, _, op, _ in once], pa.string()),
            "batch": pa.array([f"b{number}"] * len(once), pa.string()),
            "date": pa.nulls(len(once), pa.string()),
            "quality": pa.nulls(len(once), pa.float64()),
            "bytes": pc.binary_length(texts),
            "shingles": pa.array(made.shingles),
            "bands": pa.array([row.tobytes() for row in made.bands], pa.binary(8 * made.bands.shape[1])),
            "text": texts,
        }
    )


def prepared(rows: pa.Table, why: pa.Array) -> Batch:
    width = POLICY.signature.bands
    bands = np.frombuffer(b"".join(rows["bands"].to_pylist()), "<u8").reshape(-1, width).astype(np.uint64)
    return Batch(rows, lambda: bands, TextSets(rows["text"], POLICY.signature.ngram, 1), why)


def decide_from(tables: list[pa.Table], earlier: list[pa.Table]) -> list[pa.Table]:
    """Decisions on all batches, those of the first ones given."""
    names = [f"b{number}" for number in range(len(tables))]
    history, decided = Kept(), list(earlier)
    for rows, decisions in zip(tables, earlier, strict=False):
        remember(history, prepared(rows, pa.nulls(len(rows), pa.string())), decisions, POLICY, names)
    later = tables[len(earlier) :]
    for rows, why in zip(later, fold(later), strict=True):
        batch = prepared(rows, why)
        decided.append(decide(batch, history, POLICY, names))
        remember(history, batch, decided[-1], POLICY, names)
    return decided


@settings(max_examples=80)  # the first call compiles
@given(batches, st.integers(1, 3))
@example([[("t", "6", "add", "a")], [("t", "6", "delete", "")], [("t", "6", "add", "a")]], 2)  # deleted, then back
def test_taking_up_equals_deciding_anew(contents: list[list[tuple[str, str, str, str]]], known: int) -> None:
    tables = [table(number, content) for number, content in enumerate(contents)]
    known = min(known, len(tables) - 1)
    anew = decide_from(tables, [])
    before = decide_from(tables[:known], [])
    now = still_holds(before, tables[known:])
    if now is not None:
        assert decide_from(tables, now) == anew
        assert all(a is b for a, b in zip(before, now, strict=True) if a.equals(b))


def documents(texts: dict[str, str], op: str = "add") -> list[tuple[str, str, str, str]]:
    return [("s", locator, op, text) for locator, text in texts.items()]


LONG = " ".join(f"word{i}" for i in range(60))


def test_new_documents_touch_nothing_before() -> None:
    tables = [table(0, documents({"1": LONG, "2": "other text"})), table(1, documents({"3": f"{LONG} more"}))]
    before = decide_from(tables[:1], [])
    now = still_holds(before, tables[1:])
    assert now is not None and now[0] is before[0]
    last = decide_from(tables, now)[1].to_pylist()[0]
    assert (last["reason"], last["kept_locator"], last["jaccard"]) == ("near_duplicate", "1", 56 / 57)


def test_a_document_that_nothing_rests_on_goes_alone() -> None:
    tables = [table(0, documents({"1": LONG, "2": "other text"})), table(1, documents({"2": ""}, "delete"))]
    now = still_holds(decide_from(tables[:1], []), tables[1:])
    assert now is not None
    assert [(r["verdict"], r["reason"]) for r in now[0].to_pylist()] == [("kept", None), ("dropped", "deleted")]


def test_decided_anew_when_a_leader_goes() -> None:
    tables = [table(0, documents({"1": LONG, "2": f"{LONG} more"})), table(1, documents({"2": "edited"}, "update"))]
    before = decide_from(tables[:1], [])
    assert still_holds(before, tables[1:]) is None
    anew = decide_from(tables, [])
    assert [(r["verdict"], r["reason"]) for r in anew[0].to_pylist()] == [("kept", None), ("dropped", "superseded")]


@given(st.lists(similar_texts() | small_text, min_size=1, max_size=12), st.data())
def test_sets_come_from_files_and_joined_sources_as_they_went_in(texts: list[str], data: st.DataObject) -> None:
    sets = shingle_sets(pa.array(texts), 5)
    stored = sets.hashes.astype("<u8").tobytes()
    file = SetFile(lambda: io.BytesIO(stored), sets.offsets[:-1], sets.sizes.astype(np.int32), checksums(sets))
    rows = np.array(data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=15)), np.int64)
    expected = [sets.hashes[sets.offsets[r] : sets.offsets[r + 1]].tolist() for r in rows]
    cut = data.draw(st.integers(0, len(texts)))
    parts = [TextSets(pa.array(texts[:cut], pa.string()), 5, 1), TextSets(pa.array(texts[cut:], pa.string()), 5, 1)]
    for source in (file, JoinedSets(parts, [cut, len(texts) - cut])):
        found = source(rows)
        assert [found.hashes[a:b].tolist() for a, b in zip(found.offsets, found.offsets[1:], strict=False)] == expected


def test_one_flipped_bit_in_a_set_is_noticed() -> None:
    sets = shingle_sets(pa.array([LONG, f"{LONG} more"]), 5)
    data = bytearray(sets.hashes.astype("<u8").tobytes())
    for bit in range(0, 8 * len(data), 37):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << (bit % 8)
        file = SetFile(
            lambda stored=bytes(flipped): io.BytesIO(stored),
            sets.offsets[:-1],
            sets.sizes.astype(np.int32),
            checksums(sets),
        )
        with pytest.raises(DamagedSets):
            file(np.arange(2))
    short = SetFile(
        lambda: io.BytesIO(bytes(data[:-8])), sets.offsets[:-1], sets.sizes.astype(np.int32), checksums(sets)
    )
    with pytest.raises(DamagedSets, match="shorter"):
        short(np.arange(2))
