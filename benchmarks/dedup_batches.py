"""What a new batch costs, and what memory many batches take: the two steps of deduplication over a store.

    python benchmarks/dedup_batches.py [--docs N] [--share 0.01] [--batches K] [--json]

A corpus with planted near-duplicates (`_dedup_corpus`) comes as one batch, then a share of it more as a second one: CPU
seconds of `document_signatures` and `deduplicated_documents` for each, without their report pages. Then the same corpus
comes in K batches in a process of its own, whose peak memory beyond the idle process (its code loaded) and the text of one
batch is told per document; and, to see what of it grows with the documents, a tenth of them in a tenth of the batches.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from _dedup_corpus import planted_corpus

from ddd_llm.corpus.dedup.policy import DedupPolicy
from ddd_llm.corpus.deduplication import deduplicate_batches, sign
from ddd_llm.corpus.schemas import GOVERNED
from ddd_llm.platform.nodes import Expected, Node
from ddd_llm.platform.settings import Settings, load_settings
from ddd_llm.platform.step import Step
from ddd_llm.store.artifact_store import open_store
from ddd_llm.store.session import Held, Session

POLICY = DedupPolicy()


def step(settings: Settings, run: str, name: str, partition: str | None, held: dict[str, list[Held]], config: dict[str, Any],
         work: Callable[[Step], Any]) -> Held:  # fmt: skip
    """One materialisation, without Dagster."""
    session = Session.begin(open_store(settings.store), run)
    node = Node(name, "corpus", lambda step: None, partitioned=partition is not None)
    pins = tuple(one.pin("input") for records in held.values() for one in records)
    expected = Expected(pins, held, config, "c" * 32, f"{name}{partition}{run}")
    made = Step(session, node, settings, expected, partition, logging.getLogger("benchmark"))
    try:
        work(made)
        return made.commit()
    finally:
        made.clean()


def governed(settings: Settings, batch: str, rows: pa.Table) -> Held:
    """A batch of documents, as governance leaves it."""
    fixed = {"source": "s", "op": "add", "title": "", "media_type": "text/plain", "language": "en", "licence": "MIT"}
    columns = {name: pa.repeat(pa.scalar(value), len(rows)) for name, value in fixed.items()}
    columns |= {"id": rows["id"], "locator": rows["id"], "text": rows["text"].cast(pa.string())}
    columns["identifiers"] = pa.repeat(pa.scalar(0, pa.int32()), len(rows))
    table = pa.table({f.name: columns.get(f.name, pa.nulls(len(rows), f.type)) for f in GOVERNED}, schema=GOVERNED)
    return step(
        settings, f"g{batch}", "governed_documents", batch, {}, {}, lambda s: s.put_table("documents", table, batch)
    )


def signed(settings: Settings, batch: Held) -> Held:
    """Its sketches."""
    config = {"signature": POLICY.signature.model_dump(mode="json")}
    name = batch.record.partition
    inputs = {"governed_documents": [batch]}
    return step(settings, f"s{name}", "document_signatures", name, inputs, config, lambda s: [None for _ in sign(s)])


def deduplicated(settings: Settings, run: str, batches: list[Held], sketches: list[Held]) -> Held:
    """All batches decided, as far as an earlier record has not."""
    inputs = {"governed_documents": batches, "document_signatures": sketches}
    config = POLICY.model_dump(mode="json")
    return step(
        settings, run, "deduplicated_documents", None, inputs, config, lambda s: [None for _ in deduplicate_batches(s)]
    )


def settings_in(folder: Path) -> Settings:
    """An installation of its own."""
    return load_settings({"DDD_LLM_HOME": str(folder), "DDD_LLM_KEYS": str(folder / "keys")})


def warm_up(corpus: pa.Table, folder: Path) -> None:
    """Load (and if needed compile) all code, on two small batches."""
    settings, half = settings_in(folder), len(corpus) // 2
    batches = [governed(settings, "batch-0", corpus.slice(0, half)), governed(settings, "batch-1", corpus.slice(half))]
    deduplicated(settings, "w", batches, [signed(settings, batch) for batch in batches])


def increment(corpus: pa.Table, share: float, folder: Path) -> dict[str, float]:
    """CPU seconds of the whole stage on most of the corpus, and on the rest after it."""
    settings = settings_in(folder)
    warm_up(corpus.slice(0, 500), folder / "warm")
    most = round(len(corpus) / (1 + share))
    batches = [governed(settings, "batch-0", corpus.slice(0, most)), governed(settings, "batch-1", corpus.slice(most))]
    start = time.process_time()
    sketches = [signed(settings, batches[0])]
    deduplicated(settings, "d1", batches[:1], sketches)
    whole = time.process_time() - start
    start = time.process_time()
    sketches.append(signed(settings, batches[1]))
    held = deduplicated(settings, "d2", batches, sketches)
    more = time.process_time() - start
    assert held.record.summary["batches_taken_over"] == 1, held.record.summary
    return {"documents": most, "added": len(corpus) - most, "cpu_s": whole, "added_cpu_s": more, "share": more / whole}


def in_batches(source: Path, batches: int, folder: Path) -> dict[str, float]:
    """Peak memory (MB) of a corpus that comes in batches, and of the idle process; text of one batch (MB)."""
    settings = settings_in(folder)
    file = pq.ParquetFile(source, pre_buffer=False)
    documents = file.metadata.num_rows
    size = -(-documents // batches)
    governs, sketches, text = [], [], 0.0
    for number, rows in enumerate(file.iter_batches(batch_size=size, columns=["id", "text"])):
        governs.append(governed(settings, f"batch-{number:03}", pa.Table.from_batches([rows])))
        text = max(text, rows["text"].nbytes / 1e6)
    warm_up(pa.Table.from_batches([rows.slice(0, 500)]), folder / "warm")
    del rows, file
    pa.default_memory_pool().release_unused()
    Path("/proc/self/clear_refs").write_text("5")  # the peak from here on
    idle = memory("VmRSS")
    for batch in governs:
        sketches.append(signed(settings, batch))
    deduplicated(settings, "d", governs, sketches)
    return {"documents": documents, "batches": batches, "idle_mb": idle, "text_mb": text, "peak_mb": memory("VmHWM")}


def memory(field: str) -> float:
    """MB of this process, by the kernel's account."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024 / 1e6


def main() -> None:
    """Measure, print, and with --json one object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=int, default=100_000)
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--batches", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if chosen.child is not None:
            print(json.dumps(in_batches(chosen.child, chosen.batches, folder)))
            return
        corpus, _ = planted_corpus(chosen.docs)
        found: dict[str, Any] = {"increment": increment(corpus, chosen.share, folder / "increment"), "memory": []}
        for part in (10, 1):
            pq.write_table(corpus.slice(0, chosen.docs // part), folder / "corpus.parquet")
            command = [sys.executable, __file__, "--child", str(folder / "corpus.parquet")]
            command += ["--batches", str(max(1, chosen.batches // part))]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            row = json.loads(said.splitlines()[-1])
            row["beyond_mb"] = row["peak_mb"] - row["idle_mb"] - row["text_mb"]
            found["memory"].append({**row, "bytes_per_document": 1e6 * row["beyond_mb"] / row["documents"]})
    few, many = found["memory"]
    grown = 1e6 * (many["beyond_mb"] - few["beyond_mb"]) / (many["documents"] - few["documents"])
    found["growth_bytes_per_document"] = grown
    more = found["increment"]
    print(
        f"{more['documents']:,} documents {more['cpu_s']:.2f} CPU s, {more['added']:,} more {more['added_cpu_s']:.3f} CPU s: "
        f"{more['share']:.1%} of the stage for {chosen.share:.1%} of the documents"
    )
    for row in found["memory"]:
        print(
            f"{row['documents']:,} documents in {row['batches']} batches: peak {row['peak_mb']:,.0f} MB, idle "
            f"{row['idle_mb']:,.0f} MB, text of one batch {row['text_mb']:,.0f} MB; {row['bytes_per_document']:,.0f} bytes per "
            f"document beyond"
        )
    print(f"growth: {grown:,.0f} bytes per document")
    if chosen.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
