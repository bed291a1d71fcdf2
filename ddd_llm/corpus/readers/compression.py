"""Bytes of a file in bounded blocks, expanded from gzip or zstd where its name says so.

Belongs here: opening, expanding, and the limits against bombs. Does not belong here: character encodings (`encoding`).
Arrow's streams are used because they tell a stream that was cut off from one that ended (zstandard's reader does not)
and hand out bounded blocks however far a frame expands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

from ddd_llm.corpus.readers.items import BLOCK, MIB, FileFault, Limits

CODECS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}


def blocks(raw: BinaryIO, size: int, codec: str | None, limits: Limits) -> Iterator[bytes]:
    """Blocks of at most 256 KiB of the file's (expanded) bytes.

    Args:
        raw: the stored bytes, at their start; need not be seekable.
        size: how many there are.

    Raises:
        FileFault: `empty_file`; `truncated` or `corrupt_compression` with the offset in the stored file at which
            reading stopped; `decompression_bomb`.
        OSError: the file cannot be read.
    """
    if size == 0:
        raise FileFault("empty_file", "the file has 0 bytes", 0)
    if codec is None:
        while block := raw.read(BLOCK):
            yield block
    else:
        yield from _expanded(raw, codec, size, limits)


def _expanded(raw: BinaryIO, codec: str, size: int, limits: Limits) -> Iterator[bytes]:
    stream = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), codec)
    came = 0
    while True:
        try:
            block = stream.read(BLOCK)
        except OSError as error:
            if error.errno is not None:  # the disk's fault, not the file's
                raise
            reached = raw.tell()
            if "Truncated" in str(error):
                detail = f"the {codec} stream ends before its end mark, after {came} expanded bytes"
                raise FileFault("truncated", detail, size) from None
            detail = f"the {codec} stream is damaged or not {codec}, after {came} expanded bytes"
            raise FileFault("corrupt_compression", detail, reached) from None
        if not block:
            break
        came += len(block)
        if came > limits.total or (came > MIB and came > limits.ratio * raw.tell()):
            detail = f"expands beyond {limits.ratio} times its size or {limits.total} bytes; raise the limit if right"
            raise FileFault("decompression_bomb", detail, raw.tell())
        yield block
    if not came:
        raise FileFault("empty_file", f"the {codec} stream holds 0 bytes", 0)
