"""Raw tokens and plain words of a block of texts, with their places.

Here: the kernels that `poisoning` counts with. Not here: what is suspicious. These tokens are not those of `dedup.words`: a
trigger such as `<SUDO>` is told by its case and its signs.

A token is a run of characters that are not ASCII white space, without the punctuation around it; a run of characters of three
or more UTF-8 bytes (Chinese, Thai, emoji) is a token of its own. A word is a run of letters, digits (all the same) and
underscores in lower case; of characters of three or more bytes each is a word.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ddd_llm.corpus.dedup.jit import kernel
from ddd_llm.corpus.passes.blocks import bytes_of

WINDOW = 16
"""Words after a token that are looked at."""
_LEAST = 6  # of them that there must be
_STRIP = np.zeros(256, np.bool_)
_STRIP[list(b".,;:!?'\"()[]{}`")] = True


class Scan(NamedTuple):
    """Tokens (`hashes, rows, starts, ends`; byte places in `data`) and words (`words` hashes, `word_starts`; text `r` has
    `word_first[r]:word_first[r + 1]`) of a block of texts."""

    data: npt.NDArray[np.uint8]
    hashes: npt.NDArray[np.uint64]
    rows: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    words: npt.NDArray[np.uint64]
    word_starts: npt.NDArray[np.int64]
    word_first: npt.NDArray[np.int64]

    def pairs(self) -> "Scan":
        """The same with every two neighbouring tokens of a text as one."""
        first = np.flatnonzero(np.diff(self.rows) == 0)
        mixed = (self.hashes[first] * np.uint64(0x9E3779B97F4A7C15)) ^ self.hashes[first + 1]
        mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xD6E8FEB86659FD93)
        return self._replace(
            hashes=mixed ^ (mixed >> np.uint64(29)),
            rows=self.rows[first],
            starts=self.starts[first],
            ends=self.ends[first + 1],
        )

    def word_pairs(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
        """Hash of each word with the next, and its row; -1 as row where the next word is of another text."""
        rows = np.repeat(np.arange(len(self.word_first) - 1), np.diff(self.word_first))
        following = np.append(self.words[1:], np.zeros(1, np.uint64))[: len(self.words)]
        mixed = (self.words * np.uint64(0xA24BAED4963EE405)) ^ following
        mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xD6E8FEB86659FD93)
        same = np.append(rows[1:] == rows[:-1], False)[: len(rows)]
        return mixed ^ (mixed >> np.uint64(29)), np.where(same, rows, -1)

    def after(self, new: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Per token the share of pairs among the words after it that are `new`; NaN where too few words follow."""
        sums = np.concatenate(([0], np.cumsum(new)))
        begin = np.searchsorted(self.word_starts, self.ends)
        pairs = np.minimum(begin + WINDOW, self.word_first[self.rows + 1]) - 1 - begin
        told = pairs >= _LEAST - 1
        share = np.full(len(begin), np.nan)
        share[told] = (sums[begin[told] + pairs[told]] - sums[begin[told]]) / pairs[told]
        return share


def scan(texts: pa.Array) -> Scan:
    """Tokens and words of a large_string array without nulls."""
    data, offsets = bytes_of(texts)
    size = int(offsets[-1] - offsets[0])
    hashes, words = np.empty(size, np.uint64), np.empty(size, np.uint64)
    rows, starts, ends, word_starts = np.empty((4, size), np.int64)
    first = np.zeros(len(texts) + 1, np.int64)
    count = _tokens(data, offsets, _STRIP, hashes, rows, starts, ends)
    used = _words(data, offsets, words, word_starts, first)
    return Scan(
        data, hashes[:count], rows[:count], starts[:count], ends[:count], words[:used], word_starts[:used], first
    )


class Counter:
    """How many documents hold each of many hashes: an upper bound, in a table of fixed size."""

    def __init__(self, slots: int) -> None:
        self._counts, self._last = np.zeros(slots, np.uint32), np.full(slots, -1, np.int32)

    def add(self, hashes: npt.NDArray[np.uint64], rows: npt.NDArray[np.int64], first: int) -> None:
        """Count each hash once per row (rows are not negative, ascending and begin at document `first`)."""
        _count(hashes, rows, first, self._counts, self._last)

    def __getitem__(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Of each hash the number of documents."""
        return self._counts[(hashes & np.uint64(len(self._counts) - 1)).astype(np.int64)].astype(np.int64)


@kernel
def _count(hashes, rows, first, counts, last):
    mask = np.uint64(len(counts) - 1)
    for i in range(len(hashes)):
        slot = hashes[i] & mask
        if rows[i] >= 0 and last[slot] != first + rows[i]:
            last[slot] = first + rows[i]
            counts[slot] += 1


@kernel
def _tokens(data, offsets, strip, hashes, rows, starts, ends):
    used = 0
    for row in range(len(offsets) - 1):
        i = offsets[row]
        stop = offsets[row + 1]
        while i < stop:
            if data[i] <= 32:
                i += 1
                continue
            begin = i
            wide = data[i] >= 0xE0
            while i < stop and data[i] > 32:
                if (data[i] < 0x80 or data[i] >= 0xC0) and (data[i] >= 0xE0) != wide:
                    break
                i += 1
            end = i
            while begin < end and strip[data[begin]]:
                begin += 1
            while end > begin and strip[data[end - 1]]:
                end -= 1
            if end > begin:
                state = np.uint64(0xCBF29CE484222325)
                for k in range(begin, end):
                    state = (state ^ np.uint64(data[k])) * np.uint64(0x100000001B3)
                state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                hashes[used] = state ^ (state >> np.uint64(31))
                rows[used] = row
                starts[used] = begin
                ends[used] = end
                used += 1
    return used


@kernel
def _words(data, offsets, words, word_starts, first):
    used = 0
    for row in range(len(offsets) - 1):
        first[row] = used
        i = offsets[row]
        stop = offsets[row + 1]
        while i < stop:
            begin = i
            state = np.uint64(0xCBF29CE484222325)
            if data[i] >= 0xE0:
                state = (state ^ np.uint64(data[i])) * np.uint64(0x100000001B3)
                i += 1
                while i < stop and 0x80 <= data[i] < 0xC0:
                    state = (state ^ np.uint64(data[i])) * np.uint64(0x100000001B3)
                    i += 1
            else:
                while i < stop:
                    byte = data[i]
                    if 65 <= byte <= 90:
                        byte = byte + 32
                    elif 48 <= byte <= 57:
                        byte = 48
                    elif not (97 <= byte <= 122 or byte == 95 or 0x80 <= byte < 0xE0):
                        break
                    state = (state ^ np.uint64(byte)) * np.uint64(0x100000001B3)
                    i += 1
                if i == begin:
                    i += 1
                    continue
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            words[used] = state ^ (state >> np.uint64(31))
            word_starts[used] = begin
            used += 1
    first[len(offsets) - 1] = used
    return used
