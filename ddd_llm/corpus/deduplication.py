"""The work of `document_signatures` and `deduplicated_documents`: tables and files of the store, one batch at a time.

Here: what is read and written, and taking up an earlier record where it still holds. Not here: what a duplicate is
(`corpus.dedup`), pages (`reports.dedup`).

A signature record holds a table of sketches, one of MinHash signatures, and a file of shingle sets; no later step reads a
text to compare it. A deduplication record has a segment per batch of `documents`, `decisions` and `index` (the kept
documents' names, band keys and where their sets are, in keep order): to decide a new batch, the index of those before is
read and nothing else of them but the sets of candidates.
"""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.dedup.history import kept_rows, places_of, still_holds
from ddd_llm.corpus.dedup.leader import NAMES, Batch, Kept, decide
from ddd_llm.corpus.dedup.policy import DedupPolicy
from ddd_llm.corpus.dedup.sets import JoinedSets
from ddd_llm.corpus.dedup.sets_file import SetFile, checksums
from ddd_llm.corpus.dedup.signatures import SignatureConfig, Sketches, sketch
from ddd_llm.corpus.dedup.state import fold
from ddd_llm.platform.step import Step
from ddd_llm.store.artifact_store import object_key
from ddd_llm.store.errors import Corrupt, NotFound
from ddd_llm.store.session import Held

SETS = "sets.u64"
ROWS_AT_ONCE = 16_384
Opener: TypeAlias = Callable[[], BinaryIO]
INDEX_COLUMNS = [*NAMES, "set_start", "set_size", "set_sum", "bands"]


def sign(step: Step) -> Iterator[pa.Table]:
    """Write the sketches, signatures and shingle sets of a batch's documents; yields names and shingles of each part."""
    config = SignatureConfig.model_validate(step.config["signature"])
    progress = step.progress("documents sketched")
    path, start, done = step.scratch() / SETS, 0, 0
    with path.open("wb") as file:
        for _, rows, _ in step.segments("governed_documents"):
            # A batch without documents is one part without rows.
            for first in range(0, max(1, len(rows)), ROWS_AT_ONCE):
                part = rows.slice(first, ROWS_AT_ONCE)
                made = sketch(part["text"], config, signatures=True, sets=True)
                assert made.sets is not None and made.signatures is not None
                name = f"{step.partition}.{first // ROWS_AT_ONCE:04}"
                sketches = _sketches(part, made, start)
                step.add_segment("sketches", name, sketches)
                step.add_segment(
                    "signatures", name, pa.table({"id": part["id"], "signature": _binary(made.signatures)})
                )
                file.write(made.sets.hashes.astype("<u8", copy=False).data)
                start += len(made.sets.hashes)
                done += len(part)
                progress(done)
                yield sketches.select([*NAMES, "op", "shingles"])
    step.put_file(SETS, path)


def _sketches(rows: pa.Table, made: Sketches, start: int) -> pa.Table:
    assert made.sets is not None
    columns = {name: rows[name] for name in (*NAMES, "op", "date", "quality")}
    columns["bytes"] = pc.binary_length(rows["text"])
    columns["shingles"] = pa.array(made.shingles)
    columns["set_start"] = pa.array(made.sets.offsets[:-1] + start)
    columns["set_size"] = pa.array(made.sets.sizes.astype(np.int32))
    columns["set_sum"] = pa.array(checksums(made.sets))
    columns["bands"] = _binary(made.bands)
    return pa.table(columns)


def _binary(values: npt.NDArray[np.unsignedinteger]) -> pa.Array:
    width = values.itemsize * values.shape[1]
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(values), [None, pa.py_buffer(values)])


def band_keys(column: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """A `bands` column as numbers, shape (rows, bands)."""
    width = column.type.byte_width // 8
    parts = [
        np.frombuffer(chunk.buffers()[1], "<u8", len(chunk) * width, chunk.offset * 8 * width)
        for chunk in column.chunks
        if len(chunk)
    ]
    keys = parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, "<u8"), *parts])
    return keys.astype(np.uint64, copy=False).reshape(-1, width)


@dataclass(frozen=True)
class Decided:
    """One batch's outcome."""

    batch: str
    decisions: pa.Table


@dataclass(frozen=True)
class _Run:
    """What every batch of one step is decided with."""

    step: Step
    policy: DedupPolicy
    batches: list[str]
    history: Kept


def deduplicate_batches(step: Step) -> Iterator[Decided]:
    """Decide every batch and write its segments; batches that an earlier record decided are taken over where that holds."""
    policy = DedupPolicy.model_validate(step.config)
    governed, signed = step.inputs("governed_documents"), step.inputs("document_signatures")
    names = [held.record.partition or "" for held in governed]
    openers = [_opener(step, held) for held in signed]
    history = Kept()
    run = _Run(step, policy, names, history)
    earlier, decided = _taken_up(step, policy)
    for number, (before, now) in enumerate(decided):
        assert earlier is not None
        yield _take_over(run, earlier, number, before, now, openers[number])
    first = len(decided)
    step.summary |= {"batches_decided": len(names) - first, "batches_taken_over": first}
    with step.timed("fold batches"):
        whys = fold([_sketch_rows(step, held, ["source", "locator", "op"]) for held in signed[first:]])
    if step.settings.spark_master:
        from ddd_llm.corpus.deduplication_spark import decide_on_spark

        with step.timed("decide"):
            answers = decide_on_spark(step, step.settings.spark_master, policy, governed, whys)
        for held, signs, name, decisions, opener in zip(governed, signed, names, answers, openers, strict=True):
            yield _write(run, held, name, _sketch_rows(step, signs), decisions, opener)
        return
    if policy.history_first:
        for place in range(first, len(names)):
            with step.timed("decide"):
                rows = _sketch_rows(step, signed[place])
                batch = _batch(rows, names[place], whys[place - first], openers[place])
                decisions = decide(batch, history, policy, names)
            yield _write(run, governed[place], names[place], rows, decisions, openers[place])
        return
    with step.timed("decide"):
        tables = [_sketch_rows(step, held) for held in signed]
        parts = [_batch(*part) for part in zip(tables, names, whys, openers, strict=True)]
        whole = Batch(
            pa.concat_tables([part.rows for part in parts]), partial(np.concatenate, [part.bands() for part in parts]),
            JoinedSets([part.sets for part in parts], [len(part.rows) for part in parts]),
            pa.concat_arrays([part.why for part in parts]),
        )  # fmt: skip
        decisions = decide(whole, history, policy, names)
    begin = 0
    for held, name, rows, opener in zip(governed, names, tables, openers, strict=True):
        yield _write(run, held, name, rows, decisions.slice(begin, len(rows)), opener)
        begin += len(rows)


def _sketch_rows(step: Step, held: Held, columns: list[str] | None = None) -> pa.Table:
    return step.store.read_table(held.record.tables["sketches"], columns)


def _opener(step: Step, held: Held) -> Opener:
    key = object_key(held.record.files[SETS].digest)
    return lambda: step.store.backend.open(key)


def _batch(rows: pa.Table, name: str, why: pa.Array, opener: Opener) -> Batch:
    named = rows.drop_columns(["bands"]).append_column("batch", pa.repeat(pa.scalar(name), len(rows)))
    return Batch(named, partial(band_keys, rows["bands"]), _set_file(rows, opener), why)


def _set_file(rows: pa.Table, opener: Opener) -> SetFile:
    return SetFile(opener, *(rows[name].to_numpy() for name in ("set_start", "set_size", "set_sum")))


def _remember(history: Kept, index: pa.Table, opener: Opener) -> None:
    history.names.append(index.select(NAMES))
    history.bands.append(band_keys(index["bands"]))
    history.sets.append(_set_file(index, opener))


def _write(run: _Run, governed: Held, name: str, rows: pa.Table, decisions: pa.Table, opener: Opener) -> Decided:
    step = run.step
    kept = pc.equal(decisions["verdict"], "kept")
    with step.timed("write"):
        documents = step.store.read_table(governed.record.tables["documents"])
        if not documents["id"].equals(rows["id"]):
            raise Corrupt(f"batch {name}: its signatures are of other rows than its documents")
        documents = documents.append_column("batch", pa.repeat(pa.scalar(name), len(documents)))
        step.add_segment("documents", name, documents.drop_columns(["op"]).filter(kept))
        step.add_segment("decisions", name, decisions)
        named = rows.append_column("batch", pa.repeat(pa.scalar(name), len(rows)))
        chosen = kept_rows(named.drop_columns(["bands"]), decisions, run.policy, run.batches)
        index = rows.select(INDEX_COLUMNS).take(pa.array(chosen))
        step.add_segment("index", name, index)
    _remember(run.history, index, opener)
    del documents
    pa.default_memory_pool().release_unused()
    return Decided(name, decisions)


def _taken_up(step: Step, policy: DedupPolicy) -> tuple[Held | None, list[tuple[pa.Table, pa.Table]]]:
    """An earlier record whose batches are the first of these; per batch its decisions then, and as later batches leave them."""
    # Spark decides everything anew: it is there for corpora that one machine does not hold.
    earlier = step.previous() if policy.history_first and not step.settings.spark_master else None
    if earlier is None:
        return None, []
    then = {(pin.asset, pin.partition): pin.content for pin in earlier.record.inputs}
    segments = earlier.record.tables["decisions"].segments
    inputs = step.inputs("governed_documents"), step.inputs("document_signatures")
    pins = [held.pin("input") for records in inputs for held in records[: len(segments)]]
    if {(pin.asset, pin.partition): pin.content for pin in pins} != then:
        return None, []
    with step.timed("take over"):
        try:
            decisions = [step.store.read_segment(segment) for segment in segments]
        except (Corrupt, NotFound) as error:
            step.log.warning(f"{step.node.name}: deciding all batches anew, the earlier record is damaged: {error}")
            return None, []
        later = [_sketch_rows(step, held, ["source", "locator", "op"]) for held in inputs[1][len(segments) :]]
        now = still_holds(decisions, later) if later else decisions
    if now is None:
        step.log.info(f"{step.node.name}: deciding all batches anew, because a document that stood for others is gone")
        return None, []
    return earlier, list(zip(decisions, now, strict=True))


def _take_over(run: _Run, earlier: Held, number: int, before: pa.Table, now: pa.Table, opener: Opener) -> Decided:
    step = run.step
    tables = earlier.record.tables
    name = tables["decisions"].segments[number].name
    with step.timed("take over"):
        index = step.store.read_segment(tables["index"].segments[number])
        if now is before:
            for table in ("documents", "decisions", "index"):
                step.keep_segment(table, tables[table], tables[table].segments[number])
        else:
            # What is kept was kept before.
            kept = pc.equal(now["verdict"], "kept").filter(pc.equal(before["verdict"], "kept"))
            documents = step.store.read_segment(tables["documents"].segments[number])
            still = places_of(now.filter(pc.equal(now["verdict"], "kept"))).combine_chunks()
            index = index.filter(pc.is_in(places_of(index), value_set=still))
            step.add_segment("documents", name, documents.filter(kept))
            step.add_segment("decisions", name, now)
            step.add_segment("index", name, index)
    _remember(run.history, index, opener)
    return Decided(name, now)
