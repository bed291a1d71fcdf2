"""All pairs of texts above a similarity: an exact join, without signatures and without misses.

Here: the join, for work where a missed pair does harm (no pair may straddle a train and a test split). Not here:
deduplication, which must stay linear in the corpus (`candidates`, `leader`).

Method: prefix filtering with positions (C. Xiao, W. Wang, X. Lin, J. Yu, Efficient similarity joins for near
duplicate detection, WWW 2008, sections 3 and 4). Shingles are put in one order, rarest first. Two sets of similarity t
or more must then share a shingle in a short prefix of each, and most prefixes of unlike texts share none.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ddd_llm.corpus.dedup.blocks import Texts
from ddd_llm.corpus.dedup.jit import kernel
from ddd_llm.corpus.dedup.sets import ShingleSets, shingle_sets
from ddd_llm.platform.cores import cores

_TEXTS_PER_TASK = 2048
_CANDIDATES_PER_CALL = 1 << 20


def similar_pairs(texts: Texts, threshold: float = 0.5, ngram: int = 5, threads: int | None = None) -> pa.Table:
    """Every pair of texts whose sets of word `ngram`-grams have a Jaccard similarity of at least `threshold`.

    Args:
        texts: Arrow strings, in NFC; a null counts as empty, and an empty text is similar to none.
        threshold: above 0, at most 1.
        ngram: words per shingle.
        threads: all available CPUs by default; no effect on the result.

    Returns:
        `left`, `right` (int64 row numbers, left < right) and `jaccard` (float64), by ascending left, then right.

    Raises:
        ValueError: the threshold is out of range.
        TypeError: the texts are not Arrow strings.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be above 0 and at most 1, not {threshold}")
    threads = threads or cores()
    sets = shingle_sets(texts, ngram, threads)
    join = _Join(sets, threshold)
    count = len(join.rows)
    tasks = [(first, min(first + _TEXTS_PER_TASK, count)) for first in range(0, count, _TEXTS_PER_TASK)]
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(lambda task: join.pairs(*task), tasks))
    left = np.concatenate([np.zeros(0, np.int64), *(part[0] for part in parts)])
    right = np.concatenate([np.zeros(0, np.int64), *(part[1] for part in parts)])
    similarity = np.concatenate([np.zeros(0, np.float64), *(part[2] for part in parts)])
    order = np.lexsort((right, left))
    return pa.table({"left": left[order], "right": right[order], "jaccard": similarity[order]})


class _Join:
    """The sets in ascending size, each as ranks of its shingles (rarest first), and an index of their prefixes."""

    def __init__(self, sets: ShingleSets, threshold: float) -> None:
        self._threshold = threshold
        sizes = sets.sizes
        order = np.argsort(sizes, kind="stable")
        # The text at each place; texts without shingles have none.
        self.rows = order[np.searchsorted(sizes[order], 1) :]
        self._sizes = sizes[self.rows]
        self._offsets = np.concatenate(([0], np.cumsum(self._sizes)))
        _, inverse, counts = np.unique(sets.hashes, return_inverse=True, return_counts=True)
        by_rarity = np.argsort(counts, kind="stable")
        ranks = np.empty(len(counts), np.int32)
        ranks[by_rarity] = np.arange(len(counts), dtype=np.int32)
        places = np.empty(len(sizes), np.int64)
        places[order] = np.arange(len(sizes)) - (len(sizes) - len(self.rows))
        keyed = np.repeat(places << 32, sizes) | ranks[inverse]
        keyed.sort()
        self._ranks = (keyed & 0xFFFFFFFF).astype(np.int32)
        # A shingle of one text only can be no pair's common one: it is neither indexed nor looked up.
        self._lone = int((counts == 1).sum())
        self._list_starts = np.zeros(len(counts) + 1, np.int64)
        _index(self._ranks, self._offsets, threshold, self._lone, self._list_starts[1:], None, None)
        np.cumsum(self._list_starts, out=self._list_starts)
        self._listed = np.empty(self._list_starts[-1], np.int32)
        self._positions = np.empty(self._list_starts[-1], np.int32)
        ends = self._list_starts[:-1].copy()
        _index(self._ranks, self._offsets, threshold, self._lone, ends, self._listed, self._positions)

    def pairs(
        self, first: int, last: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """The pairs of texts at places [first, last) with those at lesser places: rows (lesser, greater), similarity."""
        capacity = max(_CANDIDATES_PER_CALL, last)
        one, other = np.empty(capacity, np.int32), np.empty(capacity, np.int32)
        shared, stopped = np.zeros(last, np.int32), np.empty(1, np.int64)
        found: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]] = []
        while first < last:
            count = _candidates(
                first, last, self._ranks, self._offsets, self._list_starts, self._listed, self._positions,
                self._threshold, self._lone, shared, one, other, stopped,
            )  # fmt: skip
            first = int(stopped[0])
            a, b = self.rows[one[:count]], self.rows[other[:count]]
            similarity = np.empty(count, np.float64)
            _similarities(self._ranks, self._offsets, one[:count], other[:count], self._threshold, similarity)
            good = similarity >= self._threshold
            found.append((np.minimum(a, b)[good], np.maximum(a, b)[good], similarity[good]))
        left, right, similarity = zip(*found, strict=True)
        return np.concatenate(left), np.concatenate(right), np.concatenate(similarity)


@kernel
def _index(ranks, offsets, threshold, lone, ends, listed, positions):
    # Lists, per shingle, the places in whose prefix it stands; without `listed`, only counts them.
    # A set is looked up by larger ones only, which must share 2t / (1 + t) of it: all but the last of these decide.
    for place in range(len(offsets) - 1):
        size = offsets[place + 1] - offsets[place]
        prefix = size - np.int64(np.ceil(2 * threshold / (1 + threshold) * size - 1e-9)) + 1
        for position in range(prefix):
            rank = ranks[offsets[place] + position]
            if rank < lone:
                continue
            if listed is not None:
                listed[ends[rank]] = place
                positions[ends[rank]] = position
            ends[rank] += 1


@kernel
def _candidates(
    first, last, ranks, offsets, list_starts, listed, positions, threshold, lone, shared, one, other, stopped
):  # fmt: skip
    # Fills `one` and `other` with pairs of places, other < one. Returns how many; `stopped` gets the place to go on from,
    # before `last` where the next one's pairs might not fit. `shared` is all zeros before and after.
    count = 0
    for place in range(first, last):
        if count + place > len(one):
            stopped[0] = place
            return count
        size = offsets[place + 1] - offsets[place]
        smallest = np.int64(np.ceil(threshold * size - 1e-9))
        begin = count
        for position in range(size - smallest + 1):
            rank = ranks[offsets[place] + position]
            if rank < lone:
                continue
            low, high = list_starts[rank], list_starts[rank + 1]
            while low < high:  # places ascend by size: skip those too small
                middle = (low + high) // 2
                candidate = listed[middle]
                if offsets[candidate + 1] - offsets[candidate] < smallest:
                    low = middle + 1
                else:
                    high = middle
            for entry in range(low, list_starts[rank + 1]):
                candidate = listed[entry]
                if candidate >= place:
                    break
                if shared[candidate] < 0:
                    continue
                candidate_size = offsets[candidate + 1] - offsets[candidate]
                needed = np.int64(np.ceil(threshold / (1 + threshold) * (size + candidate_size) - 1e-9))
                ahead = min(size - position, candidate_size - positions[entry])
                if shared[candidate] == 0:
                    one[count] = place
                    other[count] = candidate
                    count += 1
                shared[candidate] += 1
                if shared[candidate] - 1 + ahead < needed:
                    shared[candidate] = -1
        kept = begin
        for entry in range(begin, count):
            candidate = other[entry]
            if shared[candidate] > 0:
                one[kept] = place
                other[kept] = candidate
                kept += 1
            shared[candidate] = 0
        count = kept
    stopped[0] = last
    return count


@kernel
def _similarities(ranks, offsets, one, other, threshold, similarity):
    # Exact similarity per pair, or -1 as soon as it is certain to stay below the threshold.
    for pair in range(len(one)):
        i, i_end = offsets[one[pair]], offsets[one[pair] + 1]
        j, j_end = offsets[other[pair]], offsets[other[pair] + 1]
        total = (i_end - i) + (j_end - j)
        # What may be missing from the longest possible overlap; one to spare against rounding.
        spare = total - 2 * threshold / (1 + threshold) * total + 1
        common = 0
        while i < i_end and j < j_end and spare >= 0:
            x, y = ranks[i], ranks[j]
            common += x == y
            i += x <= y
            j += y <= x
            spare -= x != y
        similarity[pair] = common / (total - common) if spare >= 0 else -1.0
