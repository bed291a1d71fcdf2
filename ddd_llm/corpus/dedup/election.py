"""Greedy election of leaders among documents that share LSH bands, by exact Jaccard similarity.

Here: the walk over documents in keep order, and what keeps it linear and its memory bounded. Not here: which documents
share bands (`candidates`), policy and tables (`leader`, `history`).

Greedy leader clustering (J. Hartigan, Clustering Algorithms, 1975, chapter 3): a document is dropped if and only if one
already kept shares enough bands with it and has a similarity at or above the threshold. The result depends on the order and on
nothing else: not on blocks, threads, or how candidates are found.

Documents are walked in blocks; a block's sets, and those of kept documents that it may resemble, are all that is held.
Within a small group all kept members are compared. In a large one, where a template gives many documents the same
words, what differs is rare: there a kept document is found by its rarest shingles (prefix filtering, S. Chaudhuri,
V. Ganti, R. Kaushik, ICDE 2006, with the size-aware prefixes of C. Xiao and others, WWW 2008), which no two documents at
the threshold can fail to share; and of those found so, most that are too unlike are told by bitmaps of their sets.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ddd_llm.corpus.dedup import walk
from ddd_llm.corpus.dedup.candidates import Groups
from ddd_llm.corpus.dedup.prefixes import Prefixes, count_shingles, prefixes
from ddd_llm.corpus.dedup.sets import SetSource, ShingleSets

LARGE_GROUP = 64
_BLOCK = 2048
_MOST_SETS = 8192  # of kept documents that one block looks at, unless the block is a single document
_COUNTERS = 1 << 22  # of the approximate shingle frequencies; 16 MiB
_HEADS = 1 << 20


@dataclass(frozen=True)
class Election:
    """Per member of the groups: its leader (a place among the members, -1 if kept), and their similarity (nan if kept)."""

    leader: npt.NDArray[np.int32]
    similarity: npt.NDArray[np.float64]


def elect(
    groups: Groups,
    kept: int,
    sets: SetSource,
    threshold: float,
    least: int = 1,
    block: int = _BLOCK,
    large: int = LARGE_GROUP,
) -> Election:
    """Walk the members of `groups` in order; the first `kept` of them are kept already (earlier batches').

    Args:
        groups: who shares bands; members numbered in keep order.
        kept: how many members were kept before, the first ones.
        sets: shingle sets by number.
        threshold: least similarity of a duplicate to its leader, above 0.
        least: how many groups a duplicate must share with its leader.
        block: documents walked at a time; no effect on the result.
        large: groups of more members are large; no effect on the result.

    Returns:
        For every dropped member the kept one of highest similarity, the earlier one of equals.
    """
    walker = _Walker(groups, kept, sets, threshold, least, block, large)
    first = kept
    while first < len(groups.members):
        first = walker.advance(first, min(first + block, len(groups.members)))
    return Election(walker.leader, walker.similarity)


class _Walker:
    def __init__(
        self, groups: Groups, kept: int, sets: SetSource, threshold: float, least: int, block: int, large: int
    ) -> None:
        count = len(groups.members)
        self._members, self._sets, self._threshold, self._least = groups.members, sets, threshold, least
        room = np.where(groups.sizes > large, 0, groups.sizes)
        starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(room, dtype=np.int64)))
        self._lists = walk.Lists(groups.offsets, groups.ids, starts, starts[:-1].copy(), np.empty(starts[-1], np.int32))
        self._large = np.zeros(count, np.bool_)
        walk.in_large_group(self._lists, self._large)
        any_large = bool(self._large.any())
        self._counters = np.zeros(_COUNTERS if any_large else 1, np.int32)
        rows = np.where(self._large, np.cumsum(self._large) - 1, -1).astype(np.int32)
        self._maps = walk.Maps(np.empty((self._large.sum(), 8), np.uint64), rows, np.zeros(count, np.int32))
        heads = np.full(_HEADS if any_large else 1, -1, np.int32)
        self._chains = walk.Chains(
            heads, np.zeros(len(heads), np.int32), np.empty((0, 3), np.int32), np.empty(self._large.sum(), np.int32),
            np.zeros(2, np.int64),
        )  # fmt: skip
        self._dear = np.zeros(max(block, 1), np.bool_)
        self._slots, self._found = np.full(count, -1, np.int32), np.empty(count, np.int32)
        self._listed, self._met, self._times = (
            np.full(count, -1, np.int32),
            np.full(count, -1, np.int32),
            np.zeros(count, np.uint16),
        )
        self.leader, self.similarity = np.full(count, -1, np.int32), np.full(count, np.nan)
        walk.enter_first(self._lists, kept)
        places = np.flatnonzero(self._large)
        for first in range(0, len(places), block):
            count_shingles(sets(self._members[places[first : first + block]]).hashes, self._counters)
        history = places[places < kept]
        for first in range(0, len(history), block):
            here = history[first : first + block]
            own = sets(self._members[here])
            walk.draw(self._maps, here, own.hashes, own.offsets)
            rare = self._prefixes(own, here)
            walk.enter_rare_rows(self._chains, rare, here)

    def advance(self, first: int, last: int) -> int:
        """Decide members [first, last), or fewer where they look at very many others; returns where to go on."""
        own = self._sets(self._members[first:last])
        walk.draw(self._maps, np.arange(first, last), own.hashes, own.offsets)
        while True:
            rare = self._prefixes(own, np.arange(first, last))
            looked_at = walk.needed(
                self._lists, self._chains, rare, self._maps, first, last, self._least, self._threshold, self._met, self._times,
                self._listed, self._dear, self._found,
            )  # fmt: skip
            if looked_at <= _MOST_SETS or last - first == 1:
                break
            self._listed[self._found[:looked_at]] = -1
            self._met[:] = -1
            last = first + (last - first) // 2
            own = ShingleSets(own.hashes[: own.offsets[last - first]], own.offsets[: last - first + 1])
        others = np.sort(self._found[:looked_at])
        more = self._sets(self._members[others])
        table = np.empty(1 << (2 * max(8, int(own.sizes.max()))).bit_length(), np.uint64)
        self._slots[first:last] = np.arange(last - first)
        self._slots[others] = np.arange(last - first, last - first + len(others))
        walk.elect(
            self._lists, self._chains, rare, self._maps, first, last, self._least,
            np.concatenate((own.hashes, more.hashes)), np.concatenate((own.offsets, own.offsets[-1] + more.offsets[1:])),
            self._slots, self._met, self._times, self._dear, self._threshold, table,
            self.leader, self.similarity,
        )  # fmt: skip
        return last

    def _prefixes(self, own: ShingleSets, places: npt.NDArray[np.int64]) -> Prefixes:
        # Of those in large groups; there is room for their entries afterwards.
        rare = prefixes(own.hashes, own.offsets, self._large[places], self._counters, self._threshold)
        wanted = int(self._chains.used[0]) + len(rare.keys)
        if wanted > len(self._chains.entries):
            grown = np.empty((max(wanted, 2 * len(self._chains.entries)), 3), np.int32)
            grown[: len(self._chains.entries)] = self._chains.entries
            self._chains = self._chains._replace(entries=grown)
        return rare
