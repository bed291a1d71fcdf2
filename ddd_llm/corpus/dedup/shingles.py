"""Hashes of a whole batch of texts, straight from Arrow's string buffers, in one pass.

Here: the kernel that does what `words` defines, a text at a time: lower case, tokens, their hashes, the hashes of their
n-grams; and names for whole texts, to look for copies. Not here: what is done with the hashes (`signatures`, `sets`).

ASCII texts take loops that the compiler turns into vector instructions; others are decoded character by character.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ddd_llm.corpus.dedup import words
from ddd_llm.corpus.dedup.jit import count_ones, kernel, read64, trailing_zeros
from ddd_llm.corpus.dedup.tokens import character_tables, string_buffers

_U8, _U64 = np.uint8, np.uint64
# Constants of this module: a kernel's cache notices no other module's change.
_P1, _P2, _POLYNOMIAL = _U64(0x9E3779B97F4A7C15), _U64(0xD6E8FEB86659FD93), _U64(0xA24BAED4963EE405)
assert (int(_P1), int(_P2), int(_POLYNOMIAL)) == (words.P1, words.P2, words.POLYNOMIAL)
_ALL = _U64(0xFFFFFFFFFFFFFFFF)


def shingle_hashes(texts: pa.Array, ngram: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Hash every shingle of every text of an Arrow string array; a null counts as an empty text.

    Bytes that are not UTF-8 separate words, as punctuation does.

    Returns:
        The hashes of all shingles in order, repeats included (`words.shingle_hash`), and where each text's begin (int64,
        shape (texts + 1,)).

    Raises:
        TypeError: the array does not hold strings.
    """
    _, data, offsets = string_buffers(texts)
    hashes, starts, special = _run(data, offsets, ngram)
    rows = np.flatnonzero(special)
    if not len(rows):
        return hashes, starts
    raw = [data[offsets[row] : offsets[row + 1]].tobytes().decode("utf-8", "replace").lower().encode() for row in rows]
    ends = np.cumsum([0, *map(len, raw)], dtype=np.int64)
    more, more_starts, _ = _run(np.frombuffer(b"".join(raw), np.uint8), ends, ngram)
    # The kernel left no hash of these texts: theirs go where they stand.
    pieces: list[npt.NDArray[np.uint64]] = []
    before = 0
    for row, (begin, end) in zip(rows.tolist(), pairwise(more_starts.tolist()), strict=True):
        pieces += (hashes[before : starts[row]], more[begin:end])
        before = starts[row]
    sizes = np.diff(starts)
    sizes[rows] = np.diff(more_starts)
    return np.concatenate([*pieces, hashes[before:]]), np.concatenate(([0], np.cumsum(sizes)))


def content_keys(texts: pa.Array) -> npt.NDArray[np.uint64]:
    """128 bits of each text's bytes, shape (texts, 2), to look for copies; not for use against people who want collisions.

    Raises:
        TypeError: the array does not hold strings.
    """
    _, data, offsets = string_buffers(texts)
    found = np.empty((len(texts), 2), np.uint64)
    _contents(data, offsets, found)
    return found


def _run(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], ngram: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    texts = len(offsets) - 1
    size = int(offsets[-1] - offsets[0])
    longest = int(np.diff(offsets).max()) if texts else 0
    # A token has at least two bytes: two of its own, or one and the separator's. Lower case grows one byte in two.
    hashes = np.empty(size // 2 + texts + 1, np.uint64)
    low, word = np.zeros(2 * longest + 16, np.uint8), np.empty(longest + 64, np.uint8)
    bounds, tokens = np.empty(longest + 18, np.int32), np.empty(longest // 2 + 2, np.uint64)
    starts = np.zeros(texts + 1, np.int64)
    special = np.zeros(texts, np.bool_)
    power = _U64(pow(words.POLYNOMIAL, ngram, 1 << 64))
    _hash_texts(
        data, offsets, *character_tables(), ngram, power, low, word, bounds, tokens, hashes, starts, special
    )  # fmt: skip
    return hashes[: starts[-1]], starts, special


@kernel
def _hash_texts(
    data, offsets, kinds, lowers, ngram, power, low, word, bounds, tokens, hashes, starts, special
):  # fmt: skip
    used = 0
    for row in range(len(offsets) - 1):
        text = data[offsets[row] : offsets[row + 1]]
        if _lower_ascii(text, low, word) < _U8(128):
            count = _ascii_tokens(word, len(text), bounds)
        else:
            count = _unicode_tokens(text, kinds, lowers, low, bounds, special, row)
            if special[row]:  # its caller lowers it
                count = 0
        _hash_tokens(low, bounds, count, tokens)
        used += _combine(tokens, count, ngram, power, hashes, used)
        starts[row + 1] = used


@kernel
def _lower_ascii(text, low, word):
    # Lower case of each byte, whether it belongs to a word, and all bits that any byte has. In 8-bit arithmetic and a loop
    # for each, which vectorise.
    size = len(text)
    seen = _U8(0)
    for i in range(size):
        seen |= text[i]
    for i in range(size):
        byte = text[i]
        low[i] = byte | (_U8(_U8(byte - _U8(65)) < _U8(26)) << 5)
    for i in range(size):
        letter = low[i]
        word[i] = (_U8(letter - _U8(97)) < _U8(26)) | (_U8(letter - _U8(48)) < _U8(10)) | (letter == _U8(95))
    return seen


@kernel
def _ascii_tokens(word, size, bounds):
    # Sixty-four positions at a time, as bits of one word: a token begins or ends where a bit differs from the one before.
    for i in range(size, size + 64):
        word[i] = 0
    edges = 0
    before = _U64(0)
    for base in range(0, size + 1, 64):
        bits = _U64(0)
        for k in range(0, min(64, size - base), 8):
            bits |= ((read64(word, base + k) * _U64(0x0102040810204080)) >> _U64(56)) << _U64(k)
        changes = bits ^ ((bits << _U64(1)) | before)
        before = bits >> _U64(63)
        # Sixteen are written whether there are as many or not: text mispredicts every branch on it.
        end = edges + count_ones(changes)
        while edges < end:
            for k in range(16):
                bounds[edges + k] = base + trailing_zeros(changes)
                changes &= changes - _U64(1)
            edges += 16
        edges = end
    return edges >> 1


@kernel
def _unicode_tokens(text, kinds, lowers, low, bounds, special, row):
    # Tokens in lower case, one behind the other in `low`.
    size = len(text)
    used = 0
    count = 0
    inside = False
    i = 0
    while i < size:
        # One character of one to four bytes; anything malformed is one separating byte.
        byte = text[i]
        point = np.int64(byte)
        length = 1
        if byte >= 128:
            point = np.int64(-1)
            if 0xC2 <= byte < 0xE0 and i + 1 < size:
                length = 2
                point = np.int64(byte & 0x1F)
            elif 0xE0 <= byte < 0xF0 and i + 2 < size:
                length = 3
                point = np.int64(byte & 0x0F)
            elif 0xF0 <= byte < 0xF5 and i + 3 < size:
                length = 4
                point = np.int64(byte & 0x07)
            for k in range(1, length):
                following = text[i + k]
                if following & 0xC0 != 0x80:
                    point = np.int64(-1)
                    length = 1
                    break
                point = (point << 6) | np.int64(following & 0x3F)
            if (length == 3 and point < 0x800) or (length == 4 and point < 0x10000):
                point = np.int64(-1)  # written longer than need be, which UTF-8 forbids
        i += length
        kind = 0
        if 0 <= point < 0x110000:
            kind = kinds[point]
        if kind == 3:
            special[row] = True
            kind = 1
        if inside and kind != 1:
            bounds[2 * count - 1] = used
            inside = False
        if kind == 0:
            continue
        if not inside:
            bounds[2 * count] = used
            count += 1
            inside = kind == 1
        lower = np.int64(lowers[point])
        if lower < 0x80:
            low[used] = lower
            used += 1
        elif lower < 0x800:
            low[used] = 0xC0 | (lower >> 6)
            low[used + 1] = 0x80 | (lower & 0x3F)
            used += 2
        elif lower < 0x10000:
            low[used] = 0xE0 | (lower >> 12)
            low[used + 1] = 0x80 | ((lower >> 6) & 0x3F)
            low[used + 2] = 0x80 | (lower & 0x3F)
            used += 3
        else:
            low[used] = 0xF0 | (lower >> 18)
            low[used + 1] = 0x80 | ((lower >> 12) & 0x3F)
            low[used + 2] = 0x80 | ((lower >> 6) & 0x3F)
            low[used + 3] = 0x80 | (lower & 0x3F)
            used += 4
        if kind == 2:
            bounds[2 * count - 1] = used
    if inside:
        bounds[2 * count - 1] = used
    return count


@kernel
def _hash_tokens(low, bounds, count, tokens):
    for token in range(count):
        i, end = np.int64(bounds[2 * token]), np.int64(bounds[2 * token + 1])
        state = _U64(end - i) * _P1
        while end - i > 8:
            state = (state ^ read64(low, i)) * _P2
            state ^= state >> _U64(32)
            i += 8
        last = read64(low, i) & (_ALL >> _U64(64 - 8 * (end - i)))
        state = (state ^ last) * _P2
        state ^= state >> _U64(32)
        state *= _P1
        tokens[token] = state ^ (state >> _U64(29))


@kernel
def _combine(tokens, count, ngram, power, hashes, used):
    # Rolls over the tokens; returns how many shingles there are.
    if count == 0:
        return 0
    state = _U64(0)
    for i in range(min(count, ngram)):
        state = state * _POLYNOMIAL + tokens[i]
    mixed = (state ^ (state >> _U64(32))) * _P1
    hashes[used] = mixed ^ (mixed >> _U64(29)) | _U64(1)
    for i in range(ngram, count):
        state = state * _POLYNOMIAL + tokens[i] - tokens[i - ngram] * power
        mixed = (state ^ (state >> _U64(32))) * _P1
        hashes[used + i - ngram + 1] = mixed ^ (mixed >> _U64(29)) | _U64(1)
    return max(1, count - ngram + 1)


@kernel
def _contents(data, offsets, found):
    # Two lanes over words of eight bytes, the last one filled with zeros; the length tells short ends apart.
    for row in range(len(offsets) - 1):
        i, end = offsets[row], offsets[row + 1]
        one = _U64(end - i) * _P1
        two = ~one
        while i < end:
            if i + 8 <= end:
                word = read64(data, i)
            else:
                word = _U64(0)
                for k in range(end - i):
                    word |= _U64(data[i + k]) << _U64(8 * k)
            one = (one ^ word) * _P2
            one ^= one >> _U64(32)
            two = (two + word) * _POLYNOMIAL
            two ^= two >> _U64(29)
            i += 8
        found[row, 0] = one * _P1
        found[row, 1] = (two ^ (one >> _U64(31))) * _P1
