"""Deduplication, passes and quality rules on corpora of one's own: what goes, how exactly, and by which rule.

    python benchmarks/corpora.py FOLDER [--json]

FOLDER holds a folder `docs_NAME` per corpus, each with `data.jsonl.gz` (fields id, text; their order is the keep order), and
where there is one `dedup_pairs_NAME` with `data.jsonl.gz` of the exact pairs at J >= .5 (fields a, b, jaccard), made
elsewhere; without it the pairs are joined here.

A *wrong drop* is a removed document whose named kept one is not kept or not at J >= .8, a *survivor* a kept document with an
earlier kept one at J >= .8. *Recall* is the share of documents with an earlier kept one at J >= .8 that were removed; *off*
the largest difference between a removed document's similarity and the pairs'; *precision* the share of removed documents that
were no wrong drop. The funnel goes on with the passes of `assets/policies/passes.yaml` and the rules of `curation.yaml`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ddd_llm.corpus.dedup.files import deduplicate_parquet
from ddd_llm.corpus.dedup.policy import DedupPolicy
from ddd_llm.corpus.dedup.similar import similar_pairs
from ddd_llm.corpus.passes.run import apply_passes
from ddd_llm.corpus.policies import curation_policy, passes_policy
from ddd_llm.corpus.quality import judge
from ddd_llm.corpus.text import language, normalise
from ddd_llm.platform.settings import load_settings

THRESHOLD = 0.8


def rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a gzipped file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def exact_pairs(folder: Path, name: str, documents: pa.Table) -> dict[tuple[str, str], float]:
    """Exact similarity of all pairs of ids at or above the threshold, in the order of the corpus."""
    place = {one: row for row, one in enumerate(documents["id"].to_pylist())}
    given = folder / f"dedup_pairs_{name}" / "data.jsonl.gz"
    if given.exists():
        found = [(row["a"], row["b"], row["jaccard"]) for row in rows(given)]
    else:
        joined = similar_pairs(documents["text"], THRESHOLD)
        ids = documents["id"]
        found = list(
            zip(
                ids.take(joined["left"]).to_pylist(),
                ids.take(joined["right"]).to_pylist(),
                joined["jaccard"].to_pylist(),
                strict=True,
            )
        )
    # Where the pairs came rounded, those at the threshold count.
    least = THRESHOLD - 5e-7
    return {(a, b) if place[a] < place[b] else (b, a): jaccard for a, b, jaccard in found if jaccard >= least}


def deduplicated(folder: Path, name: str, documents: pa.Table) -> tuple[dict[str, Any], set[str]]:
    """What was removed and how right that is; ids of the kept."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "corpus.parquet"
        pq.write_table(documents, source)
        decisions = deduplicate_parquet(source, DedupPolicy(threshold=THRESHOLD)).to_pylist()
    pairs = exact_pairs(folder, name, documents)
    kept = {row["locator"] for row in decisions if row["verdict"] == "kept"}
    text = dict(zip(documents["id"].to_pylist(), documents["text"].to_pylist(), strict=True))
    earlier: dict[str, list[str]] = {}
    for a, b in pairs:
        earlier.setdefault(b, []).append(a)
        earlier.setdefault(a, [])
    wrong, off, removed = 0, 0.0, 0
    for row in decisions:
        if row["verdict"] == "kept":
            continue
        removed += 1
        one, leader = row["locator"], row["kept_locator"]
        found = pairs.get((one, leader), pairs.get((leader, one)))
        if found is None:
            wrong += leader not in kept or text[one] != text[leader]
        else:
            wrong += leader not in kept
            off = max(off, abs(found - row["jaccard"]))
    alike = {one for one, others in earlier.items() if any(other in kept for other in others)}
    survivors = len(alike & kept)
    return {
        "removed": removed, "exact_copies": sum(row["reason"] == "exact_duplicate" for row in decisions),
        "wrong_drops": wrong, "precision": 1 - wrong / removed if removed else 1.0, "survivors": survivors,
        "recall": 1 - survivors / len(alike) if alike else 1.0, "largest_difference": off, "pairs": len(pairs),
    }, kept  # fmt: skip


def main() -> None:
    """Every corpus of the folder in turn, one table, and with --json one object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    settings = load_settings({})
    policy, passes = curation_policy(settings), passes_policy(settings)
    result: dict[str, Any] = {}
    heads = [
        "in",
        "removed",
        "copies",
        "wrong drops",
        "precision",
        "survivors",
        "recall",
        "off",
        "by passes",
        "by rules",
        "kept",
    ]
    print(f"{'corpus':>24}" + "".join(f"{head:>13}" for head in heads))
    for source in sorted(chosen.folder.glob("docs_*")):
        name = source.name.removeprefix("docs_")
        given = rows(source / "data.jsonl.gz")
        texts = pa.array([normalise(row["text"]) for row in given], pa.large_string())
        documents = pa.table({"id": [row["id"] for row in given], "text": texts})
        found, kept = deduplicated(chosen.folder, name, documents)
        left = documents.filter(pa.array([one in kept for one in documents["id"].to_pylist()]))
        fixed = {"source": name, "batch": "batch", "media_type": "text/plain"}
        columns = {key: pa.repeat(pa.scalar(value), len(left)) for key, value in fixed.items()}
        columns["language"] = pa.array(language(left["text"].to_pylist()), pa.string())
        left = pa.table({"id": left["id"], "locator": left["id"], "text": left["text"], **columns})
        passed = apply_passes(left, passes, settings.assets)
        judged = judge(passed.documents, policy)
        funnel = {
            by: Counter(reason for reason in table["reason"].to_pylist() if reason)
            for by, table in (("by_pass", passed.decisions), ("by_rule", judged.decisions))
        }
        found |= {by: dict(reasons.most_common()) for by, reasons in funnel.items()}
        found |= {"documents": len(documents), "passes": passed.summary, "kept": len(judged.kept)}
        result[name] = found
        print(
            f"{name:>24}{found['documents']:>13,}{found['removed']:>13,}{found['exact_copies']:>13,}"
            f"{found['wrong_drops']:>13,}{found['precision']:>13.4f}{found['survivors']:>13,}{found['recall']:>13.4f}"
            f"{found['largest_difference']:>13.0e}{funnel['by_pass'].total():>13,}{funnel['by_rule'].total():>13,}"
            f"{found['kept']:>13,}"
        )
        told = [f"{reason} {count:,}" for reasons in funnel.values() for reason, count in reasons.most_common()]
        print(" " * 24 + "  " + ", ".join(told))
    if chosen.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
