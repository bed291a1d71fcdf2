"""Sets of shingles, for exact Jaccard similarity.

Here: a text's set as distinct 64-bit hashes, and where sets come from when they are asked for. Not here: which pairs to
compare (`candidates`, `similar`), comparing (`election`).

A set holds hashes in place of shingles. Two texts of n and m shingles get a wrong similarity only if two different
shingles among them collide, with probability below (n + m)^2 / 2^60: for two texts of 10,000 words, 1 in 2 billion.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ddd_llm.corpus.dedup.blocks import Texts, map_blocks
from ddd_llm.corpus.dedup.jit import kernel
from ddd_llm.corpus.dedup.shingles import shingle_hashes

_U64 = np.uint64


@dataclass(frozen=True)
class ShingleSets:
    """Sets of 64-bit shingle hashes: text `i` has `hashes[offsets[i]:offsets[i + 1]]`, each value once, in text order."""

    hashes: npt.NDArray[np.uint64]
    offsets: npt.NDArray[np.int64]

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Distinct shingles per text."""
        return np.diff(self.offsets)


class SetSource(Protocol):
    """Gives the sets of documents by row number, in the order asked; holds none of them longer than that."""

    def __call__(self, rows: npt.NDArray[np.int64]) -> ShingleSets: ...


@dataclass(frozen=True)
class TextSets:
    """A source that makes sets from texts in memory."""

    texts: Texts
    ngram: int
    threads: int | None = None

    def __call__(self, rows: npt.NDArray[np.int64]) -> ShingleSets:
        return shingle_sets(self.texts.take(pa.array(rows)), self.ngram, self.threads)


@dataclass(frozen=True)
class Chosen:
    """Sets of some rows of another source."""

    source: SetSource
    rows: npt.NDArray[np.int64]

    def __call__(self, rows: npt.NDArray[np.int64]) -> ShingleSets:
        return self.source(self.rows[rows])


@dataclass(frozen=True)
class JoinedSets:
    """Several sources, of `counts` rows each, numbered through."""

    sources: Sequence[SetSource]
    counts: Sequence[int]

    def __call__(self, rows: npt.NDArray[np.int64]) -> ShingleSets:
        ends = np.cumsum(np.asarray(self.counts, np.int64))
        part = np.searchsorted(ends, rows, side="right")
        order = np.argsort(part, kind="stable")
        cuts = np.searchsorted(part[order], np.arange(len(ends) + 1))
        found = []
        for number, source in enumerate(self.sources):
            here = order[cuts[number] : cuts[number + 1]]
            if len(here):
                asked = source(rows[here] - (ends[number] - self.counts[number]))
                found.append((asked.hashes, asked.sizes))
        joined = join_sets(found)
        if (order[1:] > order[:-1]).all():
            return joined
        sizes = np.empty(len(rows), np.int64)
        sizes[order] = joined.sizes
        offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)))
        hashes = np.empty(offsets[-1], np.uint64)
        place_sets(joined.hashes, joined.offsets, order, offsets, hashes)
        return ShingleSets(hashes, offsets)


def shingle_sets(texts: Texts, ngram: int, threads: int | None = None) -> ShingleSets:
    """The shingle set of every text (Arrow strings, a null counts as empty).

    Raises:
        TypeError: the texts are not Arrow strings.
    """

    def collect(_: int, block: pa.Array) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
        return distinct(*shingle_hashes(block, ngram))

    return join_sets(map_blocks(texts, collect, threads))


def join_sets(parts: list[tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]]) -> ShingleSets:
    """Sets of several blocks, given as hashes and sizes, behind one another."""
    sizes = np.concatenate([np.zeros(1, np.int64), *(sizes for _, sizes in parts)])
    return ShingleSets(np.concatenate([np.zeros(0, np.uint64), *(hashes for hashes, _ in parts)]), np.cumsum(sizes))


def distinct(
    hashes: npt.NDArray[np.uint64], starts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Each text's distinct values in order of first occurrence, and how many each has; int64, shape (texts,)."""
    longest = int(np.diff(starts).max()) if len(starts) > 1 else 0
    slots = 1 << max(4, int(2 * longest).bit_length())
    found, sizes = np.empty(len(hashes), np.uint64), np.empty(len(starts) - 1, np.int64)
    used = _distinct(hashes, starts, np.zeros(slots, np.uint64), np.full(slots, -1, np.int32), found, sizes)
    return found[:used], sizes


@kernel
def _distinct(hashes, starts, table, owner, found, sizes):
    # Per text an open-addressing table; a slot belongs to the text whose number it carries, so that none is cleared.
    used = 0
    for row in range(len(starts) - 1):
        begin = used
        mask = _U64(15)
        while np.int64(mask) < 2 * (starts[row + 1] - starts[row]):
            mask = _U64(2) * mask + _U64(1)
        for i in range(starts[row], starts[row + 1]):
            value = hashes[i]
            slot = (value >> _U64(1)) & mask  # the last bit is always set
            while owner[slot] == row and table[slot] != value:
                slot = (slot + _U64(1)) & mask
            if owner[slot] != row:
                owner[slot] = row
                table[slot] = value
                found[used] = value
                used += 1
        sizes[row] = used - begin
    return used


@kernel
def place_sets(hashes, begins, rows, offsets, found):
    """Copy the set that begins at `begins[i]` of `hashes` to where row `rows[i]` has its own in `found`."""
    for i in range(len(rows)):
        at = offsets[rows[i]]
        for k in range(offsets[rows[i] + 1] - at):
            found[at + k] = hashes[begins[i] + k]
