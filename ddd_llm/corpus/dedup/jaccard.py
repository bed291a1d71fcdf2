"""Exact Jaccard similarity of shingle sets.

Here: a text's set of shingles as sorted 64-bit hashes, the similarity of given pairs, and the greedy election of
leaders, which compares as it goes. Not here: which pairs to compare (`candidates`, `similar`), policy and tables
(`leader`).

A set holds xxHash64 values in place of shingles. Two texts of n and m shingles get a wrong similarity only if two
different shingles among them collide, with probability below (n + m)^2 / 2^65: for two texts of 10,000 words, 1 in 90
billion.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ddd_llm.corpus.dedup.blocks import Texts, map_blocks
from ddd_llm.corpus.dedup.candidates import Buckets
from ddd_llm.corpus.dedup.hashing import shingle_hashes
from ddd_llm.corpus.dedup.jit import kernel
from ddd_llm.corpus.dedup.tokens import normalise


@dataclass(frozen=True)
class ShingleSets:
    """Sets of 64-bit shingle hashes: text `i` has `hashes[offsets[i]:offsets[i + 1]]`, ascending, each value once."""

    hashes: npt.NDArray[np.uint64]
    offsets: npt.NDArray[np.int64]

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Distinct shingles per text."""
        return np.diff(self.offsets)


def shingle_sets(texts: Texts, ngram: int, threads: int | None = None) -> ShingleSets:
    """The shingle set of every text (Arrow strings, a null counts as empty).

    Raises:
        TypeError: the texts are not Arrow strings.
    """

    def collect(_: int, block: pa.Array) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
        values, offsets = shingle_hashes(normalise(block), ngram, "xxh64")
        hashes = values.astype(np.uint64, copy=False)
        for begin, end in pairwise(offsets.tolist()):
            hashes[begin:end].sort()
        sizes = np.empty(len(block), np.int64)
        used = _distinct(hashes, offsets, sizes)
        return hashes[:used].copy(), sizes

    parts = map_blocks(texts, collect, threads)
    sizes = np.concatenate([np.zeros(1, np.int64), *(sizes for _, sizes in parts)])
    return ShingleSets(np.concatenate([np.zeros(0, np.uint64), *(hashes for hashes, _ in parts)]), np.cumsum(sizes))


def jaccard(
    sets: ShingleSets, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64], at_least: float = 0.0
) -> npt.NDArray[np.float64]:
    """|A and B| / |A or B| for each pair (left[i], right[i]) of texts; 0 where both are empty.

    A pair below `at_least` may get -1 instead, which is quicker.
    """
    similarity = np.empty(len(left), np.float64)
    _similarities(sets.hashes, sets.offsets, left, right, at_least, similarity)
    return similarity


@dataclass(frozen=True)
class Election:
    """Per document its leader (int64, -1 for a document that is kept) and their similarity (float64, nan if kept)."""

    leader: npt.NDArray[np.int64]
    similarity: npt.NDArray[np.float64]


def elect(
    values: npt.NDArray[np.uint32], groups: Buckets, sets: ShingleSets, matches: int, threshold: float
) -> Election:
    """Walk documents in order: one is dropped if and only if a candidate already kept is similar enough.

    Documents are compared with kept documents only, so that thousands of copies of one text cost one comparison
    each.

    Args:
        values: signatures, shape (documents, permutations); rows in keep order.
        groups: the documents' buckets.
        sets: the documents' shingle sets; may be empty for documents that are in no bucket.
        matches: fewer equal signature values than this and a pair is not compared.
        threshold: least similarity of a duplicate to its leader.

    Returns:
        For every dropped document the kept one of highest similarity, the earlier one of equals.
    """
    leader = np.full(len(values), -1, np.int64)
    similarity = np.full(len(values), np.nan)
    starts = np.concatenate(([0], np.cumsum(groups.sizes)))
    _elect(
        values, groups.ids, groups.offsets, starts, sets.hashes, sets.offsets, matches, threshold, leader, similarity
    )  # fmt: skip
    return Election(leader, similarity)


@kernel
def _distinct(hashes, offsets, sizes):
    # Moves each row's distinct values (of sorted ones) to the front, row behind row; returns how many they are.
    used = 0
    for row in range(len(offsets) - 1):
        begin = used
        for i in range(offsets[row], offsets[row + 1]):
            if used == begin or hashes[i] != hashes[used - 1]:
                hashes[used] = hashes[i]
                used += 1
        sizes[row] = used - begin
    return used


@kernel
def _similarity(hashes, offsets, a, b, threshold):
    # The exact similarity, or -1 as soon as it is certain to stay below the threshold.
    i, i_end = offsets[a], offsets[a + 1]
    j, j_end = offsets[b], offsets[b + 1]
    total = (i_end - i) + (j_end - j)
    # What may be missing from the longest possible overlap; one to spare against rounding.
    spare = total - 2 * threshold / (1 + threshold) * total + 1
    common = 0
    while i < i_end and j < j_end:
        x, y = hashes[i], hashes[j]
        common += x == y
        i += x <= y
        j += y <= x
        if x != y:
            spare -= 1
            if spare < 0:
                return -1.0
    if common == 0:
        return 0.0
    return common / (total - common)


@kernel
def _similarities(hashes, offsets, left, right, at_least, similarity):
    for pair in range(len(left)):
        similarity[pair] = _similarity(hashes, offsets, left[pair], right[pair], at_least)


@kernel
def _equal_values(values, a, b):
    equal = 0
    for k in range(values.shape[1]):
        equal += values[a, k] == values[b, k]
    return equal


@kernel
def _elect(
    values, ids, id_offsets, starts, hashes, offsets, matches, threshold, leader, similarity
):  # fmt: skip
    kept = np.empty(starts[-1], np.int64)  # the kept members of bucket g: kept[starts[g]:ends[g]]
    ends = starts[:-1].copy()
    compared = np.full(len(values), -1, np.int64)  # the last document that each kept one was compared with
    for document in range(len(values)):
        best = -1.0
        for entry in range(id_offsets[document], id_offsets[document + 1]):
            group = ids[entry]
            for slot in range(starts[group], ends[group]):
                other = kept[slot]
                if compared[other] == document:
                    continue
                compared[other] = document
                if _equal_values(values, document, other) < matches:
                    continue
                found = _similarity(hashes, offsets, document, other, threshold)
                if found >= threshold and (found > best or (found == best and other < leader[document])):
                    best = found
                    leader[document] = other
        if best >= 0.0:
            similarity[document] = best
            continue
        for entry in range(id_offsets[document], id_offsets[document + 1]):
            kept[ends[ids[entry]]] = document
            ends[ids[entry]] += 1
