"""Signatures and deduplication as steps over a store: segments, taking up an earlier record, damage."""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from ddd_llm.corpus import deduplication
from ddd_llm.corpus.dedup.memory import deduplicate
from ddd_llm.corpus.dedup.policy import DedupPolicy
from ddd_llm.corpus.deduplication import SETS, deduplicate_batches, sign
from ddd_llm.corpus.reports.dedup import report_deduplicated
from ddd_llm.corpus.reports.similar import report_signatures
from ddd_llm.corpus.schemas import GOVERNED
from ddd_llm.platform.nodes import Expected, Node
from ddd_llm.platform.settings import Settings, load_settings
from ddd_llm.platform.step import Step
from ddd_llm.store.artifact_store import ArtifactStore, object_key, open_store
from ddd_llm.store.errors import Corrupt
from ddd_llm.store.session import Held, Session

RUN = iter(range(10**6))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"DDD_LLM_HOME": str(tmp_path), "DDD_LLM_KEYS": str(tmp_path / "keys")})


def run(
    settings: Settings,
    name: str,
    partition: str | None,
    held: dict[str, list[Held]],
    config: dict,
    work: Callable[[Step], None],
) -> Held:
    session = Session.begin(open_store(settings.store), f"run-{next(RUN)}")
    node = Node(name, "corpus", lambda step: None, partitioned=partition is not None)
    pins = tuple(one.pin("input") for records in held.values() for one in records)
    step = Step(
        session, node, settings, Expected(pins, held, config, "c" * 32, "f" * 64), partition, logging.getLogger("test")
    )
    try:
        work(step)
        return step.commit()
    finally:
        step.clean()


def governed(settings: Settings, batch: str, rows: list[tuple[str, str, str]]) -> Held:
    """A batch of (op, locator, text)."""
    table = pa.Table.from_pylist(
        [
            {
                "id": f"id-{text}" if op != "delete" else "gone", "source": "s", "locator": locator, "op": op, "title": locator,
                "text": text if op != "delete" else None, "identifiers": 0, "language": "en", "licence": "MIT",
            }
            for op, locator, text in rows
        ],
        schema=GOVERNED,
    )  # fmt: skip
    return run(settings, "governed_documents", batch, {}, {}, lambda step: step.put_table("documents", table, batch))


def signed(settings: Settings, batch: Held) -> Held:
    config = {"signature": DedupPolicy().signature.model_dump(mode="json")}
    inputs = {"governed_documents": [batch]}
    name = batch.record.partition
    return run(settings, "document_signatures", name, inputs, config, lambda step: report_signatures(step, sign(step)))


def deduplicated(
    settings: Settings, batches: list[Held], policy: DedupPolicy = DedupPolicy(), sketches: list[Held] | None = None
) -> Held:
    sketches = sketches or [signed(settings, batch) for batch in batches]
    inputs = {"governed_documents": batches, "document_signatures": sketches}

    def work(step: Step) -> None:
        report_deduplicated(step, list(deduplicate_batches(step)))

    return run(settings, "deduplicated_documents", None, inputs, policy.model_dump(mode="json"), work)


def table(store: ArtifactStore, held: Held, name: str) -> pa.Table:
    return store.read_table(held.record.tables[name])


def corpus(seed: int, documents: int) -> list[tuple[str, str, str]]:
    generator = random.Random(seed)
    base = [[f"w{generator.randrange(500)}" for _ in range(40)] for _ in range(max(1, documents // 3))]
    rows = []
    for number in range(documents):
        words = list(generator.choice(base))
        if generator.random() < 0.7:
            words[generator.randrange(40)] = f"x{generator.randrange(5)}"
        rows.append(("add", f"{seed}-{number:04}", " ".join(words)))
    return rows


def test_steps_decide_as_the_call_in_memory_does(settings: Settings) -> None:
    contents = [corpus(seed, 120) for seed in (1, 1, 2)]
    contents[1] = [(op, f"again-{locator}", text) for op, locator, text in contents[1]]
    batches = [governed(settings, f"batch-{number}", rows) for number, rows in enumerate(contents)]
    held = deduplicated(settings, batches)
    store = open_store(settings.store)
    decisions = table(store, held, "decisions")
    documents = pa.concat_tables(
        [table(store, one, "documents").append_column("batch", pa.repeat(one.record.partition, 120)) for one in batches]
    )
    expected = deduplicate(documents, DedupPolicy())
    assert decisions.equals(expected.decisions)
    assert table(store, held, "documents")["locator"].equals(expected.kept["locator"])
    assert {"exact_duplicate", "near_duplicate"} == set(decisions["reason"].drop_null().to_pylist())
    assert held.record.summary["documents_in"] == 360 == held.record.summary["kept"] + held.record.summary["dropped"]
    page = store.read_bytes(held.record.files["report/index.html"]).decode()
    assert "Largest groups" in page and "<mark>" in page


@pytest.mark.parametrize("order", [("batch", "longest"), ("longest", "locator")])
def test_taking_up_an_earlier_record_gives_the_record_of_deciding_anew(
    settings: Settings, tmp_path: Path, order
) -> None:
    policy = DedupPolicy(order=order)
    second = [*corpus(2, 30), ("add", "new", f"{corpus(1, 150)[7][2]} tail")]
    edits = [("update", "1-0003", "edited beyond recognition"), ("delete", "1-0004", "")]
    contents = [corpus(1, 150), second, edits]
    for count in (1, 2, 3):
        home = str(tmp_path / f"other{count}")
        other = load_settings({"DDD_LLM_HOME": home, "DDD_LLM_KEYS": str(tmp_path / "keys")})
        grown, anew = (
            deduplicated(at, [governed(at, f"batch-{n}", rows) for n, rows in enumerate(contents[:count])], policy)
            for at in (settings, other)
        )
        assert grown.record.content == anew.record.content
        assert anew.record.summary["batches_taken_over"] == 0
        if order[0] == "batch" and count == 2:
            assert grown.record.summary["batches_taken_over"] == 1


def test_a_new_batch_reads_no_text_of_those_before(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = [governed(settings, "batch-0", corpus(1, 200))]
    deduplicated(settings, batches)
    batches.append(governed(settings, "batch-1", [("add", "new", f"{corpus(1, 200)[5][2]} tail")]))
    sketches = [signed(settings, batch) for batch in batches]
    read: list[str] = []
    whole = ArtifactStore.read_segment

    def spy(self: ArtifactStore, segment, columns=None):
        read.append(segment.object.digest)
        return whole(self, segment, columns)

    monkeypatch.setattr(ArtifactStore, "read_segment", spy)
    held = deduplicated(settings, batches, sketches=sketches)
    assert held.record.summary["batches_taken_over"] == 1
    assert table(open_store(settings.store), held, "decisions")["reason"].to_pylist()[-1] == "near_duplicate"
    texts = {s.object.digest for s in batches[0].record.tables["documents"].segments}
    assert not texts & set(read)


def test_a_damaged_set_stops_the_step(settings: Settings) -> None:
    batches = [governed(settings, "batch-0", corpus(1, 60))]
    sketches = signed(settings, batches[0])
    digest = sketches.record.files[SETS].digest
    path = Path(settings.store) / object_key(digest)
    data = bytearray(path.read_bytes())
    for place in range(0, len(data), 64):
        data[place] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))
    inputs = {"governed_documents": batches, "document_signatures": [sketches]}
    with pytest.raises(Corrupt, match="checksum"):
        run(
            settings, "deduplicated_documents", None, inputs, DedupPolicy().model_dump(mode="json"),
            lambda step: report_deduplicated(step, list(deduplicate_batches(step))),
        )  # fmt: skip


def test_parts_of_a_large_batch_change_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = governed(settings, "batch-0", corpus(1, 100))
    whole = deduplicated(settings, [batch])
    monkeypatch.setattr(deduplication, "ROWS_AT_ONCE", 7)
    parts = deduplicated(settings, [batch])
    store = open_store(settings.store)
    assert table(store, whole, "decisions").equals(table(store, parts, "decisions"))


def test_an_empty_batch(settings: Settings) -> None:
    held = deduplicated(settings, [governed(settings, "batch-0", [])])
    assert held.record.rows == 0


def test_the_setting_that_names_spark_gives_the_record_of_the_local_engine(tmp_path: Path) -> None:
    pytest.importorskip("pyspark")
    contents = [corpus(1, 120), [*corpus(2, 40), ("update", "1-0003", "edited"), ("delete", "1-0004", "")]]
    records = []
    for home, master in (("local", ""), ("spark", "local[2]")):
        environ = {
            "DDD_LLM_HOME": str(tmp_path / home),
            "DDD_LLM_KEYS": str(tmp_path / "keys"),
            "DDD_LLM_SPARK_MASTER": master,
        }
        at = load_settings(environ)
        records.append(deduplicated(at, [governed(at, f"batch-{n}", rows) for n, rows in enumerate(contents)]).record)
    assert records[0].content == records[1].content
