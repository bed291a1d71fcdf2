"""Tokens of a whole batch of texts, straight from Arrow's string buffers.

Here: the kernel that does what `words` defines. Not here: hashing, signatures, similarity.
"""

import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ddd_llm.corpus.dedup.jit import kernel
from ddd_llm.corpus.dedup.words import SPACELESS

_CODE_POINTS = 0x110000
# The two characters whose lower case is not one character for one: it grows (U+0130) or looks at its neighbours (U+03A3).
_DOTTED_I, _CAPITAL_SIGMA = 0x130, 0x3A3


@dataclass(frozen=True)
class Normalised:
    """Tokenised texts: every token in lower case, followed by one space, as UTF-8.

    Text `d` owns `starts[first[d]:first[d + 1]]`, one entry more than it has tokens: token `i` is
    `data[starts[i] : starts[i + 1] - 1]`, and an n-gram from it `data[starts[i] : starts[i + n] - 1]`.
    """

    data: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]

    def shingle_counts(self, ngram: int) -> npt.NDArray[np.int64]:
        """How many shingles (repeats included) each text has; int64, shape (texts,)."""
        tokens = np.diff(self.first) - 1
        return np.where(tokens < ngram, np.minimum(tokens, 1), tokens - ngram + 1)


def normalise(texts: pa.Array) -> Normalised:
    """Tokenise every text of an Arrow string array; a null counts as an empty text.

    Bytes that are not UTF-8 separate words, as punctuation does.
    """
    _, data, offsets = string_buffers(texts)
    normalised, special = _run(data, offsets)
    if not special.any():
        return normalised
    raw = [data[start:end].tobytes() for start, end in pairwise(offsets.tolist())]
    for row in np.flatnonzero(special):
        raw[row] = raw[row].decode("utf-8", "replace").lower().encode()
    lengths = np.fromiter((len(text) for text in raw), np.int64, len(raw))
    return _run(np.frombuffer(b"".join(raw), np.uint8), np.concatenate(([0], np.cumsum(lengths))))[0]


def _run(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> tuple[Normalised, npt.NDArray[np.bool_]]:
    """The kernel's result, and which texts hold a character that only `str.lower` can treat."""
    texts = len(offsets) - 1
    size = int(offsets[-1] - offsets[0])
    # Lower case grows a character by at most one byte in two; a token of one character brings its space with it.
    out = np.empty(2 * size + 8, np.uint8)
    starts = np.empty(size // 2 + 2 * texts + 1, np.int64)
    first = np.empty(texts + 1, np.int64)
    special = np.zeros(texts, np.bool_)
    used = _normalise(data, offsets, *_character_tables(), out, starts, first, special)
    return Normalised(out[:used], starts[: first[-1]], first), special


def string_buffers(texts: pa.Array) -> tuple[pa.Array, npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """`texts` as a large_string array without nulls (an empty text for each), its bytes, and its offsets into them.

    Nothing but offsets is copied where there are no nulls. Offsets are int64, shape (texts + 1,).

    Raises:
        TypeError: the array does not hold strings.
    """
    kind = texts.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise TypeError(f"texts must be an Arrow string array, not {kind}")
    if not pa.types.is_large_string(kind):
        texts = texts.cast(pa.large_string())
    if texts.null_count:
        texts = texts.fill_null("")
    _, offsets, data = texts.buffers()
    if len(texts) == 0 or offsets is None or data is None or data.size == 0:
        return texts, np.zeros(0, np.uint8), np.zeros(len(texts) + 1, np.int64)
    return texts, np.frombuffer(data, np.uint8), np.frombuffer(offsets, np.int64, len(texts) + 1, texts.offset * 8)


@cache
def _character_tables() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint32]]:
    r"""Lower case of each ASCII character (a space for what separates); then per code point its kind and its lower case.

    Kinds: 0 separates, 1 part of a word, 2 a token by itself, 3 only `str.lower` can treat it. All is taken from this
    Python's own `re` and `str.lower`.
    """
    points = np.arange(_CODE_POINTS, dtype=np.uint32)
    points[[_DOTTED_I, _CAPITAL_SIGMA]] = ord("i"), ord("\u03c3")
    characters = points.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
    lowers = np.frombuffer(characters.lower().encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint32)
    kinds = np.zeros(_CODE_POINTS, np.uint8)
    for word in re.finditer(r"\w+", characters):
        kinds[word.start() : word.end()] = 1
    for low, high in SPACELESS:
        kinds[low : high + 1] *= 2
    kinds[[_DOTTED_I, _CAPITAL_SIGMA]] = 3
    ascii_lowers = np.where(kinds[:128] == 0, ord(" "), lowers[:128]).astype(np.uint8)
    return ascii_lowers, kinds, lowers


@kernel
def _normalise(data, offsets, ascii_lowers, kinds, lowers, out, starts, first, special):
    # `used` bytes of `out` are filled; the rest of the results is written to the arrays, as `Normalised` says.
    used = 0
    count = 0
    for row in range(len(offsets) - 1):
        first[row] = count
        i = offsets[row]
        end = offsets[row + 1]
        inside = False
        while i < end:
            byte = data[i]
            if byte < 128:
                # Without branches, which text mispredicts: every byte is written, and only a word's or the first
                # one after a word stays.
                i += 1
                letter = ascii_lowers[byte]
                word = letter != 32
                starts[count] = used
                count += word and not inside
                out[used] = letter
                used += word or inside
                inside = word
                continue
            # One character of two to four bytes; anything malformed is one separating byte.
            point = np.int64(-1)
            size = 1
            if 0xC2 <= byte < 0xE0 and i + 1 < end:
                size = 2
                point = np.int64(byte & 0x1F)
            elif 0xE0 <= byte < 0xF0 and i + 2 < end:
                size = 3
                point = np.int64(byte & 0x0F)
            elif 0xF0 <= byte < 0xF5 and i + 3 < end:
                size = 4
                point = np.int64(byte & 0x07)
            for k in range(1, size):
                following = data[i + k]
                if following & 0xC0 != 0x80:
                    point = np.int64(-1)
                    size = 1
                    break
                point = (point << 6) | np.int64(following & 0x3F)
            i += size
            kind = 0
            if 0 <= point < 0x110000:
                kind = kinds[point]
            if kind == 3:
                special[row] = True
                kind = 1
            if inside and kind != 1:
                out[used] = 32
                used += 1
                inside = False
            if kind == 0:
                continue
            if not inside:
                starts[count] = used
                count += 1
                inside = kind == 1
            lower = np.int64(lowers[point])
            if lower < 0x80:
                out[used] = lower
                used += 1
            elif lower < 0x800:
                out[used] = 0xC0 | (lower >> 6)
                out[used + 1] = 0x80 | (lower & 0x3F)
                used += 2
            elif lower < 0x10000:
                out[used] = 0xE0 | (lower >> 12)
                out[used + 1] = 0x80 | ((lower >> 6) & 0x3F)
                out[used + 2] = 0x80 | (lower & 0x3F)
                used += 3
            else:
                out[used] = 0xF0 | (lower >> 18)
                out[used + 1] = 0x80 | ((lower >> 12) & 0x3F)
                out[used + 2] = 0x80 | ((lower >> 6) & 0x3F)
                out[used + 3] = 0x80 | (lower & 0x3F)
                used += 4
            if kind == 2:
                out[used] = 32
                used += 1
        if inside:
            out[used] = 32
            used += 1
        starts[count] = used
        count += 1
    first[len(offsets) - 1] = count
    return used
