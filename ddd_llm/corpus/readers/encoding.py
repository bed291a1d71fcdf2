"""Any supported character encoding to UTF-8, or a verdict that names why not.

Belongs here: byte order marks, UTF-16, content that is not what the name says, whole documents as text.
Does not belong here: what a record looks like.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator

from ddd_llm.corpus.readers.items import FileFault

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"PAR1": "Parquet",
    b"%PDF-": "PDF",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    **{b"\x80" + bytes([protocol]): "a Python pickle" for protocol in range(2, 6)},
}
_MARKS = {codecs.BOM_UTF16_LE: codecs.utf_16_le_decode, codecs.BOM_UTF16_BE: codecs.utf_16_be_decode}


def utf8_blocks(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same text as UTF-8 without a byte order mark; UTF-8 itself passes through unchecked.

    Raises:
        FileFault: `format_mismatch` (gzip, Parquet, a pickle ... under a text name), `encoding_unknown` (UTF-32, or
            UTF-16 without a mark), `invalid_encoding` (broken UTF-16), `truncated` (UTF-16 cut inside a character),
            `empty_file` (nothing but a mark).
    """
    source = iter(blocks)
    head = b""
    for block in source:
        head += block
        if len(head) >= 64:
            break
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            raise FileFault("format_mismatch", f"the content is {what}, which its name does not say", 0)
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise FileFault("encoding_unknown", "UTF-32 is not read; save the file as UTF-8", 0)
    rest = _chain(head, source)
    if head[:2] in _MARKS:
        yield from _from_utf16(rest, head[:2])
        return
    if _looks_like_utf16(head):
        raise FileFault("encoding_unknown", "looks like UTF-16 without a byte order mark; save the file as UTF-8", 0)
    if head.startswith(codecs.BOM_UTF8):
        rest = _chain(head[3:], source)
        if len(head) == 3:
            raise FileFault("empty_file", "the file holds nothing but a byte order mark", 0)
    yield from rest


def _chain(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from rest


def _looks_like_utf16(head: bytes) -> bool:
    even, odd = head[0:64:2].count(0), head[1:64:2].count(0)
    half = min(len(head), 64) // 2
    return half >= 2 and max(even, odd) > 0.6 * half and min(even, odd) == 0


def _from_utf16(blocks: Iterator[bytes], mark: bytes) -> Iterator[bytes]:
    decode = _MARKS[mark]
    pending, base, came = b"", 0, False
    for block in blocks:
        data = pending + block
        try:
            text, used = decode(data, "strict", False)
        except UnicodeDecodeError as error:
            raise FileFault("invalid_encoding", "not valid UTF-16", base + error.start) from None
        pending, base = data[used:], base + used
        text = text.removeprefix("\ufeff") if not came else text
        if text:
            came = True
            yield text.encode("utf-8")
    if pending:
        raise FileFault("truncated", "the UTF-16 text ends inside a character", base)
    if not came:
        raise FileFault("empty_file", "the file holds nothing but a byte order mark", 0)


def whole(blocks: Iterable[bytes], limit: int) -> bytes:
    """All bytes of a file that is one document.

    Raises:
        FileFault: `document_too_large`, as soon as more than `limit` bytes came.
    """
    held = bytearray()
    for block in blocks:
        held += block
        if len(held) > limit:
            raise FileFault("document_too_large", f"one document of more than {limit} bytes; split the file", limit)
    return bytes(held)


def decode_utf8(data: bytes) -> str:
    """Strict UTF-8.

    Raises:
        FileFault: `truncated` when the text ends inside a character, else `invalid_utf8`, with the offset.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            raise FileFault("truncated", "the text ends inside a UTF-8 character", error.start) from None
        raise FileFault("invalid_utf8", f"not valid UTF-8 ({error.reason})", error.start) from None
