"""Kernels of the election: comparing sets, and finding kept documents that a document may resemble.

Here: compiled loops over plain arrays. Not here: why the walk is what it is (`election`).

Members are places 0, 1, ... in keep order. Small groups list their kept members; kept members of large groups are chained by
the rarest shingles of their sets ("prefixes").
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ddd_llm.corpus.dedup.jit import kernel

_U64 = np.uint64
_MULTIPLIER = _U64(0x9E3779B97F4A7C15)


class Lists(NamedTuple):
    """The groups of each member (`ids[offsets[i]:offsets[i + 1]]`), and the kept members of each small group:
    `kept[starts[g]:ends[g]]`; a large group has no room (`starts[g] == starts[g + 1]`)."""

    offsets: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    kept: npt.NDArray[np.int32]


class Chains(NamedTuple):
    """Kept members of large groups: entry `e` is (member, next entry of its chain, whether in its short prefix)."""

    heads: npt.NDArray[np.int32]
    entries: npt.NDArray[np.int32]
    used: npt.NDArray[np.int64]


@kernel
def in_large_group(lists, large):
    """Mark the members that are in a large group."""
    for member in range(len(large)):
        for entry in range(lists.offsets[member], lists.offsets[member + 1]):
            group = lists.ids[entry]
            large[member] |= lists.starts[group] == lists.starts[group + 1]


@kernel
def enter_kept(lists, member):
    """Note a kept member in its small groups."""
    for entry in range(lists.offsets[member], lists.offsets[member + 1]):
        group = lists.ids[entry]
        if lists.starts[group] < lists.starts[group + 1]:
            lists.kept[lists.ends[group]] = member
            lists.ends[group] += 1


@kernel
def enter_first(lists, members):
    """Note the first `members` members, all kept, in their small groups."""
    for member in range(members):
        enter_kept(lists, member)


@kernel
def _chain(key, chains):
    return np.int64(((key * _MULTIPLIER) >> _U64(32)) & _U64(len(chains.heads) - 1))


@kernel
def enter_rare(chains, rare, row, member):
    """Chain a kept member of large groups by its prefix; there must be room."""
    for position in range(rare.offsets[row + 1] - rare.offsets[row]):
        head = _chain(rare.keys[rare.offsets[row] + position], chains)
        entry = chains.used[0]
        chains.entries[entry, 0] = member
        chains.entries[entry, 1] = chains.heads[head]
        chains.entries[entry, 2] = position < rare.short[row]
        chains.heads[head] = entry
        chains.used[0] += 1


@kernel
def enter_rare_rows(chains, rare, members):
    """Chain kept members of large groups, one per row of the prefixes."""
    for row in range(len(members)):
        enter_rare(chains, rare, row, members[row])


@kernel
def _meet(other, mark, met, times):
    # How often `other` was met, this time included, since the scratch was first marked with `mark`.
    if met[other] != mark:
        met[other] = mark
        times[other] = 0
    times[other] += 1
    return times[other]


@kernel
def needed(lists, chains, rare, first, last, least, met, times, listed, found):
    """Find the kept members before `first` that may be compared with one in [first, last); returns how many."""
    count = 0
    for member in range(first, last):
        mark = -2 - member  # not what `elect` marks with
        for slot in range(lists.offsets[member], lists.offsets[member + 1]):
            group = lists.ids[slot]
            for place in range(lists.starts[group], lists.ends[group]):
                other = lists.kept[place]
                if _meet(other, mark, met, times) == least and listed[other] != first:
                    listed[other] = first
                    found[count] = other
                    count += 1
        row = member - first
        for position in range(rare.offsets[row + 1] - rare.offsets[row]):
            entry = chains.heads[_chain(rare.keys[rare.offsets[row] + position], chains)]
            while entry >= 0:
                other = chains.entries[entry, 0]
                if listed[other] != first and (position < rare.short[row] or chains.entries[entry, 2]):
                    listed[other] = first
                    found[count] = other
                    count += 1
                entry = chains.entries[entry, 1]
    return count


@kernel
def elect(
    lists, chains, rare, first, last, least, hashes, offsets, slots, met, times, threshold, table, leader, similarity
):  # fmt: skip
    """Decide members [first, last) in order: a leader shares at least `least` groups and reaches the threshold.

    `slots` says where in `offsets` the set of each member asked for is; `met` and `times` are scratch, a place per member, and so
    is `table`: a power of two of at least twice the largest set's size.
    """
    for member in range(first, last):
        begin, end = offsets[slots[member]], offsets[slots[member] + 1]
        size = end - begin
        room = 16
        while room < 2 * size:
            room *= 2
        _fill_table(table[:room], hashes, begin, end)
        best = -1.0
        for entry in range(lists.offsets[member], lists.offsets[member + 1]):
            group = lists.ids[entry]
            for place in range(lists.starts[group], lists.ends[group]):
                other = lists.kept[place]
                if _meet(other, member, met, times) == least:
                    low, high = offsets[slots[other]], offsets[slots[other] + 1]
                    found = _similarity(table[:room], size, hashes, low, high, threshold)
                    if found >= threshold and (found > best or (found == best and other < leader[member])):
                        best = found
                        leader[member] = other
        row = member - first
        for position in range(rare.offsets[row + 1] - rare.offsets[row]):
            chained = chains.heads[_chain(rare.keys[rare.offsets[row] + position], chains)]
            while chained >= 0:
                other, in_short = chains.entries[chained, 0], chains.entries[chained, 2]
                chained = chains.entries[chained, 1]
                if (met[other] == member and times[other] >= least) or not (position < rare.short[row] or in_short):
                    continue
                low, high = offsets[slots[other]], offsets[slots[other] + 1]
                # The smaller of two sets must be met in its short prefix.
                if (position >= rare.short[row] and size < high - low) or (not in_short and high - low < size):
                    continue
                met[other] = member
                times[other] = least
                found = _similarity(table[:room], size, hashes, low, high, threshold)
                better = found > best or (found == best and other < leader[member])
                if found >= threshold and better and _shared_groups(lists, member, other) >= least:
                    best = found
                    leader[member] = other
        if best >= 0.0:
            similarity[member] = best
        else:
            enter_kept(lists, member)
            enter_rare(chains, rare, row, member)


@kernel
def _fill_table(table, hashes, begin, end):
    # Open addressing; 0 marks a free slot, and no hash is 0.
    table[:] = 0
    mask = _U64(len(table) - 1)
    for i in range(begin, end):
        value = hashes[i]
        slot = (value >> _U64(1)) & mask
        while table[slot] != 0:
            slot = (slot + _U64(1)) & mask
        table[slot] = value


@kernel
def _similarity(table, size, hashes, begin, end, threshold):
    # Exact similarity of the set in the table to another, or -1 once certain to stay below the threshold.
    other = end - begin
    if min(size, other) < threshold * max(size, other) - 1e-9:
        return -1.0
    total = size + other
    # What of the other may be missing; one to spare against rounding.
    spare = other - threshold / (1 + threshold) * total + 1
    mask = _U64(len(table) - 1)
    common = 0
    for i in range(begin, end):
        value = hashes[i]
        slot = (value >> _U64(1)) & mask
        while table[slot] != 0 and table[slot] != value:
            slot = (slot + _U64(1)) & mask
        if table[slot] == value:
            common += 1
        else:
            spare -= 1
            if spare < 0:
                return -1.0
    return common / (total - common)


@kernel
def _shared_groups(lists, one, other):
    shared = 0
    i, j = lists.offsets[one], lists.offsets[other]
    while i < lists.offsets[one + 1] and j < lists.offsets[other + 1]:
        one_group, other_group = lists.ids[i], lists.ids[j]
        shared += one_group == other_group
        i += one_group <= other_group
        j += other_group <= one_group
    return shared
