"""Contamination: documents that hold items of an evaluation set.

Here: which documents hold which items. Not here: reading the sets (`evaluation_sets`), tokens (`token_hashes`).

Overlap of word n-grams, as in T. Brown and others, Language Models are Few-Shot Learners (NeurIPS 2020, appendix C), with
n = 8, because one edit in ten words leaves no 13-gram whole. Two rules, by an item's length in tokens:

- 17 or more: at least two, and at least the policy's share, of the item's different 8-grams stand in the document. Of a text
  of that length with every tenth word replaced, from whichever word on, more than a tenth are left.
- fewer: the whole item stands in the document: word for word if it has fewer than 8 tokens, else at a token edit distance of at
  most two (8 to 10 tokens) or three (11 to 16), which leaves room for one or two edited words. One of the item's halves or
  thirds must be whole, and leads to the place that is compared.

The items' n-grams are a hash table; the documents are read once. Equal 64-bit hashes count as equal words.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ddd_llm.corpus.dedup.jit import kernel
from ddd_llm.corpus.passes.blocks import text_blocks
from ddd_llm.corpus.passes.evaluation_sets import read_items
from ddd_llm.corpus.passes.outcome import Outcome, drop
from ddd_llm.corpus.passes.policy import ContaminationPolicy
from ddd_llm.corpus.passes.token_hashes import token_hashes

REASON = "contaminated"
NGRAM = 8
LONG = 17
CONTAMINATION = pa.schema([("id", pa.string()), ("set", pa.string()), ("item", pa.string()), ("share", pa.float64())])
"""Document, set and item, and the share of the item found: of its 8-grams, or of a short item's tokens."""

_BASE = np.uint64(0xA24BAED4963EE405)


class Index(NamedTuple):
    """The items as arrays, for the kernel.

    `slots` is an open-addressing table of gram hashes (0: free) and `grams` the gram's number in it; gram `g` belongs to
    the entries `first[g]:first[g + 1]` of `item` and `place` (where in a short item it stands; -1: item is long). `tokens`
    of item `i` are `begin[i]:begin[i + 1]`; `need[i]` grams must be found of a long item, `edits[i]` is the distance
    allowed to a short one; `lengths` are the gram lengths in use, ascending, and `powers` the multiplier to each of them.
    """

    slots: npt.NDArray[np.uint64]
    grams: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    item: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.uint64]
    begin: npt.NDArray[np.int64]
    need: npt.NDArray[np.int64]
    edits: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    powers: npt.NDArray[np.uint64]


def find_contaminated(documents: pa.Table, policy: ContaminationPolicy, assets: Path) -> Outcome:
    """Find the documents that hold items of the policy's evaluation sets, and drop or tag them.

    Args:
        documents: columns `id, source, locator, batch, text` and any others, which pass through.
        policy: see `ContaminationPolicy`.
        assets: folder below which relative paths of evaluation sets lie.

    Returns:
        The documents kept, decisions on those dropped (`contaminated`), and `CONTAMINATION`, by document, then item.

    Raises:
        InputError: an evaluation set cannot be read.
    """
    items = read_items(policy.sets, assets)
    index, sizes, totals = build_index([item.text for item in items], policy)
    rows, found, shares = [], [], []
    for first, block in text_blocks(documents["text"]):
        row, item, count = search(block, index)
        rows.append(first + row)
        found.append(item)
        shares.append(count / totals[item])
    row = np.concatenate([np.zeros(0, np.int64), *rows])
    item = np.concatenate([np.zeros(0, np.int64), *found])
    share = np.concatenate([np.zeros(0), *shares])
    table = pa.table(
        {
            "id": documents["id"].take(pa.array(row)),
            "set": pa.array([items[i].set for i in item.tolist()], pa.string()),
            "item": pa.array([items[i].id for i in item.tolist()], pa.string()),
            "share": share,
        }
    ).cast(CONTAMINATION)
    hit = np.zeros(len(documents), np.bool_)
    hit[row] = True
    kept, decisions = drop(documents, hit & (policy.action == "drop"), REASON)
    summary: dict[str, Any] = {
        "items": len(items),
        "items_too_short": int((sizes < policy.least_words).sum()),
        "items_found": len(np.unique(item)),
        "documents_found": int(hit.sum()),
        "documents_dropped": len(decisions),
    }
    return Outcome(kept, decisions, table, summary)


def build_index(
    texts: Sequence[str], policy: ContaminationPolicy
) -> tuple[Index, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The index of items with these texts, their sizes in tokens, and the number of grams or tokens each share is of."""
    tokens, begin = token_hashes(pa.array(texts, pa.large_string()))
    sizes = np.diff(begin)
    need, edits, totals = np.zeros((3, len(texts)), np.int64)
    entries: list[npt.NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
    owners, places = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    lengths: set[int] = set()
    for i, size in enumerate(sizes.tolist()):
        if size < max(policy.least_words, 1):
            continue
        own = tokens[begin[i] : begin[i + 1]]
        if size >= LONG:
            found = np.unique(_grams(own, NGRAM))
            where = np.full(len(found), -1)
            totals[i] = len(found)
            need[i] = max(2, int(np.ceil(policy.least_share * len(found) - 1e-9)))
            need[i] = min(need[i], len(found))
            lengths.add(NGRAM)
        else:
            words = 0 if size < NGRAM else -(-size // 10)  # that may be edited, of up to two tokens one of them
            edits[i] = words + 1 if words else 0
            where, length = _parts(size, words + 1)
            found = np.concatenate([_grams(own[at : at + length], length) for at in where.tolist()])
            totals[i] = size
            lengths.add(length)
        entries.append(found)
        owners.append(np.full(len(found), i))
        places.append(where)
    hashes, owner, place = np.concatenate(entries), np.concatenate(owners), np.concatenate(places)
    order = np.lexsort((place, owner, hashes))
    values, counts = np.unique(hashes, return_counts=True)
    slots, numbers = np.zeros((2, 1 << max(4, int(len(values) * 2).bit_length())), np.uint64)
    _fill(slots, numbers, values)
    used = np.array(sorted(lengths), np.int64)
    powers = np.array([pow(int(_BASE), int(length), 1 << 64) for length in used], np.uint64)
    first = np.concatenate(([0], np.cumsum(counts)))
    index = Index(
        slots, numbers.astype(np.int64), first, owner[order], place[order], tokens, begin, need, edits, used, powers
    )
    return index, sizes, totals


def search(block: pa.Array, index: Index) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Row, item, and number of its grams or tokens found, for every contaminated pair of a block; by row, then item."""
    if not len(index.item):
        none = np.zeros(0, np.int64)
        return none, none, none
    tokens, first = token_hashes(block)
    prefix = np.zeros(len(tokens) + 1, np.uint64)
    _prefixes(tokens, prefix)
    items = len(index.need)
    work = np.zeros((3, items), np.int64)
    work[0] = -1
    cost, stopped = np.zeros(64, np.int64), np.zeros(1, np.int64)
    seen = np.full(len(index.first) - 1, -1, np.int64)
    out = np.empty((3, 4 * items + 4096), np.int64)
    parts, row = [out[:, :0]], 0
    while row < len(block):
        used = _search(tokens, first, prefix, *index, row, work, cost, seen, out, stopped)
        row = int(stopped[0])
        parts.append(out[:, :used].copy())
    pairs = np.concatenate(parts, axis=1)
    order = np.lexsort((pairs[1], pairs[0]))
    return pairs[0][order], pairs[1][order], pairs[2][order]


def _parts(size: int, count: int) -> tuple[npt.NDArray[np.int64], int]:
    """Where `count` disjoint parts of one length begin in an item of `size` tokens, and that length."""
    length = size // count
    return np.arange(count, dtype=np.int64) * length, length


def _grams(tokens: npt.NDArray[np.uint64], length: int) -> npt.NDArray[np.uint64]:
    prefix = np.zeros(len(tokens) + 1, np.uint64)
    _prefixes(tokens, prefix)
    power = np.uint64(pow(int(_BASE), length, 1 << 64))
    raw = prefix[length:] - prefix[:-length] * power
    raw = (raw ^ (raw >> np.uint64(32)) ^ np.uint64(length)) * np.uint64(0x9E3779B97F4A7C15)
    return (raw ^ (raw >> np.uint64(29))) | np.uint64(1)


@kernel
def _prefixes(tokens, prefix):
    # prefix[i + 1] = prefix[i] * BASE + token: any n-gram's polynomial is a difference of two of them (Karp, Rabin, 1987).
    base = np.uint64(0xA24BAED4963EE405)
    for i in range(len(tokens)):
        prefix[i + 1] = prefix[i] * base + tokens[i]


@kernel
def _fill(slots, numbers, values):
    mask = np.uint64(len(slots) - 1)
    for number in range(len(values)):
        slot = (values[number] >> np.uint64(20)) & mask
        while slots[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = values[number]
        numbers[slot] = number


@kernel
def _search(
    tokens, starts, prefix, slots, grams, first, item, place, own, begin, need, edits, lengths, powers, row, work, cost,
    seen, out, stopped,
):  # fmt: skip
    # From document `row` on, as far as `out` has room for all items of one more; returns what is used, and puts
    # the next document's row into `stopped`.
    stamp = work[0]
    count = work[1]
    touched = work[2]
    mask = np.uint64(len(slots) - 1)
    used = 0
    while row < len(starts) - 1 and used + len(need) <= out.shape[1]:
        touches = 0
        low = starts[row]
        high = starts[row + 1]
        for i in range(low, high):
            for k in range(len(lengths)):
                length = lengths[k]
                if i + length > high:
                    break
                raw = prefix[i + length] - prefix[i] * powers[k]
                raw = (raw ^ (raw >> np.uint64(32)) ^ np.uint64(length)) * np.uint64(0x9E3779B97F4A7C15)
                raw = (raw ^ (raw >> np.uint64(29))) | np.uint64(1)
                slot = (raw >> np.uint64(20)) & mask
                while slots[slot] != 0 and slots[slot] != raw:
                    slot = (slot + np.uint64(1)) & mask
                if slots[slot] == 0:
                    continue
                gram = grams[slot]
                again = seen[gram] == row
                seen[gram] = row
                for entry in range(first[gram], first[gram + 1]):
                    one = item[entry]
                    at = place[entry]
                    if at < 0:
                        if again:
                            continue
                        if stamp[one] != row:
                            stamp[one] = row
                            count[one] = 0
                            touched[touches] = one
                            touches += 1
                        count[one] += 1
                        continue
                    size = begin[one + 1] - begin[one]
                    start = i - at
                    if start + edits[one] < low or start + size - edits[one] > high:
                        continue
                    best = count[one] if stamp[one] == row else 0
                    if best == size:
                        continue
                    # The item against the best-fitting stretch of the place: cost[j], for the item's tokens so far, up to
                    # the stretch's token j; beginning and ending anywhere costs nothing (P. Sellers, 1980).
                    low_end = max(low, start - edits[one])
                    width = min(high, start + size + edits[one]) - low_end
                    for j in range(width + 1):
                        cost[j] = 0
                    for t in range(size):
                        diagonal = cost[0]
                        cost[0] = t + 1
                        for j in range(1, width + 1):
                            above = cost[j]
                            differs = tokens[low_end + j - 1] != own[begin[one] + t]
                            cost[j] = min(diagonal + differs, min(above, cost[j - 1]) + 1)
                            diagonal = above
                    differ = cost[0]
                    for j in range(1, width + 1):
                        differ = min(differ, cost[j])
                    if differ <= edits[one]:
                        if stamp[one] != row:
                            stamp[one] = row
                            touched[touches] = one
                            touches += 1
                        count[one] = max(best, size - differ)
        for t in range(touches):
            one = touched[t]
            if count[one] >= need[one]:
                out[0, used] = row
                out[1, used] = one
                out[2, used] = count[one]
                used += 1
        row += 1
    stopped[0] = row
    return used
