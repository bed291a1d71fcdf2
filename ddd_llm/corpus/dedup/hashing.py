"""Hash values of shingles, taken straight from normalised bytes.

Here: kernels for the published functions xxHash32, xxHash64 (seed 0) and the first four bytes of SHA-1 (what
datasketch calls `sha1_hash32`), over every shingle of a batch. Not here: what a shingle is (`words`), what is done
with the values (`signatures`, `jaccard`). Words are loaded as little-endian machines hold them.

Sources: xxHash fast digest algorithm, specification 0.1.1 (Y. Collet); FIPS 180-4, section 6.1.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ddd_llm.corpus.dedup.jit import kernel
from ddd_llm.corpus.dedup.tokens import Normalised

_U32, _U64 = np.uint32, np.uint64

_P32_1, _P32_2, _P32_3 = _U32(2654435761), _U32(2246822519), _U32(3266489917)
_P32_4, _P32_5 = _U32(668265263), _U32(374761393)

_P64_1, _P64_2, _P64_3 = _U64(11400714785074694791), _U64(14029467366897019727), _U64(1609587929392839161)
_P64_4, _P64_5 = _U64(9650029242287828579), _U64(2870177450012600261)


def _unaligned_load(bits: int) -> Callable[[Any, Any], Any]:
    # `load(data, i)`: the little-endian word at byte `i` of a uint8 array, in one instruction, bounds unchecked.
    @intrinsic
    def load(_context, data, index):
        def generate(context, builder, signature, arguments):
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            address = builder.gep(array.data, [arguments[1]])
            word = builder.bitcast(address, ir.IntType(bits).as_pointer())
            return builder.load(word, align=1)

        return types.Integer.from_bitwidth(bits, signed=False)(data, types.int64), generate

    return cast(Callable[[Any, Any], Any], load)


_read32, _read64 = _unaligned_load(32), _unaligned_load(64)


def shingle_hashes(
    texts: Normalised, ngram: int, function: str
) -> tuple[npt.NDArray[np.unsignedinteger], npt.NDArray[np.int64]]:
    """Hash every shingle of every text.

    Returns:
        The hash values of all shingles, in order, repeats included (uint32, or uint64 for "xxh64"), and where each
        text's begin (int64, shape (texts + 1,)).

    Raises:
        ValueError: `function` is none of "xxh32", "xxh64", "sha1_hash32".
    """
    kernels = {"xxh32": _xxh32_shingles, "xxh64": _xxh64_shingles, "sha1_hash32": _sha1_shingles}
    if function not in kernels:
        raise ValueError(f"unknown hash function {function!r}; known are {', '.join(kernels)}")
    offsets = np.concatenate(([0], np.cumsum(texts.shingle_counts(ngram))))
    hashes = np.empty(offsets[-1], np.uint64 if function == "xxh64" else np.uint32)
    kernels[function](texts.data, texts.starts, texts.first, offsets, ngram, hashes)
    return hashes, offsets


@kernel
def _end(starts, begin, stop, ngram):
    # Where the shingle that begins at token `begin` ends; `stop` is the entry behind the text's last token.
    return starts[min(begin + ngram, stop)] - 1


@kernel
def _xxh32_shingles(data, starts, first, offsets, ngram, hashes):
    for row in range(len(offsets) - 1):
        for k in range(offsets[row + 1] - offsets[row]):
            begin = first[row] + k
            hashes[offsets[row] + k] = _xxh32(data, starts[begin], _end(starts, begin, first[row + 1] - 1, ngram))


@kernel
def _xxh64_shingles(data, starts, first, offsets, ngram, hashes):
    for row in range(len(offsets) - 1):
        for k in range(offsets[row + 1] - offsets[row]):
            begin = first[row] + k
            hashes[offsets[row] + k] = _xxh64(data, starts[begin], _end(starts, begin, first[row + 1] - 1, ngram))


@kernel
def _sha1_shingles(data, starts, first, offsets, ngram, hashes):
    words = np.empty(80, np.uint32)
    for row in range(len(offsets) - 1):
        for k in range(offsets[row + 1] - offsets[row]):
            begin = first[row] + k
            end = _end(starts, begin, first[row + 1] - 1, ngram)
            hashes[offsets[row] + k] = _sha1_32(data, starts[begin], end, words)


@kernel
def _rotate32(value, by):
    return _U32((value << _U32(by)) | (value >> _U32(32 - by)))


@kernel
def _round32(lane, word):
    return _U32(_rotate32(_U32(lane + word * _P32_2), 13) * _P32_1)


@kernel
def _xxh32(data, i, end):
    size = end - i
    if size >= 16:
        a, b, c, d = _U32(_P32_1 + _P32_2), _P32_2, _U32(0), _U32(_U32(0) - _P32_1)
        while i + 16 <= end:
            a = _round32(a, _read32(data, i))
            b = _round32(b, _read32(data, i + 4))
            c = _round32(c, _read32(data, i + 8))
            d = _round32(d, _read32(data, i + 12))
            i += 16
        h = _U32(_rotate32(a, 1) + _rotate32(b, 7) + _rotate32(c, 12) + _rotate32(d, 18))
    else:
        h = _P32_5
    h = _U32(h + _U32(size))
    while i + 4 <= end:
        h = _U32(_rotate32(_U32(h + _read32(data, i) * _P32_3), 17) * _P32_4)
        i += 4
    while i < end:
        h = _U32(_rotate32(_U32(h + _U32(data[i]) * _P32_5), 11) * _P32_1)
        i += 1
    h = _U32((h ^ (h >> _U32(15))) * _P32_2)
    h = _U32((h ^ (h >> _U32(13))) * _P32_3)
    return _U32(h ^ (h >> _U32(16)))


@kernel
def _rotate64(value, by):
    return (value << _U64(by)) | (value >> _U64(64 - by))


@kernel
def _round64(lane, word):
    return _rotate64(lane + word * _P64_2, 31) * _P64_1


@kernel
def _xxh64(data, i, end):
    size = end - i
    if size >= 32:
        a, b, c, d = _P64_1 + _P64_2, _P64_2, _U64(0), _U64(0) - _P64_1
        while i + 32 <= end:
            a = _round64(a, _read64(data, i))
            b = _round64(b, _read64(data, i + 8))
            c = _round64(c, _read64(data, i + 16))
            d = _round64(d, _read64(data, i + 24))
            i += 32
        h = _rotate64(a, 1) + _rotate64(b, 7) + _rotate64(c, 12) + _rotate64(d, 18)
        for lane in (a, b, c, d):
            h = (h ^ _round64(_U64(0), lane)) * _P64_1 + _P64_4
    else:
        h = _P64_5
    h += _U64(size)
    while i + 8 <= end:
        h = _rotate64(h ^ _round64(_U64(0), _read64(data, i)), 27) * _P64_1 + _P64_4
        i += 8
    if i + 4 <= end:
        h = _rotate64(h ^ (_U64(_read32(data, i)) * _P64_1), 23) * _P64_2 + _P64_3
        i += 4
    while i < end:
        h = _rotate64(h ^ (_U64(data[i]) * _P64_5), 11) * _P64_1
        i += 1
    h = (h ^ (h >> _U64(33))) * _P64_2
    h = (h ^ (h >> _U64(29))) * _P64_3
    return h ^ (h >> _U64(32))


@kernel
def _sha1_32(data, begin, end, words):
    # The digest's first four bytes, little-endian. `words` is room for 80 uint32.
    size = end - begin
    h0, h1, h2, h3, h4 = _U32(0x67452301), _U32(0xEFCDAB89), _U32(0x98BADCFE), _U32(0x10325476), _U32(0xC3D2E1F0)
    blocks = (size + 8) // 64 + 1
    for block in range(blocks):
        for w in range(16):
            word = _U32(0)
            for k in range(4):
                at = block * 64 + w * 4 + k
                byte = _U32(0)
                if at < size:
                    byte = _U32(data[begin + at])
                elif at == size:
                    byte = _U32(0x80)
                elif at >= blocks * 64 - 8:
                    byte = _U32((size * 8) >> (8 * (blocks * 64 - 1 - at)) & 0xFF)
                word = _U32((word << _U32(8)) | byte)
            words[w] = word
        for w in range(16, 80):
            words[w] = _rotate32(_U32(words[w - 3] ^ words[w - 8] ^ words[w - 14] ^ words[w - 16]), 1)
        a, b, c, d, e = h0, h1, h2, h3, h4
        for w in range(80):
            if w < 20:
                f, constant = _U32((b & c) | (~b & d)), _U32(0x5A827999)
            elif w < 40:
                f, constant = _U32(b ^ c ^ d), _U32(0x6ED9EBA1)
            elif w < 60:
                f, constant = _U32((b & c) | (b & d) | (c & d)), _U32(0x8F1BBCDC)
            else:
                f, constant = _U32(b ^ c ^ d), _U32(0xCA62C1D6)
            e, d, c, b, a = d, c, _rotate32(b, 30), a, _U32(_rotate32(a, 5) + f + e + constant + words[w])
        h0, h1, h2, h3, h4 = _U32(h0 + a), _U32(h1 + b), _U32(h2 + c), _U32(h3 + d), _U32(h4 + e)
    swapped = _U32((h0 >> _U32(24)) | ((h0 >> _U32(8)) & _U32(0xFF00)))
    return _U32(swapped | ((h0 << _U32(8)) & _U32(0xFF0000)) | (h0 << _U32(24)))
