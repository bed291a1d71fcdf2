"""Kernels of the election: comparing sets, and finding kept documents that a document may resemble.

Here: compiled loops over plain arrays. Not here: why the walk is what it is (`election`).

Members are places 0, 1, ... in keep order. Small groups list their kept members; kept members of large groups are chained by
the rarest shingles of their sets ("prefixes").
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ddd_llm.corpus.dedup.jit import count_ones, kernel

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
    """Kept members of large groups, `kept[:used[1]]`, chained by their prefixes: entry `e`, one of `used[0]`, is (member, next
    entry of its chain, whether in its short prefix)."""

    heads: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int32]
    entries: npt.NDArray[np.int32]
    kept: npt.NDArray[np.int32]
    used: npt.NDArray[np.int64]


class Maps(NamedTuple):
    """Of each member its set's size, and of members of large groups a bitmap of 512 bits: `bits[rows[member]]`.

    A shingle flips one bit, so that two sets differ in at least as many shingles as their bitmaps in bits (E. Sandes, G.
    Teodoro, A. Melo, Bitmap filter: speeding up exact set similarity joins, Information Systems 88, 2020).
    """

    bits: npt.NDArray[np.uint64]
    rows: npt.NDArray[np.int32]
    sizes: npt.NDArray[np.int32]


@kernel
def draw(maps, members, hashes, offsets):
    """Note sizes, and bitmaps of those that have one, of some members with these sets."""
    for i in range(len(members)):
        maps.sizes[members[i]] = offsets[i + 1] - offsets[i]
        row = maps.rows[members[i]]
        if row >= 0:
            maps.bits[row] = 0
            for k in range(offsets[i], offsets[i + 1]):
                place = hashes[k] >> _U64(55)
                maps.bits[row, np.int64(place >> _U64(6))] ^= _U64(1) << (place & _U64(63))


@kernel
def _may_reach(maps, one, other, threshold):
    # Whether two sets, by sizes and bitmaps, can have the similarity.
    total = maps.sizes[one] + maps.sizes[other]
    apart = 0
    for k in range(maps.bits.shape[1]):
        apart += count_ones(maps.bits[maps.rows[one], k] ^ maps.bits[maps.rows[other], k])
    apart = max(apart, abs(maps.sizes[one] - maps.sizes[other]))
    return total - apart >= 2 * threshold / (1 + threshold) * total - 1e-6


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
    if rare.offsets[row] < rare.offsets[row + 1]:
        chains.kept[chains.used[1]] = member
        chains.used[1] += 1
    for position in range(rare.offsets[row + 1] - rare.offsets[row]):
        head = _chain(rare.keys[rare.offsets[row] + position], chains)
        entry = chains.used[0]
        chains.entries[entry, 0] = member
        chains.entries[entry, 1] = chains.heads[head]
        chains.entries[entry, 2] = position < rare.short[row]
        chains.heads[head] = entry
        chains.lengths[head] += 1
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
def _is_dear(chains, rare, row):
    # Whether a row's chains are longer than it takes to look at every kept member of a large group.
    length = 0
    for position in range(rare.offsets[row], rare.offsets[row + 1]):
        length += chains.lengths[_chain(rare.keys[position], chains)]
    return length > chains.used[1]


@kernel
def needed(lists, chains, rare, maps, first, last, least, threshold, met, times, listed, dear, found):
    """Find the kept members before `first` that may be compared with one in [first, last); returns how many.

    `dear` gets for each member whether its chains are not worth following.
    """
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
        dear[row] = _is_dear(chains, rare, row)
        if dear[row]:
            for place in range(chains.used[1]):
                other = chains.kept[place]
                if listed[other] != first and _may_reach(maps, member, other, threshold):
                    listed[other] = first
                    found[count] = other
                    count += 1
            continue
        for position in range(rare.offsets[row + 1] - rare.offsets[row]):
            entry = chains.heads[_chain(rare.keys[rare.offsets[row] + position], chains)]
            while entry >= 0:
                other, in_short = chains.entries[entry, 0], chains.entries[entry, 2]
                entry = chains.entries[entry, 1]
                if listed[other] == first or not (position < rare.short[row] or in_short):
                    continue
                if met[other] == mark and times[other] >= least:
                    continue
                met[other] = mark
                times[other] = least
                if _may_reach(maps, member, other, threshold):
                    listed[other] = first
                    found[count] = other
                    count += 1
    return count


@kernel
def elect(
    lists, chains, rare, maps, first, last, least, hashes, offsets, slots, met, times, dear, threshold, table, leader,
    similarity,
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
        own = table[:room]
        _fill_table(own, hashes, begin, end)
        best = -1.0
        for entry in range(lists.offsets[member], lists.offsets[member + 1]):
            group = lists.ids[entry]
            for place in range(lists.starts[group], lists.ends[group]):
                other = lists.kept[place]
                if _meet(other, member, met, times) == least:
                    best = _compare(
                        lists, own, size, hashes, offsets, slots, least, threshold, leader, member, other, best
                    )
        row = member - first
        for place in range(chains.used[1] if dear[row] else 0):
            other = chains.kept[place]
            if (met[other] == member and times[other] >= least) or not _may_reach(maps, member, other, threshold):
                continue
            best = _compare(lists, own, size, hashes, offsets, slots, least, threshold, leader, member, other, best)
        for position in range(0 if dear[row] else rare.offsets[row + 1] - rare.offsets[row]):
            chained = chains.heads[_chain(rare.keys[rare.offsets[row] + position], chains)]
            while chained >= 0:
                other, in_short = chains.entries[chained, 0], chains.entries[chained, 2]
                chained = chains.entries[chained, 1]
                if (met[other] == member and times[other] >= least) or not (position < rare.short[row] or in_short):
                    continue
                # The smaller of two sets must be met in its short prefix.
                other_size = maps.sizes[other]
                if (position >= rare.short[row] and size < other_size) or (not in_short and other_size < size):
                    continue
                met[other] = member
                times[other] = least
                if not _may_reach(maps, member, other, threshold):
                    continue
                best = _compare(lists, own, size, hashes, offsets, slots, least, threshold, leader, member, other, best)
        if best >= 0.0:
            similarity[member] = best
        else:
            enter_kept(lists, member)
            enter_rare(chains, rare, row, member)


@kernel
def _compare(lists, table, size, hashes, offsets, slots, least, threshold, leader, member, other, best):
    # The best similarity of a member, whose set is in the table, with `other` looked at as well; a new best is its leader.
    low, high = offsets[slots[other]], offsets[slots[other] + 1]
    found = _similarity(table, size, hashes, low, high, threshold)
    better = found > best or (found == best and other < leader[member])
    if found >= threshold and better and _shared_groups(lists, member, other) >= least:
        leader[member] = other
        return found
    return best


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
