"""MinHash signatures as datasketch 2.0 makes them from the same shingle hashes, and the keys of their LSH bands.

Here: what a sketch is (`SignatureConfig`) and how a column of texts becomes one. Not here: what a shingle is
(`words`), how sketches are compared (`candidates`).

Source: A. Broder, On the resemblance and containment of documents (SEQUENCES 1997); permutation scheme "affine32" as in
datasketch 2.0: the shingle's 32-bit hash, mixed by MurmurHash3's finaliser, goes through a * h + b modulo 2^32, a odd.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ddd_llm.corpus.dedup.blocks import Texts, map_blocks
from ddd_llm.corpus.dedup.jit import kernel
from ddd_llm.corpus.dedup.sets import ShingleSets, distinct, join_sets
from ddd_llm.corpus.dedup.shingles import shingle_hashes

_U32, _U64 = np.uint32, np.uint64
EMPTY = _U32(0xFFFFFFFF)  # every value of an empty text's signature


class SignatureConfig(BaseModel):
    """All that decides a sketch's values; two sketches compare only if made under equal configurations.

    Shingles are encoded as in `words`: tokens in lower case joined by one space, UTF-8.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_perm: int = Field(default=128, ge=4, le=4096, multiple_of=4, description="Permutations: values per signature.")
    seed: int = Field(default=1, ge=0, lt=2**32, description="Seed of the permutations (numpy's RandomState).")
    scheme: Literal["affine32"] = Field(default="affine32", description="datasketch's name of the permutation scheme.")
    hash: Literal["polynomial64"] = Field(default="polynomial64", description="Hash of a shingle (`words`).")
    ngram: int = Field(default=5, ge=1, le=64, description="Words per shingle.")
    bands: int = Field(default=25, ge=1, description="LSH bands; more of them miss fewer duplicates, at more work.")
    rows: int = Field(default=5, ge=1, description="Signature values per band.")
    shared_bands: int = Field(default=2, ge=1, description="Bands that two documents must share to be compared.")

    @model_validator(mode="after")
    def _bands_fit(self) -> "SignatureConfig":
        if self.bands * self.rows > self.num_perm:
            raise ValueError(
                f"{self.bands} bands of {self.rows} rows need {self.bands * self.rows} permutations, "
                f"and a signature has {self.num_perm}"
            )
        if self.shared_bands > self.bands:
            raise ValueError(f"{self.shared_bands} shared bands of {self.bands} can never be met")
        return self


@dataclass(frozen=True)
class Sketches:
    """What deduplication asks of a batch of texts; all arrays have a row per text.

    `bands`: LSH keys, uint64, shape (texts, bands); equal bands have equal keys, unequal ones collide with probability
    2^-64. `shingles`: word n-grams, repeats counted, int32. `signatures`: MinHash values, uint32, shape (texts, num_perm),
    and `sets`: only where asked for.
    """

    bands: npt.NDArray[np.uint64]
    shingles: npt.NDArray[np.int32]
    signatures: npt.NDArray[np.uint32] | None = None
    sets: ShingleSets | None = None


def sketch(
    texts: Texts, config: SignatureConfig, threads: int | None = None, signatures: bool = False, sets: bool = False
) -> Sketches:
    """The sketch of every text, in one pass over its bytes.

    Args:
        texts: Arrow strings, in NFC; a null counts as an empty text.
        config: what the sketches are made of.
        threads: all available CPUs by default; no effect on the result.
        signatures: keep the MinHash values (every bit set for a text without tokens).
        sets: keep the shingle sets.

    Raises:
        TypeError: the texts are not Arrow strings.
    """
    count = len(texts)
    bands = np.empty((count, config.bands), np.uint64)
    shingles = np.empty(count, np.int32)
    values = np.empty((count, config.num_perm), "<u4") if signatures else None
    a, b = permutations(config.seed, config.num_perm)

    def work(first: int, block: pa.Array) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
        here = slice(first, first + len(block))
        hashes, starts = shingle_hashes(block, config.ngram)
        own = values[here] if values is not None else np.empty((len(block), config.num_perm), np.uint32)
        _minhash(hashes, starts, a, b, own)
        _band_keys(own, config.rows, bands[here])
        shingles[here] = np.diff(starts)
        return distinct(hashes, starts) if sets else (hashes[:0], starts[:0])

    parts = map_blocks(texts, work, threads)
    return Sketches(bands, shingles, values, join_sets(parts) if sets else None)


@cache
def permutations(seed: int, num_perm: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Multipliers (odd) and addends of the permutations, each uint32 of shape (num_perm,)."""
    generator = np.random.RandomState(seed)
    a = generator.randint(0, 1 << 31, num_perm, dtype=np.uint32) * _U32(2) + _U32(1)
    return a, generator.randint(0, 1 << 32, num_perm, dtype=np.uint32)


@kernel
def _minhash(hashes, starts, a, b, values):
    # Four hashes at a time (the last one again where fewer are left), so that a pass over the permutations, which is
    # vectorised, keeps the multipliers of the processor busy.
    for row in range(len(starts) - 1):
        least = values[row]
        least[:] = EMPTY
        last = starts[row + 1] - 1
        for i in range(starts[row], last + 1, 4):
            h0, h1 = _mix(hashes[i]), _mix(hashes[min(i + 1, last)])
            h2, h3 = _mix(hashes[min(i + 2, last)]), _mix(hashes[min(i + 3, last)])
            for k in range(len(a)):
                one = min(_U32(h0 * a[k] + b[k]), _U32(h1 * a[k] + b[k]))
                two = min(_U32(h2 * a[k] + b[k]), _U32(h3 * a[k] + b[k]))
                least[k] = min(least[k], min(one, two))


@kernel
def _mix(value):
    h = _U32(value >> _U64(32))
    h = _U32((h ^ (h >> _U32(16))) * _U32(0x85EBCA6B))
    h = _U32((h ^ (h >> _U32(13))) * _U32(0xC2B2AE35))
    return h ^ (h >> _U32(16))


@kernel
def _band_keys(values, rows, keys):
    for document in range(keys.shape[0]):
        for band in range(keys.shape[1]):
            key = _U64(band)
            for row in range(rows):
                key = (key ^ _U64(values[document, band * rows + row])) * _U64(0x9E3779B97F4A7C15)
                key ^= key >> _U64(29)
            keys[document, band] = key
