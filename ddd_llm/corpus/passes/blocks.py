"""A column of texts, a bounded number of bytes at a time. Not here: what is done with a block."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

BLOCK_BYTES = 1 << 20


def text_blocks(texts: pa.ChunkedArray) -> Iterator[tuple[int, pa.Array]]:
    """(first row, block) over all rows: large_string arrays of about `BLOCK_BYTES` each, at least one text.

    Raises:
        TypeError: the texts are not Arrow strings.
    """
    first = 0
    for chunk in texts.chunks:
        if not (pa.types.is_string(chunk.type) or pa.types.is_large_string(chunk.type)):
            raise TypeError(f"texts must be Arrow strings, not {chunk.type}")
        chunk = chunk.cast(pa.large_string()).fill_null("")
        _, offsets = bytes_of(chunk)
        row = 0
        while row < len(chunk):
            stop = int(offsets.searchsorted(offsets[row] + BLOCK_BYTES, side="right")) - 1
            stop = min(max(row + 1, stop), len(chunk))
            yield first + row, chunk.slice(row, stop - row)
            row = stop
        first += len(chunk)


def bytes_of(texts: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """UTF-8 bytes of a large_string array without nulls, and its offsets into them (int64, one more than texts)."""
    _, offsets, data = texts.buffers()
    if len(texts) == 0 or offsets is None or data is None or data.size == 0:
        return np.zeros(0, np.uint8), np.zeros(len(texts) + 1, np.int64)
    return np.frombuffer(data, np.uint8), np.frombuffer(offsets, np.int64, len(texts) + 1, texts.offset * 8)
