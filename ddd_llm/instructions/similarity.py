"""Exact search for near-duplicate texts: every pair whose word 5-gram Jaccard similarity reaches a threshold.

Here belongs the one join that the splitter needs for the passages shown in prompts. Here does not belong: MinHash and
the deduplication of the corpus (`ddd_llm.corpus`), which is approximate by design, nor the leakage check, which counts
similarity in its own way so that a fault here cannot hide there.

Method: prefix filtering (Chaudhuri, Ganti, Kaushik: A Primitive Operator for Similarity Joins, ICDE 2006; Bayardo, Ma,
Srikant: Scaling Up All Pairs Similarity Search, WWW 2007). With the shingles of each text sorted from the rarest to the
most frequent, two sets with J >= t share a shingle among the first n - ceil(t * n) + 1 of each. Candidates found that
way are verified on the full sets, so the result is exact.
"""

import math
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

PAIRS_SCHEMA = pa.schema([("left_id", pa.string()), ("right_id", pa.string()), ("jaccard", pa.float64())])

_WORD = re.compile(r"\w+")
_WIDTH = 5
_MULTIPLIERS = np.array(
    [0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F],
    dtype=np.uint64,
)


def near_pairs(ids: Sequence[str], texts: Sequence[str], threshold: float = 0.5) -> pa.Table:
    """Find all pairs of texts with word 5-gram Jaccard similarity >= `threshold`.

    Words are lower-cased `\\w+` runs; a text of one to four words is one shingle, a text without words matches nothing.

    Args:
        ids: one id per text; ids may repeat, a pair of equal ids is left out.
        texts: the texts.
        threshold: smallest similarity reported, in (0, 1].

    Returns:
        Table `left_id, right_id, jaccard` with left_id < right_id, sorted, one row (the highest similarity) per pair.

    Raises:
        ValueError: `ids` and `texts` differ in length, or the threshold lies outside (0, 1].
    """
    if len(ids) != len(texts):
        raise ValueError(f"{len(ids)} ids for {len(texts)} texts")
    if not 0.0 < threshold <= 1.0:
        raise ValueError(f"threshold must lie in (0, 1], got {threshold}")
    shingles = _shingles(texts)
    best: dict[tuple[str, str], float] = {}
    for left, right in _candidate_pairs(shingles, threshold).tolist():
        first, second = sorted((str(ids[left]), str(ids[right])))
        if first == second:
            continue
        shared = np.intersect1d(shingles[left], shingles[right], assume_unique=True).size
        jaccard = shared / (shingles[left].size + shingles[right].size - shared)
        if jaccard >= threshold:
            best[first, second] = max(jaccard, best.get((first, second), 0.0))
    rows = sorted(best.items())
    columns = [[pair[0] for pair, _ in rows], [pair[1] for pair, _ in rows], [jaccard for _, jaccard in rows]]
    return pa.table(columns, schema=PAIRS_SCHEMA)


def _shingles(texts: Sequence[str]) -> list[np.ndarray]:
    """Sorted unique 64-bit shingle keys per text: a mix of vocabulary numbers, so equal shingles have equal keys."""
    vocabulary: dict[str, int] = {}
    keys = []
    for text in texts:
        words = _WORD.findall(text.lower())
        numbers = np.array([vocabulary.setdefault(word, len(vocabulary) + 1) for word in words], dtype=np.uint64)
        if 0 < numbers.size < _WIDTH:
            numbers = np.concatenate([numbers, np.zeros(_WIDTH - numbers.size, dtype=np.uint64)])
        count = max(0, numbers.size - _WIDTH + 1)
        mixed = np.zeros(count, dtype=np.uint64)
        for offset in range(_WIDTH):
            mixed = (mixed ^ (mixed >> np.uint64(29))) * _MULTIPLIERS[0]
            mixed += numbers[offset : offset + count] * _MULTIPLIERS[offset]
        keys.append(np.unique(mixed ^ (mixed >> np.uint64(32))))
    return keys


def _candidate_pairs(shingles: list[np.ndarray], threshold: float) -> np.ndarray:
    """Pairs (int64, shape [m, 2]) of positions that share a prefix shingle and have compatible sizes."""
    sizes = np.array([keys.size for keys in shingles], dtype=np.int64)
    total = int(sizes.sum())
    if total == 0:
        return np.empty((0, 2), dtype=np.int64)
    _, inverse, counts = np.unique(np.concatenate(shingles), return_inverse=True, return_counts=True)
    owners = np.repeat(np.arange(len(shingles)), sizes)
    order = np.lexsort((inverse, counts[inverse], owners))
    ranks = np.arange(total) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    prefix = np.array([n - math.ceil(threshold * n - 1e-9) + 1 for n in sizes.tolist()], dtype=np.int64)
    keep = order[ranks < prefix[owners]]
    keep = keep[np.lexsort((owners[keep], inverse[keep]))]
    starts = np.flatnonzero(np.diff(inverse[keep], prepend=-1))
    ends = np.append(starts[1:], keep.size)
    count = np.int64(len(shingles))
    found: list[np.ndarray] = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        if end - start > 1:
            members = owners[keep[start:end]]
            left, right = np.triu_indices(members.size, k=1)
            a, b = members[left], members[right]
            fits = np.minimum(sizes[a], sizes[b]) >= threshold * np.maximum(sizes[a], sizes[b]) - 1e-9
            found.append(a[fits] * count + b[fits])
    if not found:
        return np.empty((0, 2), dtype=np.int64)
    packed = np.unique(np.concatenate(found))
    return np.stack([packed // count, packed % count], axis=1)
