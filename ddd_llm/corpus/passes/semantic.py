"""Near-duplicates by meaning: documents that say in other words what a kept one says.

Here: the greedy leader on embeddings. Not here: the embeddings (`embeddings`), duplicates by wording (`dedup`).

Semantic deduplication after A. Abbas and others, SemDeDup (arXiv 2303.09540), without its clustering: the search is exact.
Documents are visited in order; one is dropped if a kept one has a cosine similarity of at least the threshold, and names the
most similar (the earlier of equals). Only documents of equally many windows of word pieces are compared, window by window:
their similarity is the mean over the windows. So a long document is never judged by its beginning alone; one that differs
by an insertion may be missed.

Cost: one pass of the model over the text (about 1 CPU-second per 15 kB), then as many dot products as pairs of a document and
a leader, in matrix products of blocks: quadratic in what is kept. Memory: 1.5 kB per window of the documents kept, and one block.
"""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ddd_llm.corpus.dedup.words import tokenise
from ddd_llm.corpus.passes.embeddings import SIZE, embed, windows
from ddd_llm.corpus.passes.outcome import Outcome, drop
from ddd_llm.corpus.passes.policy import SemanticPolicy

REASON = "semantic_duplicate"
SEMANTIC = pa.schema([("id", pa.string()), ("kept_id", pa.string()), ("cosine", pa.float64())])
"""A dropped document, the kept one it resembles, and their similarity."""

_ROWS = 512
_DIGITS = 4  # of a similarity that count: the rest depends on the machine


class Leaders:
    """The kept documents of one number of windows."""

    def __init__(self, width: int) -> None:
        self._vectors = np.zeros((_ROWS, width), np.float32)
        self._documents: list[int] = []

    def elect(
        self, vectors: npt.NDArray[np.float32], documents: list[int], threshold: float
    ) -> list[tuple[int, float] | None]:
        """For each document of a block, in order: the leader it resembles and how much, or None where it becomes one."""
        old = len(self._documents)
        within = (vectors @ vectors.T).round(_DIGITS)
        best, similarity = np.full(len(documents), -1), np.full(len(documents), -1.0)
        for begin in range(0, old, 16 * _ROWS):
            part = (vectors @ self._vectors[begin : min(old, begin + 16 * _ROWS)].T).round(_DIGITS)
            place = part.argmax(1)
            found = part[np.arange(len(part)), place]
            better = found > similarity
            best[better], similarity[better] = place[better] + begin, found[better]
        kept: list[int] = []
        result: list[tuple[int, float] | None] = []
        for row in range(len(documents)):
            leader, cosine = (self._documents[best[row]], similarity[row]) if best[row] >= 0 else (-1, -1.0)
            if kept:
                near = kept[int(within[row, kept].argmax())]
                if within[row, near] > cosine:
                    leader, cosine = documents[near], within[row, near]
            if cosine >= threshold:
                result.append((leader, round(min(float(cosine), 1.0), _DIGITS)))
            else:
                result.append(None)
                kept.append(row)
        self._add(vectors[kept], [documents[row] for row in kept])
        return result

    def _add(self, vectors: npt.NDArray[np.float32], documents: list[int]) -> None:
        old, new = len(self._documents), len(self._documents) + len(documents)
        while len(self._vectors) < new:
            self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)])
        self._vectors[old:new] = vectors
        self._documents += documents


def drop_semantic_duplicates(documents: pa.Table, policy: SemanticPolicy) -> Outcome:
    """Keep one of each group of documents that mean the same.

    Args:
        documents: columns `id, source, locator, batch, text` and any others, which pass through.
        policy: see `SemanticPolicy`.

    Returns:
        The documents kept, decisions on those dropped (`semantic_duplicate`), and `SEMANTIC`.

    Raises:
        MissingExtra: the embedding model is not installed.
    """
    leaders: dict[int, Leaders] = {}
    found: dict[int, tuple[int, float]] = {}
    short = long = 0
    for rows in _row_blocks(documents["text"]):
        texts = [(row, text) for row, text in rows if len(tokenise(text)) >= policy.least_words]
        short += len(rows) - len(texts)
        groups: dict[int, list[tuple[int, list[list[int]]]]] = defaultdict(list)
        for (row, _), parts in zip(texts, windows([text for _, text in texts]), strict=True):
            groups[len(parts)].append((row, parts))
        for count, members in sorted(groups.items()):
            if count > policy.most_windows:
                long += len(members)
                continue
            vectors = embed([part for _, parts in members for part in parts])
            vectors = vectors.reshape(len(members), count * SIZE) / np.float32(np.sqrt(count))
            group = leaders.setdefault(count, Leaders(count * SIZE))
            ids = [row for row, _ in members]
            for row, leader in zip(ids, group.elect(vectors, ids, policy.threshold), strict=True):
                if leader is not None:
                    found[row] = leader
    dropped = np.zeros(len(documents), np.bool_)
    dropped[list(found)] = True
    ordered = sorted(found.items())
    kept_ids = documents["id"].take(pa.array([leader for _, (leader, _) in ordered], pa.int64())).to_pylist()
    kept, decisions = drop(documents, dropped, REASON, kept_ids)
    table = pa.table({"id": decisions["id"], "kept_id": kept_ids, "cosine": [c for _, (_, c) in ordered]}, SEMANTIC)
    summary = {"documents_dropped": len(found), "too_short": short, "too_long": long}
    return Outcome(kept, decisions, table, summary)


def _row_blocks(texts: pa.ChunkedArray) -> Iterator[list[tuple[int, str]]]:
    first = 0
    for batch in pa.table({"text": texts}).to_batches(max_chunksize=_ROWS):
        yield [(first + i, text) for i, text in enumerate(batch["text"].to_pylist())]
        first += len(batch)
