"""MinHash signatures, value for value those of datasketch 2.0.

Here: what a signature is (`SignatureConfig`) and how a column of texts becomes one. Not here: what a shingle is
(`words`), how signatures are compared (`candidates`).

Source: A. Broder, On the resemblance and containment of documents (SEQUENCES 1997); permutation scheme "affine32" as in
datasketch 2.0: the shingle's 32-bit hash, mixed by MurmurHash3's finaliser, goes through a * h + b modulo 2^32, a odd.
"""

from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from ddd_llm.corpus.dedup.blocks import Texts, map_blocks
from ddd_llm.corpus.dedup.hashing import shingle_hashes
from ddd_llm.corpus.dedup.jit import kernel
from ddd_llm.corpus.dedup.tokens import normalise

_U32 = np.uint32
EMPTY = _U32(0xFFFFFFFF)  # every value of an empty text's signature


class SignatureConfig(BaseModel):
    """All that decides a signature's values; two signatures compare only if made under equal configurations.

    Shingles are encoded as in `words`: tokens in lower case joined by one space, UTF-8.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_perm: int = Field(default=128, ge=4, le=4096, multiple_of=4, description="Permutations: values per signature.")
    seed: int = Field(default=1, ge=0, lt=2**32, description="Seed of the permutations (numpy's RandomState).")
    scheme: Literal["affine32"] = Field(default="affine32", description="datasketch's name of the permutation scheme.")
    hash: Literal["xxh32", "sha1_hash32"] = Field(default="xxh32", description="Hash function of a shingle's bytes.")
    ngram: int = Field(default=5, ge=1, le=64, description="Words per shingle.")

    @property
    def width(self) -> int:
        """Bytes of one signature."""
        return 4 * self.num_perm


def signatures(texts: Texts, config: SignatureConfig, threads: int | None = None) -> pa.Table:
    """The MinHash signature of every text.

    Args:
        texts: Arrow strings, in NFC; a null counts as an empty text.
        config: what the signatures are made of.
        threads: all available CPUs by default; no effect on the result.

    Returns:
        One row per text: `signature` (fixed_size_binary[4 * num_perm], little-endian uint32; every bit set for a text
        without tokens), `shingles` (int32: the text's word n-grams, repeats counted).

    Raises:
        TypeError: the texts are not Arrow strings.
    """
    values = np.empty((len(texts), config.num_perm), "<u4")
    shingles = np.empty(len(texts), np.int32)
    a, b = permutations(config.seed, config.num_perm)

    def sign(first: int, block: pa.Array) -> None:
        hashes, offsets = shingle_hashes(normalise(block), config.ngram, config.hash)
        _minhash(hashes, offsets, a, b, values[first : first + len(block)])
        shingles[first : first + len(block)] = np.diff(offsets)

    map_blocks(texts, sign, threads)
    column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(config.width), len(texts), [None, pa.py_buffer(values)])
    return pa.table({"signature": column, "shingles": pa.array(shingles)})


def signature_values(column: pa.ChunkedArray | pa.Array, config: SignatureConfig) -> npt.NDArray[np.uint32]:
    """A `signature` column as numbers, shape (rows, num_perm).

    Raises:
        ValueError: the column does not hold signatures of this configuration's width, or holds a null.
    """
    if column.type != pa.binary(config.width) or column.null_count:
        raise ValueError(
            f"signatures must be {config.width} bytes each and not null, as {config.num_perm} permutations make them; "
            f"the column is {column.type} with {column.null_count} nulls"
        )
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    parts = [
        np.frombuffer(chunk.buffers()[1], "<u4", len(chunk) * config.num_perm, chunk.offset * config.width)
        for chunk in chunks
        if len(chunk)
    ]
    return np.concatenate(parts or [np.zeros(0, "<u4")]).astype(np.uint32, copy=False).reshape(-1, config.num_perm)


@cache
def permutations(seed: int, num_perm: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Multipliers (odd) and addends of the permutations, each uint32 of shape (num_perm,)."""
    generator = np.random.RandomState(seed)
    a = generator.randint(0, 1 << 31, num_perm, dtype=np.uint32) * _U32(2) + _U32(1)
    return a, generator.randint(0, 1 << 32, num_perm, dtype=np.uint32)


@kernel
def _minhash(hashes, offsets, a, b, values):
    for row in range(len(offsets) - 1):
        mixed = hashes[offsets[row] : offsets[row + 1]]
        for i in range(len(mixed)):
            h = mixed[i]
            h = _U32((h ^ (h >> _U32(16))) * _U32(0x85EBCA6B))
            h = _U32((h ^ (h >> _U32(13))) * _U32(0xC2B2AE35))
            mixed[i] = h ^ (h >> _U32(16))
        # Four permutations at a time, so that a pass over the hashes keeps the multipliers of the processor busy.
        for k in range(0, len(a), 4):
            a0, a1, a2, a3 = a[k], a[k + 1], a[k + 2], a[k + 3]
            b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
            m0 = m1 = m2 = m3 = EMPTY
            for i in range(len(mixed)):
                h = mixed[i]
                m0 = min(m0, _U32(h * a0 + b0))
                m1 = min(m1, _U32(h * a1 + b1))
                m2 = min(m2, _U32(h * a2 + b2))
                m3 = min(m3, _U32(h * a3 + b3))
            values[row, k], values[row, k + 1], values[row, k + 2], values[row, k + 3] = m0, m1, m2, m3
