"""Deduplication of a table in memory, for a notebook, a script or a test.

Here: sketches, decisions and the kept rows in one call. Not here: the same over batches in a store
(`corpus.deduplication`) or on Spark (`spark`), which give the same decisions.
"""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.dedup.history import decide_in_order
from ddd_llm.corpus.dedup.leader import Batch, first_of_id
from ddd_llm.corpus.dedup.policy import DedupPolicy
from ddd_llm.corpus.dedup.sets import TextSets
from ddd_llm.corpus.dedup.signatures import sketch


@dataclass(frozen=True)
class DedupResult:
    """`kept` has the input's columns, `decisions` (one row per input row) those of `DECISIONS`; both in input order."""

    kept: pa.Table
    decisions: pa.Table


def deduplicate(
    documents: pa.Table, policy: DedupPolicy, batches: Sequence[str] | None = None, threads: int | None = None
) -> DedupResult:
    """Keep one of each group of duplicates.

    Args:
        documents: columns `id, source, locator, batch, text`; `quality` and `date` where the policy looks at them (taken
            for unknown where absent), and any others, which pass through. Equal ids mean equal texts.
        policy: see `DedupPolicy`.
        batches: all batch names, oldest first; by default in the order of their names.
        threads: all available CPUs by default; no effect on the result.

    Raises:
        ValueError: a column is missing or holds a null, an id stands for two texts, or a batch is not in `batches`.
    """
    for name in ("id", "source", "locator", "batch", "text"):
        if name not in documents.column_names:
            raise ValueError(f"documents have no column {name!r}")
        if documents[name].null_count:
            raise ValueError(f"column {name!r} of documents holds {documents[name].null_count} nulls")
    names = sorted(documents["batch"].unique().to_pylist()) if batches is None else list(batches)
    decisions = decide_in_order(_sketched(documents, policy, threads), policy, names)
    _check_copies(documents)
    return DedupResult(documents.filter(pc.equal(decisions["verdict"], "kept")), decisions)


def _sketched(documents: pa.Table, policy: DedupPolicy, threads: int | None) -> Batch:
    texts = documents["text"]
    made = sketch(texts, policy.signature, threads)
    columns = {name: documents[name] for name in ("id", "source", "locator", "batch")}
    columns["bytes"] = pc.binary_length(texts)
    for name, kind in (("quality", pa.float64()), ("date", pa.string())):
        columns[name] = documents[name] if name in documents.column_names else pa.nulls(len(documents), kind)
    columns["shingles"] = pa.array(made.shingles)
    sets = TextSets(texts, policy.signature.ngram, threads)
    return Batch(pa.table(columns), lambda: made.bands, sets, pa.nulls(len(documents), pa.string()))


def _check_copies(documents: pa.Table) -> None:
    # Equal ids must stand for equal texts.
    first = first_of_id(documents["id"])
    copies = np.flatnonzero(first != np.arange(len(first)))
    texts = documents["text"]
    if pc.any(pc.not_equal(texts.take(pa.array(copies)), texts.take(pa.array(first[copies])))).as_py():
        raise ValueError("one document id stands for two different texts")
