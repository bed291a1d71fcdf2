"""Arrow strings as bytes, and what each character is to the tokeniser.

Here: string buffers, and per code point its kind and its lower case, taken from this Python's own `re` and `str.lower`.
Not here: the kernel that walks over texts (`shingles`).
"""

import re
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ddd_llm.corpus.dedup.words import SPACELESS

_CODE_POINTS = 0x110000
_LETTERS = 0x40000  # Unicode has no letter or digit from here on, and none is planned
# The two characters whose lower case is not one character for one: it grows (U+0130) or looks at its neighbours (U+03A3).
_DOTTED_I, _CAPITAL_SIGMA = 0x130, 0x3A3


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
def character_tables() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint32]]:
    r"""Per code point its kind and its lower case.

    Kinds: 0 separates, 1 part of a word, 2 a token by itself, 3 only `str.lower` can treat it.
    """
    lowers = np.arange(_CODE_POINTS, dtype=np.uint32)
    points = lowers[:_LETTERS].astype("<u4")
    points[[_DOTTED_I, _CAPITAL_SIGMA]] = ord("i"), ord("\u03c3")
    characters = points.tobytes().decode("utf-32-le", "surrogatepass")
    lowers[:_LETTERS] = np.frombuffer(characters.lower().encode("utf-32-le", "surrogatepass"), "<u4")
    kinds = np.zeros(_CODE_POINTS, np.uint8)
    for word in re.finditer(r"\w+", characters):
        kinds[word.start() : word.end()] = 1
    for low, high in SPACELESS:
        kinds[low : high + 1] *= 2
    kinds[[_DOTTED_I, _CAPITAL_SIGMA]] = 3
    return kinds, lowers
