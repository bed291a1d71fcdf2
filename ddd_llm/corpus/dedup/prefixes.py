"""The rarest shingles of sets, by which documents of large groups find each other.

Here: approximate frequencies, and choosing the rarest ones. Not here: looking sets up by them (`walk`), why that finds all
that must be found (`election`).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ddd_llm.corpus.dedup.jit import kernel

_U64 = np.uint64


class Prefixes(NamedTuple):
    """Prefixes of a block's rows: `keys[offsets[r]:offsets[r + 1]]`, of which the first `short[r]` are the short one."""

    keys: npt.NDArray[np.uint64]
    offsets: npt.NDArray[np.int64]
    short: npt.NDArray[np.int32]


@kernel
def count_shingles(hashes, counters):
    """Add a block's shingles to the approximate frequencies."""
    mask = _U64(len(counters) - 1)
    for i in range(len(hashes)):
        counters[hashes[i] & mask] += 1


def prefixes(
    hashes: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
    wanted: npt.NDArray[np.bool_],
    counters: npt.NDArray[np.int32],
    threshold: float,
) -> Prefixes:
    """The rarest shingles of each wanted row's set; none of the others'.

    Two sets of n <= m shingles at the threshold t share one among the first n - 2t / (1 + t) * n + 1 of the smaller and
    the first m - t * m + 1 of the larger, in any one order of all shingles.
    """
    sizes = np.diff(offsets)
    long = np.where(wanted, sizes - np.ceil(threshold * sizes - 1e-9).astype(np.int64) + 1, 0)
    short = np.where(wanted, sizes - np.ceil(2 * threshold / (1 + threshold) * sizes - 1e-9).astype(np.int64) + 1, 0)
    begins = np.concatenate((np.zeros(1, np.int64), np.cumsum(long)))
    keys = np.empty(begins[-1], np.uint64)
    _prefixes(hashes, offsets, begins, counters, keys)
    return Prefixes(keys, begins, short.astype(np.int32))


@kernel
def _prefixes(hashes, offsets, begins, counters, keys):
    # Rarest first: 20 bits of how often a shingle occurs, 44 bits of its hash.
    mask = _U64(len(counters) - 1)
    for row in range(len(offsets) - 1):
        wanted = begins[row + 1] - begins[row]
        if wanted == 0:
            continue
        heap = keys[begins[row] : begins[row + 1]]  # the least so far, the greatest of them first
        for i in range(offsets[row + 1] - offsets[row]):
            value = hashes[offsets[row] + i]
            often = min(counters[value & mask], 0xFFFFF)
            key = (_U64(often) << _U64(44)) | (value >> _U64(20))
            if i < wanted:
                heap[i] = key
                if i == wanted - 1:
                    for root in range(wanted // 2, -1, -1):
                        _sink(heap, root, wanted)
            elif key < heap[0]:
                heap[0] = key
                _sink(heap, 0, wanted)
        for last in range(wanted - 1, 0, -1):
            heap[0], heap[last] = heap[last], heap[0]
            _sink(heap, 0, last)


@kernel
def _sink(heap, root, size):
    # Restores the order of a heap whose root may be too small.
    while 2 * root + 1 < size:
        child = 2 * root + 1
        if child + 1 < size and heap[child + 1] > heap[child]:
            child += 1
        if heap[root] >= heap[child]:
            return
        heap[root], heap[child] = heap[child], heap[root]
        root = child
