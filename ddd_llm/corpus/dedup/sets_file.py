"""Shingle sets kept in a file, read a few at a time.

Here: the file's form (little-endian 64-bit hashes, set behind set), a checksum per set, and reading sets by row. Not here:
where files are kept.

A file is far larger than what one batch asks of it, so it is not verified as a whole: each set is checked against its
checksum, which stands in a table that is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ddd_llm.corpus.dedup.jit import kernel
from ddd_llm.corpus.dedup.sets import ShingleSets, place_sets
from ddd_llm.store.errors import Corrupt

_U64 = np.uint64
_GAP = 2048  # hashes between two sets that are rather read through than skipped
_SCRATCH = 1 << 17  # hashes held before they are taken apart, unless one run has more; 1 MiB


class DamagedSets(Corrupt):
    """A set does not match its checksum."""


@dataclass(frozen=True)
class SetFile:
    """Sets in a file: row `i` has `sizes[i]` hashes from hash number `starts[i]` on, with the checksum `sums[i]`.

    Raises (when called):
        DamagedSets: what was read is not what was written.
    """

    open: Callable[[], BinaryIO]
    starts: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int32]
    sums: npt.NDArray[np.uint64]

    def __call__(self, rows: npt.NDArray[np.int64]) -> ShingleSets:
        sizes = self.sizes[rows].astype(np.int64)
        offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)))
        found = np.empty(offsets[-1], "<u8")
        by_place = np.argsort(self.starts[rows], kind="stable")
        begins, ends = self.starts[rows][by_place], (self.starts[rows] + sizes)[by_place]
        # Runs of sets that lie close together are read in one go, and so many runs as fit into the scratch are taken apart.
        firsts = np.flatnonzero(np.concatenate((np.ones(len(rows[:1]), np.bool_), begins[1:] > ends[:-1] + _GAP)))
        bounds, run_begins = np.append(firsts, len(rows)), begins[firsts]
        lengths = np.maximum.reduceat(ends, firsts) - run_begins
        filled = np.cumsum(lengths)
        with self.open() as file:
            run = 0
            while run < len(firsts):
                before = filled[run] - lengths[run]
                stop = max(run + 1, int(np.searchsorted(filled, before + _SCRATCH, side="right")))
                data = self._read(file, run_begins[run:stop].tolist(), lengths[run:stop].tolist())
                places = filled[run:stop] - lengths[run:stop] - before
                here = slice(bounds[run], bounds[stop])
                moved = np.repeat(places - run_begins[run:stop], np.diff(bounds[run : stop + 1]))
                place_sets(data, begins[here] + moved, by_place[here], offsets, found)
                run = stop
        if (checksums(ShingleSets(found, offsets)) != self.sums[rows]).any():
            raise DamagedSets("a shingle set does not match its checksum; make the signatures anew")
        return ShingleSets(found, offsets)

    def _read(self, file: BinaryIO, begins: list[int], lengths: list[int]) -> npt.NDArray[np.uint64]:
        # Stretches of the file, one behind the other.
        data = np.empty(sum(lengths), "<u8")
        room = memoryview(data).cast("B")
        used = 0
        for begin, length in zip(begins, lengths, strict=True):
            file.seek(8 * begin)
            if file.readinto(room[used : used + 8 * length]) != 8 * length:  # type: ignore[attr-defined]
                raise DamagedSets("the file of shingle sets is shorter than its table says; make the signatures anew")
            used += 8 * length
        return data


def checksums(sets: ShingleSets) -> npt.NDArray[np.uint64]:
    """64 bits over each set's hashes in their order; uint64, shape (sets,)."""
    sums = np.empty(len(sets.offsets) - 1, np.uint64)
    _checksums(sets.hashes, sets.offsets, sums)
    return sums


@kernel
def _checksums(hashes, offsets, sums):
    for row in range(len(sums)):
        state = _U64(offsets[row + 1] - offsets[row])
        for i in range(offsets[row], offsets[row + 1]):
            state = (state ^ hashes[i]) * _U64(0x9E3779B97F4A7C15)
            state ^= state >> _U64(32)
        sums[row] = state
