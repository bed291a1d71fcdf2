"""Which documents may be near-duplicates: those that share LSH bands of their signatures.

Here: documents grouped by band key. Not here: band keys (`signatures`), whether two candidates are near-duplicates and
which of them stays (`election`).

Two documents of Jaccard similarity J share Binomial(b, J^r) of b bands of r values (J. Leskovec, A. Rajaraman, J. Ullman,
Mining of Massive Datasets, section 3.4). To ask for more than one shared band tells alike from half alike more sharply
than one longer band does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ddd_llm.corpus.dedup.jit import kernel

_U8, _U64 = np.uint8, np.uint64


@dataclass(frozen=True)
class Groups:
    """Documents that share a band key with another, and the groups they are in.

    `members` are the documents' numbers, ascending; member `i` is in groups `ids[offsets[i]:offsets[i + 1]]` (ascending),
    and group `g` has at most `sizes[g]` members.
    """

    members: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int32]
    sizes: npt.NDArray[np.int32]


def group(
    history: Sequence[npt.NDArray[np.uint64]],
    batch: npt.NDArray[np.uint64],
    rows: npt.NDArray[np.int64],
    numbers: npt.NDArray[np.int64],
    least: int = 1,
) -> Groups:
    """Group documents by band key; a group has a document of the batch and at least one other.

    Args:
        history: band keys of earlier documents, in parts of shape (documents, bands).
        batch: band keys of the documents of this batch, shape (documents, bands).
        rows: which rows of the batch take part (those without a shingle, and copies, do not).
        numbers: what each of them is called in the groups: ascending, from the number of earlier documents on.
        least: documents in fewer groups are left out; they share fewer bands than this with any other.

    Returns:
        Groups whose members are those of `history`, numbered through, and then `numbers`.
    """
    bands = batch.shape[1]
    before = sum(map(len, history))
    bits = np.empty((2, 1 << max(10, int(2 * len(rows)).bit_length())), np.uint8)
    shared: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]] = []
    total, sizes = 0, []
    for band in range(bands):
        keys, who = batch[rows, band], numbers
        if before:
            # Most of history shares nothing with one batch: a bitmap of the batch's keys passes over it cheaply.
            _mark(keys, bits)
            first, found = 0, []
            for part in history:
                hits = _hits(part, band, bits[0])
                found.append((part[hits, band], hits + first))
                first += len(part)
            keys = np.concatenate([*(k for k, _ in found), keys])
            who = np.concatenate([*(n for _, n in found), who])
        # Most keys are of one document alone; to sort them is dear, to see it by a bitmap is not.
        _mark(keys, bits)
        again = _hits(keys[:, np.newaxis], 0, bits[1])
        members, run, counts = _runs(keys[again], who[again], before)
        shared.append((members, run + np.int32(total)))
        sizes.append(counts)
        total += len(counts)
    often = np.zeros(max(before, int(numbers[-1]) + 1) if len(numbers) else before, np.uint16)
    for members, _ in shared:
        often[members] += 1  # a document is in a band's groups at most once
    chosen = np.flatnonzero(often >= max(1, least))
    place = np.full(len(often), -1, np.int32)
    place[chosen] = np.arange(len(chosen))
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(often[chosen], dtype=np.int64)))
    ids, ends = np.empty(offsets[-1], np.int32), offsets[:-1].copy()
    while shared:  # released band by band
        members, run = shared.pop(0)
        _fill(place, members, run, ids, ends)
    return Groups(chosen, offsets, ids, np.concatenate([np.zeros(0, np.int32), *sizes]))


def _runs(
    keys: npt.NDArray[np.uint64], who: npt.NDArray[np.int64], before: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    # Members of the runs of equal keys that have two members or more, one of them not of history: member, run, run sizes.
    order = np.argsort(keys)
    ordered = keys[order]
    starts = np.flatnonzero(np.concatenate((np.ones(min(1, len(keys)), np.bool_), ordered[1:] != ordered[:-1])))
    counts = np.diff(np.append(starts, len(keys)))
    wanted = counts > 1
    if before and len(starts):
        wanted &= np.add.reduceat((who[order] >= before).astype(np.int64), starts) > 0
    inside = np.repeat(wanted, counts)
    counts = counts[wanted]
    runs = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    return who[order[inside]].astype(np.int32), runs, counts.astype(np.int32)


@kernel
def _mark(keys, bits):
    # Which keys occur (first bitmap), and which may occur twice (second one).
    mask = _U64(bits.shape[1] - 1)
    bits[:] = 0
    for i in range(len(keys)):
        place = (keys[i] >> _U64(3)) & mask
        bit = _U8(1) << _U8(keys[i] & _U64(7))
        bits[1, place] |= bits[0, place] & bit
        bits[0, place] |= bit


def _hits(keys: npt.NDArray[np.uint64], band: int, bits: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    # Rows whose key of the band may be in a bitmap.
    found = np.empty(len(keys), np.int64)
    return found[: _look_up(keys, band, bits, found)].copy()


@kernel
def _look_up(keys, band, bits, found):
    mask = _U64(len(bits) - 1)
    count = 0
    for i in range(len(keys)):
        key = keys[i, band]
        found[count] = i
        count += np.int64((bits[(key >> _U64(3)) & mask] >> _U8(key & _U64(7))) & _U8(1))
    return count


@kernel
def _fill(place, members, run, ids, ends):
    for i in range(len(members)):
        member = place[members[i]]
        if member >= 0:
            ids[ends[member]] = run[i]
            ends[member] += 1
