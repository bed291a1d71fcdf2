"""Deduplication beside its peers: one corpus, each tool in a process of its own, in turns, in one run.

    python benchmarks/dedup.py [--docs N] [--peers daft,rensa,datasketch] [--rounds N] [--cpus N] [--json]
    python benchmarks/dedup.py --corpus FILE.parquet [--out MAP.parquet] [--peers ...]

The corpus is made of installed packages' texts with planted pairs (`_dedup_corpus`), or is a Parquet file with the columns
id and text, whose order is the keep order. `--out` gets our map: removed, kept, jaccard.

CPU seconds are of the whole process: imports, reading, work, writing. Each tool has one CPU, unless --cpus says otherwise:
where CPUs share a core, two threads take more CPU seconds for the same work.

Judged by an exact join of all pairs at J >= .8, made apart: a *wrong drop* is a removed document without a kept one at
J >= .8; a *missed pair* is a pair at J >= .8 of which both were kept; *survivors* are kept documents with an earlier kept
one at J >= .8.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from _dedup_corpus import planted_corpus
from _dedup_tools import TOOLS

from ddd_llm.corpus.dedup.similar import similar_pairs

THRESHOLD = 0.8
HERE = Path(__file__).resolve().parent


def run(tool: str, corpus: Path, result: Path, cpus: int) -> dict[str, float]:
    """CPU seconds, wall seconds and peak memory (MB) of one tool's process."""
    start = time.perf_counter()
    # No tool multiplies matrices; the threads that numpy starts for it would only spin.
    environ = {**os.environ, "DAFT_PROGRESS_BAR": "0", "DO_NOT_TRACK": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "_dedup_tools.py"), tool, str(corpus), str(result), str(cpus)]
    child = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = child.stdout.read().split()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{tool} failed with exit status {child.returncode}; its message stands above")
    return {
        "cpu_s": used.ru_utime + used.ru_stime, "wall_s": time.perf_counter() - start, "rss_mb": float(said[-1]),
    }  # fmt: skip


def judge(corpus: pa.Table, pairs: pa.Table, removed: pa.ChunkedArray) -> dict[str, int]:
    """Wrong drops, missed pairs and survivors by the exact pairs."""
    place = {name: row for row, name in enumerate(corpus["id"].to_pylist())}
    kept = np.ones(len(corpus), np.bool_)
    kept[[place[name] for name in removed.to_pylist()]] = False
    left, right = pairs["left"].to_numpy(), pairs["right"].to_numpy()
    covered = np.zeros(len(corpus), np.bool_)
    covered[left[kept[right]]] = True
    covered[right[kept[left]]] = True
    both = kept[left] & kept[right]
    # Texts without a word resemble nothing: only their copies may go.
    texts = corpus["text"].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    holders = np.zeros(int(texts.max()) + 1 if len(texts) else 0, np.bool_)
    holders[texts[kept]] = True
    return {
        "wrong_drops": int((~kept & ~covered & ~holders[texts]).sum()),
        "missed_pairs": int(both.sum()),
        "survivors": len(np.unique(right[both])),
        "kept": int(kept.sum()),
    }


def measure(corpus: Path, tools: list[str], rounds: int, folder: Path, cpus: int) -> dict[str, dict[str, Any]]:
    """Every tool in turns, each round; the first one is run once before, so that compiled kernels are there."""
    run(tools[0], corpus, folder / "warm.parquet", cpus)
    runs: dict[str, list[dict[str, float]]] = {tool: [] for tool in tools}
    for _ in range(rounds):
        for tool in tools:
            runs[tool].append(run(tool, corpus, folder / f"{tool}.parquet", cpus))
    table = pq.read_table(corpus, columns=["id", "text"])
    pairs = similar_pairs(table["text"], THRESHOLD)
    found = {}
    for tool, measured in runs.items():
        middle = {name: statistics.median(one[name] for one in measured) for name in measured[0]}
        verdict = judge(table, pairs, pq.read_table(folder / f"{tool}.parquet")["removed"])
        found[tool] = {
            **{name: round(value, 3) for name, value in middle.items()},
            "docs_per_cpu_s": round(len(table) / middle["cpu_s"]),
            **verdict,
        }
    return found


def show(found: dict[str, dict[str, Any]], documents: int, megabytes: float) -> None:
    """One table for people."""
    ours = found["ddd_llm"]["cpu_s"]
    print(f"\n{documents:,} documents, {megabytes:,.0f} MB of text, J >= {THRESHOLD}, word 5-grams")
    heads = ["tool", "CPU s", "wall s", "MB", "docs/CPU s", "wrong drops", "missed pairs", "survivors", "kept", "ratio"]
    print("  " + "".join(f"{head:>13}" for head in heads))
    for tool, row in sorted(found.items(), key=lambda item: item[1]["cpu_s"]):
        print(
            f"  {tool:>13}{row['cpu_s']:>13.2f}{row['wall_s']:>13.2f}{row['rss_mb']:>13,.0f}{row['docs_per_cpu_s']:>13,}"
            f"{row['wrong_drops']:>13,}{row['missed_pairs']:>13,}{row['survivors']:>13,}{row['kept']:>13,}"
            f"{row['cpu_s'] / ours:>13.2f}"
        )


def main() -> None:
    """Measure, print the table, and with --json one object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=int, default=100_000)
    parser.add_argument("--peers", help="comma-separated; default: every one that is installed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpus", type=int, default=1, help="that each tool may run on (Linux)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, help="Parquet with the columns id and text, in keep order")
    parser.add_argument("--out", type=Path, help="our map of removed documents: removed, kept, jaccard")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    installed = [peer for peer in TOOLS[1:] if importlib.util.find_spec(peer) is not None]
    peers = installed if chosen.peers is None else [peer for peer in chosen.peers.split(",") if peer]
    if unknown := sorted(set(peers) - set(TOOLS[1:])):
        parser.error(f"unknown peers {', '.join(unknown)}; there are {', '.join(TOOLS[1:])}")
    if absent := sorted(set(peers) - set(installed)):
        print(f"not installed, left out: {', '.join(absent)} (pip install '.[peers]')", file=sys.stderr)
    tools = ["ddd_llm", *(peer for peer in peers if peer in installed)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        corpus, planted = chosen.corpus, None
        if corpus is None:
            corpus = folder / "corpus.parquet"
            table, planted = planted_corpus(chosen.docs, chosen.seed)
            pq.write_table(table, corpus, compression="zstd")
            del table
        found = measure(corpus, tools, chosen.rounds, folder, chosen.cpus)
        texts = pq.read_table(corpus, columns=["text"])["text"]
        result: dict[str, Any] = {"documents": len(texts), "megabytes": round(texts.nbytes / 1e6, 1), "tools": found}
        if planted is not None:
            result["planted_pairs"] = len(planted)
        show(found, len(texts), texts.nbytes / 1e6)
        if chosen.out is not None:
            chosen.out.write_bytes((folder / "ddd_llm.parquet").read_bytes())
    if chosen.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
