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
_GAP = 8192  # hashes between two sets that are rather read through than skipped


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
        cuts = np.flatnonzero(begins[1:] > ends[:-1] + _GAP) + 1
        with self.open() as file:
            for run in np.split(np.arange(len(rows)), cuts) if len(rows) else []:
                begin, end = int(begins[run[0]]), int(ends[run].max())
                file.seek(8 * begin)
                data = file.read(8 * (end - begin))
                if len(data) != 8 * (end - begin):
                    raise DamagedSets(
                        "the file of shingle sets is shorter than its table says; make the signatures anew"
                    )
                place_sets(np.frombuffer(data, "<u8"), begins[run] - begin, by_place[run], offsets, found)
        if (checksums(ShingleSets(found, offsets)) != self.sums[rows]).any():
            raise DamagedSets("a shingle set does not match its checksum; make the signatures anew")
        return ShingleSets(found, offsets)


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
