"""64-bit hashes of the tokens of a block of texts.

Here: the kernel. Not here: what a token is (`dedup.words`), what is done with the hashes (`contamination`).

The tokens are those of `dedup.words.tokenise`, save that lower case is taken character by character (of U+0130 and final sigma
`str.lower` makes something else). A token's hash is FNV-1a over its lower-case UTF-8 bytes, finished as in SplitMix64.
"""

import re
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.dedup.jit import kernel
from ddd_llm.corpus.dedup.words import tokenise
from ddd_llm.corpus.passes.blocks import bytes_of


def token_hashes(texts: pa.Array) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Hash every token of a large_string array without nulls.

    Returns:
        The hashes in order, and where each text's begin (int64, one more than texts).
    """
    data, offsets = bytes_of(pc.utf8_lower(texts))  # type: ignore[attr-defined]
    found = np.empty(int(offsets[-1] - offsets[0]), np.uint64)
    first = np.empty(len(texts) + 1, np.int64)
    used = _token_hashes(data, offsets, _kinds(), found, first)
    return found[:used], first


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    """Per code point: 0 separates, 1 is part of a word, 2 is a token by itself, as `tokenise` has it."""
    points = np.arange(0x110000, dtype="<u4")
    characters = points.tobytes().decode("utf-32-le", "surrogatepass")
    kinds = np.zeros(len(points), np.uint8)
    for word in re.finditer(r"\w+", characters):
        kinds[word.start() : word.end()] = 1
    # Two of a spaceless script side by side are two tokens.
    for point in np.flatnonzero(kinds).tolist():
        if point > 0xDFF and len(tokenise(chr(point) * 2)) == 2:
            kinds[point] = 2
    return kinds


@kernel
def _token_hashes(data, offsets, kinds, found, first):
    used = 0
    basis = np.uint64(0xCBF29CE484222325)
    prime = np.uint64(0x100000001B3)
    for row in range(len(offsets) - 1):
        first[row] = used
        i = offsets[row]
        stop = offsets[row + 1]
        inside = False
        state = basis
        while i <= stop:
            kind = 0
            size = 1
            if i < stop:
                byte = np.int64(data[i])
                point = byte
                # Arrow strings are UTF-8, which needs no checking here but for where it ends.
                if byte >= 0xF0 and i + 3 < stop:
                    point = (
                        ((byte & 7) << 18)
                        | (np.int64(data[i + 1] & 63) << 12)
                        | (np.int64(data[i + 2] & 63) << 6)
                        | np.int64(data[i + 3] & 63)
                    )
                    size = 4
                elif 0xE0 <= byte < 0xF0 and i + 2 < stop:
                    point = ((byte & 15) << 12) | (np.int64(data[i + 1] & 63) << 6) | np.int64(data[i + 2] & 63)
                    size = 3
                elif 0xC0 <= byte < 0xE0 and i + 1 < stop:
                    point = ((byte & 31) << 6) | np.int64(data[i + 1] & 63)
                    size = 2
                elif byte >= 0x80:
                    point = np.int64(0)
                if point < 0x110000:
                    kind = kinds[point]
            if inside and kind != 1:
                state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                found[used] = state ^ (state >> np.uint64(31))
                used += 1
                inside = False
            if kind:
                if not inside:
                    state = basis
                for k in range(i, i + size):
                    state = (state ^ np.uint64(data[k])) * prime
                inside = True
                if kind == 2:
                    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                    found[used] = state ^ (state >> np.uint64(31))
                    used += 1
                    inside = False
            i += size
    first[len(offsets) - 1] = used
    return used
