"""Which documents may be near-duplicates.

Here: the documents that share an LSH band of their signatures with any other; for these, buckets of documents that share a
rare shingle; and how few signature values a pair at the threshold may have in common. Not here: whether two candidates
are near-duplicates (`jaccard`), and which of them stays (`leader`).

Bands: two documents of Jaccard similarity J share at least one of b bands of r values with probability
1 - (1 - J^r)^b (J. Leskovec, A. Rajaraman, J. Ullman, Mining of Massive Datasets, section 3.4). They only pick the documents
to look at, most of a corpus being unlike all the rest. Comparing whole buckets of a band would be quadratic where a
template gives thousands of documents the same words: there what differs is rare, and what is rare tells unlike documents
apart (prefix filtering, S. Chaudhuri, V. Ganti, R. Kaushik, A primitive operator for similarity joins in data cleaning,
ICDE 2006).
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ddd_llm.corpus.dedup.jit import kernel

_U64 = np.uint64


_COUNTERS = 1 << 22  # of the approximate document frequencies; 16 MiB


@dataclass(frozen=True)
class Buckets:
    """Groups of two or more documents: document `i` is in buckets `ids[offsets[i]:offsets[i + 1]]`, of `sizes` members."""

    ids: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]


def band_keys(values: npt.NDArray[np.uint32], bands: int, rows: int) -> npt.NDArray[np.uint64]:
    """A 64-bit key per band of `rows` consecutive signature values.

    Args:
        values: signatures, shape (documents, permutations).

    Returns:
        Keys, shape (documents, bands). Equal bands have equal keys; unequal ones collide with probability 2^-64, which
        costs a comparison and nothing else.

    Raises:
        ValueError: the signatures have fewer than bands * rows values.
    """
    if bands * rows > values.shape[1]:
        raise ValueError(f"{bands} bands of {rows} values need more than the {values.shape[1]} values of a signature")
    keys = np.empty((len(values), bands), np.uint64)
    _band_keys(values, rows, keys)
    return keys


def share_a_band(keys: npt.NDArray[np.uint64], present: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which documents have a band's key in common with another one; bool, shape (documents,).

    Args:
        keys: as `band_keys` returns them.
        present: which documents take part (those without a shingle do not); bool, shape (documents,).
    """
    shared = np.zeros(len(keys), np.bool_)
    members = np.flatnonzero(present)
    for band in range(keys.shape[1]):
        column = keys[members, band]
        order = np.argsort(column)
        equal = np.diff(column[order]) == 0
        shared[members[order[1:][equal]]] = True
        shared[members[order[:-1][equal]]] = True
    return shared


def rare_buckets(hashes: npt.NDArray[np.uint64], offsets: npt.NDArray[np.int64], threshold: float) -> Buckets:
    """Group documents by rare shingles, so that any two of Jaccard similarity `threshold` or more share a bucket.

    Put each set's shingles in one order, rarest first. Two sets of n and m shingles that share t * max(n, m) of them
    share one among the first n - t * n + 1 of the one and m - t * m + 1 of the other. Any order will do: rarity is
    counted in a hashed table, which may take a shingle for more frequent than it is.

    Args:
        hashes: the sets' shingle hashes, each set ascending.
        offsets: where each set begins; int64, shape (documents + 1,).
    """
    keys = _by_rarity(hashes, np.zeros(_COUNTERS, np.int32))
    for begin, end in pairwise(offsets.tolist()):
        keys[begin:end].sort()
    sizes = np.diff(offsets)
    prefixes = np.where(sizes > 0, sizes - np.ceil(threshold * sizes - 1e-9).astype(np.int64) + 1, 0)
    first = np.concatenate(([0], np.cumsum(prefixes)))
    chosen = keys[np.repeat(offsets[:-1] - first[:-1], prefixes) + np.arange(first[-1])]
    _, group, members = np.unique(chosen, return_inverse=True, return_counts=True)
    several = members > 1
    number = np.cumsum(several) - 1
    inside = several[group]
    several_before = np.concatenate(([0], np.cumsum(inside)))
    return Buckets(number[group[inside]], several_before[first], members[several])


def fewest_matches(num_perm: int, threshold: float, risk: float = 1e-9) -> int:
    """How many of `num_perm` signature values a pair must share to be worth comparing.

    A pair at `threshold` shares Binomial(num_perm, threshold) values; fewer than the returned number has a
    probability of at most `risk`.
    """
    below = 0.0
    for matches in range(num_perm + 1):
        below += math.comb(num_perm, matches) * threshold**matches * (1 - threshold) ** (num_perm - matches)
        if below > risk:
            return matches
    return num_perm


@kernel
def _band_keys(values, rows, keys):
    for document in range(keys.shape[0]):
        for band in range(keys.shape[1]):
            key = _U64(band)
            for row in range(rows):
                key = (key ^ _U64(values[document, band * rows + row])) * _U64(0x9E3779B97F4A7C15)
                key ^= key >> _U64(29)
            keys[document, band] = key


@kernel
def _by_rarity(hashes, counters):
    # Per shingle a key that sorts rare ones first: 20 bits of how many sets have it, 44 bits of its hash.
    mask = _U64(len(counters) - 1)
    for i in range(len(hashes)):
        counters[hashes[i] & mask] += 1
    keys = np.empty(len(hashes), np.uint64)
    for i in range(len(hashes)):
        count = min(counters[hashes[i] & mask], 0xFFFFF)
        keys[i] = (_U64(count) << _U64(44)) | (hashes[i] >> _U64(20))
    return keys
