"""Any supported character encoding to UTF-8, or a verdict that names why not.

Belongs here: byte order marks, UTF-16, content that is not what the name says, whole documents as text.
Does not belong here: what a record looks like, guessing a character set (`charset`).
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator

from ddd_llm.corpus.readers import charset
from ddd_llm.corpus.readers.items import BLOCK, FileFault, Refusal

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"PAR1": "Parquet",
    b"%PDF-": "PDF",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "a Microsoft compound file",
    b"\x7fELF": "a program",
    **{b"\x80" + bytes([protocol]): "a Python pickle" for protocol in range(2, 6)},
}
_MARKS = {codecs.BOM_UTF16_LE: codecs.utf_16_le_decode, codecs.BOM_UTF16_BE: codecs.utf_16_be_decode}
NOTICE = "charset_detected"


class Text:
    """A text file's bytes as UTF-8 without a byte order mark, and which character set they were in.

    Iterating raises FileFault: `format_mismatch` (gzip, Parquet, a pickle ... under a text name), `encoding_unknown`
    (UTF-32, UTF-16 without a mark), `invalid_encoding`, `truncated` (UTF-16 cut inside a character), `empty_file`
    (nothing but a mark).
    """

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._source = iter(blocks)
        self.charset: str | None = None
        """Set where the file was in another character set than UTF-8 and no mark said so."""

    def notice(self, locator: str) -> Iterator[Refusal]:
        """What is to be told about a character set that was detected or declared."""
        if self.charset is not None:
            detail = f"not UTF-8; read as {self.charset}, which its content agrees with"
            yield Refusal(locator, NOTICE, detail)

    def records(self) -> Iterator[bytes]:
        """Blocks for a reader of records; a legacy character set is detected from the first 256 KiB.

        What is neither UTF-8 nor detected passes through, so that each broken record is refused on its own.
        """
        rest = self._plain()
        head = _fill(rest, BLOCK)
        if _utf8_fault(head) is not None and not _damaged(head) and (found := charset.detect(head)):
            self.charset = found
            yield from _transcoded(_chain(head, rest), found)
            return
        yield from _chain(head, rest)

    def whole(self, limit: int) -> bytes:
        """All bytes of a file that is one document.

        Raises:
            FileFault: those of iterating; `document_too_large`.
        """
        return whole(self._plain(), limit)

    def decode(self, data: bytes, declared: str | None = None) -> str:
        """The text of those bytes: strict UTF-8, else what the document declares for itself, else what is detected.

        Raises:
            FileFault: `invalid_utf8` (UTF-8 with damaged places), `truncated` (ends inside a UTF-8 character),
                `invalid_encoding` (neither UTF-8 nor what it declares), `encoding_unknown` (no character set is certain
                enough, or another than the declared one is).
        """
        fault = _utf8_fault(data)
        if fault is None:
            return data.decode("utf-8")
        if fault.reason == "unexpected end of data":
            raise FileFault("truncated", "the text ends inside a UTF-8 character", fault.start) from None
        if _damaged(data):
            raise FileFault("invalid_utf8", f"UTF-8 with damaged places ({fault.reason})", fault.start)
        found = charset.detect(data)
        if declared is not None:
            said = charset.declared(declared)
            text = charset.strict(data, said) if said is not None and said != "utf_8" else None
            if said is None or text is None:
                detail = "neither UTF-8 nor in the encoding that it declares"
                raise FileFault("invalid_encoding", detail, fault.start)
            if found not in (None, said) and charset.strict(data, found or "") != text:
                detail = f"declares {said}, but reads like {found}; mend the declaration"
                raise FileFault("encoding_unknown", detail, fault.start)
            self.charset = said
            return text
        text = charset.strict(data, found) if found is not None else None
        if text is None:
            detail = "not UTF-8, and no other character set is certain enough; save the file as UTF-8"
            raise FileFault("encoding_unknown", detail, fault.start)
        self.charset = found
        return text

    def _plain(self) -> Iterator[bytes]:
        head = _fill(self._source, 64)
        for magic, what in _MAGIC.items():
            if head.startswith(magic):
                raise FileFault("format_mismatch", f"the content is {what}, which its name does not say", 0)
        if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
            raise FileFault("encoding_unknown", "UTF-32 is not read; save the file as UTF-8", 0)
        rest = _chain(head, self._source)
        if head[:2] in _MARKS:
            yield from _from_utf16(rest, head[:2])
            return
        if _looks_like_utf16(head):
            detail = "looks like UTF-16 without a byte order mark; save the file as UTF-8"
            raise FileFault("encoding_unknown", detail, 0)
        if head.startswith(codecs.BOM_UTF8):
            rest = _chain(head[3:], self._source)
            if len(head) == 3:
                raise FileFault("empty_file", "the file holds nothing but a byte order mark", 0)
        yield from rest


def _fill(source: Iterator[bytes], size: int) -> bytes:
    held = bytearray()
    for block in source:
        held += block
        if len(held) >= size:
            break
    return bytes(held)


def _chain(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from rest


def _utf8_fault(data: bytes) -> UnicodeDecodeError | None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error
    return None


def _damaged(data: bytes) -> bool:
    """Whether most of what goes beyond ASCII is good UTF-8: then the rest is damage, not another character set."""
    text = data[:BLOCK].decode("utf-8", "surrogateescape")
    beyond = [character for character in text if character > "\x7f"]
    bad = sum("\udc80" <= character <= "\udcff" for character in beyond)
    return bad <= len(beyond) - bad


def _transcoded(blocks: Iterator[bytes], name: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(name)()
    came = 0
    for block in _with_end(blocks):
        base = came - len(decoder.getstate()[0])
        came += len(block)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            offset = base + error.start
        else:
            odd = charset.UNLIKELY.search(text)
            if odd is None:
                yield text.encode("utf-8")
                continue
            offset = base + len(text[: odd.start()].encode(name))
        raise FileFault("invalid_encoding", f"reads like {name} at its start, but is not", offset)


def _with_end(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The blocks, then an empty one."""
    for block in blocks:
        if block:
            yield block
    yield b""


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
