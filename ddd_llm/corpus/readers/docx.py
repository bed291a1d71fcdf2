"""DOCX: one file, one document: paragraphs and tables in document order, title and date of its properties.

Belongs here: which WordprocessingML elements are text. Does not belong here: pictures, comments, headers and footers.

Macros are never looked at, external links never followed. Text under tracked changes counts as if they were accepted;
a table row is one line, its cells divided by tabs.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from ddd_llm.corpus.readers import zipped
from ddd_llm.corpus.readers.items import FileFault, Item, Limits
from ddd_llm.corpus.readers.records import iso_date

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_SKIPPED = frozenset(
    [_FALLBACK, *(f"{_W}{name}" for name in ("del", "moveFrom", "pPr", "rPr", "sectPr", "tblPr", "tcPr"))]
)
_AS_TEXT = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-", f"{_W}softHyphen": ""}


def read(name: str, data: bytes, limits: Limits) -> Iterator[Item]:
    """The document; its title is the properties', else the file's name; its date the day it was created.

    Raises:
        FileFault: `encrypted`, `corrupt_docx`, `xml_entities`, `no_text`, `document_too_large`; those of
            `zipped.open_zip`.
    """
    import docx
    from docx.opc.exceptions import OpcError
    from lxml import etree

    _check(data, limits)
    try:
        document = docx.Document(io.BytesIO(data))
        text = _text(document.element.body, limits)
        said = document.core_properties
        title, created = said.title.strip(), _created(said)
    except (OpcError, etree.LxmlError, KeyError, ValueError, TypeError, AttributeError, IndexError):
        raise FileFault("corrupt_docx", "the parts of the file do not make a Word document", None) from None
    if not text.strip():
        raise FileFault("no_text", "the document holds no text")
    yield Item(name, title or PurePosixPath(name).name, text, MEDIA_TYPE, created)


def _check(data: bytes, limits: Limits) -> None:
    """Bounds and hostile XML, part by part, before the library takes all of it into memory."""
    import zipfile
    import zlib

    if data.startswith(_COMPOUND):
        if _ENCRYPTED in data:
            raise FileFault("encrypted", "the file needs a password", 0)
        raise FileFault("format_mismatch", "the content is an old Word file; save it as DOCX", 0)
    with zipped.open_zip(io.BytesIO(data), len(data), limits) as archive:
        members = archive.infolist()
        xml = [member for member in members if member.filename.lower().endswith((".xml", ".rels", ".xml.rels"))]
        for some, limit in ((members, limits.binary), (xml, limits.xml)):
            if sum(member.file_size for member in some) > limit:
                raise FileFault("decompression_bomb", f"parts expand beyond {limit} bytes; raise the limit if right")
        for member in members:
            if (against := zipped.objection(member)) is not None:
                raise FileFault(*against)
            try:
                part = archive.read(member)
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
                raise FileFault("corrupt_docx", "a part of the file is damaged", member.header_offset) from None
            # Word writes no document type; NUL bytes go, so that UTF-16 cannot hide one.
            plain = part.replace(b"\0", b"")
            if plain.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith(b"<") and b"<!DOCTYPE" in plain:
                raise FileFault("xml_entities", "a part declares a document type, which could hold entities")


def _created(properties: Any) -> str | None:
    try:
        return iso_date(properties.created)
    except (ValueError, TypeError):
        return None


def _text(body: Any, limits: Limits) -> str:
    """Text of the body's tree, walked without recursion."""
    out: list[str] = []
    size = 0
    for event, tag, value in _walk(body):
        piece = ""
        if event == "start":
            piece = value if tag == f"{_W}t" else _AS_TEXT.get(tag, "")
        elif tag in (f"{_W}p", f"{_W}tr"):
            piece = "\n"
        elif tag == f"{_W}tc":
            while out and out[-1] == "\n":  # the cell's last paragraph ends with the cell
                out.pop()
            piece = "\t"
        if tag == f"{_W}tr" and event == "end" and out and out[-1] == "\t":
            out.pop()
        if piece:
            out.append(piece)
            size += len(piece.encode("utf-8", "surrogatepass"))
            if size > limits.record:
                raise FileFault("document_too_large", f"text of more than {limits.record} bytes; split the file")
    return "".join(out)


def _walk(root: Any) -> Iterator[tuple[str, str, str]]:
    """(start or end, tag, text) of every element that is not skipped, in document order."""
    stack = [iter([root])]
    open_tags: list[str] = []
    while stack:
        node = next(stack[-1], None)
        if node is None:
            stack.pop()
            if open_tags:
                yield "end", open_tags.pop(), ""
            continue
        tag = node.tag
        if not isinstance(tag, str) or tag in _SKIPPED:  # comments and processing instructions have no name
            continue
        yield "start", tag, node.text or ""
        open_tags.append(tag)
        stack.append(iter(node))
