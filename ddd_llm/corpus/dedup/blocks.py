"""Spread work on texts over threads.

Here: how a column of texts is cut into blocks and how a function runs over them. The cut depends on the texts alone,
and results come in their order, so that no result depends on the number of threads. Not here: what is done with a block.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias, TypeVar

import pyarrow as pa

from ddd_llm.corpus.dedup.tokens import string_buffers
from ddd_llm.platform.cores import cores

Result = TypeVar("Result")
Texts: TypeAlias = pa.Array | pa.ChunkedArray
BLOCK_BYTES = 1 << 20  # little beside a batch, and large enough that calls cost nothing


def map_blocks(texts: Texts, function: Callable[[int, pa.Array], Result], threads: int | None = None) -> list[Result]:
    """`function(first row, block)` for each block of about `BLOCK_BYTES` of text, results in the texts' order.

    Args:
        texts: Arrow strings.
        function: gets the row number that the block begins with, and the block (a large_string array without nulls).
        threads: how many run at a time; all available CPUs by default.

    Raises:
        TypeError: the texts are not Arrow strings.
    """
    threads = threads or cores()
    if threads == 1:
        return [function(first, block) for first, block in _blocks(texts)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda part: function(*part), _blocks(texts)))


def _blocks(texts: Texts) -> Iterator[tuple[int, pa.Array]]:
    first = 0
    for chunk in texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]:
        chunk, _, offsets = string_buffers(chunk)
        row = 0
        while row < len(chunk):
            stop = max(row + 1, int(offsets.searchsorted(offsets[row] + BLOCK_BYTES, side="right")) - 1)
            stop = min(stop, len(chunk))
            yield first + row, chunk.slice(row, stop - row)
            row = stop
        first += len(chunk)
