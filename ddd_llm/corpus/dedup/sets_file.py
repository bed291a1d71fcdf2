"""Shingle sets kept in a file, read a few at a time.

Here: the file's form (little-endian 64-bit hashes, set behind set), a checksum per set, and reading sets by row. Not here:
where files are kept.

A file is far larger than what one batch asks of it, so it is not verified as a whole: each set is checked against its
checksum, which stands in a table that is.
"""

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ddd_llm.corpus.dedup.jit import kernel
from ddd_llm.corpus.dedup.sets import ShingleSets, place_sets
from ddd_llm.store.errors import Corrupt

_U64 = np.uint64
_AT_ONCE = 64  # sets copied from one mapping: each may bring 64 KiB of the file into memory


class DamagedSets(Corrupt):
    """A set does not match its checksum."""


@dataclass(frozen=True)
class SetFile:
    """Sets in a file: row `i` has `sizes[i]` hashes from hash number `starts[i]` on, with the checksum `sums[i]`.

    A file that this very process wrote for itself needs no checksums.

    Raises (when called):
        DamagedSets: what was read is not what was written.
    """

    open: Callable[[], BinaryIO]
    starts: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int32]
    sums: npt.NDArray[np.uint64] | None = None

    def __call__(self, rows: npt.NDArray[np.int64]) -> ShingleSets:
        starts, sizes = self.starts[rows], self.sizes[rows].astype(np.int64)
        offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)))
        found = np.empty(offsets[-1], np.uint64)
        if len(found):
            with self.open() as file:
                for first in range(0, len(rows), _AT_ONCE):
                    here = slice(first, first + _AT_ONCE)
                    data = _mapped(file)
                    if (starts[here] + sizes[here]).max() > len(data):
                        raise DamagedSets(
                            "the file of shingle sets is shorter than its table says; make the signatures anew"
                        )
                    place_sets(data, starts[here], np.arange(len(rows))[here], offsets, found)
        sets = ShingleSets(found, offsets)
        if self.sums is not None and (checksums(sets) != self.sums[rows]).any():
            raise DamagedSets("a shingle set does not match its checksum; make the signatures anew")
        return sets


def _mapped(file: BinaryIO) -> npt.NDArray[np.uint64]:
    # The file's hashes; only what is looked at is read, and it counts as resident until the array is let go.
    try:
        content: mmap.mmap | bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):  # not of a file system, or empty
        content = file.read()
    return np.frombuffer(content, "<u8", len(content) // 8)


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
