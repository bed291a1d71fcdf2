"""PDF: one file, one document: the text of its pages, the title and date of its metadata.

Belongs here: what pdfium gives, and which files are refused. Does not belong here: recognising letters in pictures; a
scan without a text layer is refused.

pdfium mends files that were cut off and would give part of their text, so the end is looked at first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ddd_llm.corpus.readers.items import FileFault, Item, Limits

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument

MEDIA_TYPE = "application/pdf"

_DATE = re.compile(r"(?:D:)?(\d{4})(\d{2})?(\d{2})?")
_LINEARIZED = re.compile(rb"/Linearized\b.{0,200}?/L\s+(\d{1,12})", re.DOTALL)
_PASSWORD = 4  # FPDF_ERR_PASSWORD


def read(name: str, data: bytes, limits: Limits) -> Iterator[Item]:
    """The document; its title is the metadata's, else the file's name. Pages are joined by an empty line.

    Raises:
        FileFault: `corrupt_pdf`, `truncated` (offset: where the file ends), `encrypted` (with whatever password),
            `no_text` (a scan, or no page), `too_many_pages`, `document_too_large`.
    """
    import pypdfium2

    _check_ends(data)
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == _PASSWORD:
            raise FileFault("encrypted", "the file needs a password", 0) from None
        raise FileFault("corrupt_pdf", "the file cannot be read as PDF", 0) from None
    try:
        if pypdfium2.raw.FPDF_GetSecurityHandlerRevision(document.raw) != -1:
            raise FileFault("encrypted", "the file is encrypted and limits what may be done with it", 0)
        said = document.get_metadata_dict()
        text = _text(document, limits)
    except pypdfium2.PdfiumError:
        raise FileFault("corrupt_pdf", "a page of the file cannot be read", 0) from None
    finally:
        document.close()
    title = said.get("Title", "").strip("\0 \t\r\n")
    yield Item(name, title or PurePosixPath(name).name, text, MEDIA_TYPE, _day(said.get("CreationDate", "")))


def _check_ends(data: bytes) -> None:
    if not data:
        raise FileFault("empty_file", "the file has 0 bytes", 0)
    if b"%PDF-" not in data[:1024]:
        raise FileFault("corrupt_pdf", "the file does not begin as PDF", 0)
    if b"%%EOF" not in data[-1024:]:
        raise FileFault("truncated", "the file ends before its end mark", len(data))
    linearized = _LINEARIZED.search(data[:1024])
    if linearized and int(linearized[1]) > len(data):
        raise FileFault("truncated", f"the file says it has {int(linearized[1])} bytes", len(data))


def _text(document: PdfDocument, limits: Limits) -> str:
    if len(document) > limits.pages:
        raise FileFault("too_many_pages", f"more than {limits.pages} pages; split the file")
    pages: list[str] = []
    size = 0
    for number in range(len(document)):
        page = document[number]
        content = page.get_textpage()
        count = content.count_chars()
        if size + count > limits.record:
            raise FileFault("document_too_large", f"text of more than {limits.record} bytes; split the file")
        text = content.get_text_bounded() if count > 0 else ""
        content.close()
        page.close()
        # pdfium marks a word broken at the end of a line; the halves belong together.
        text = text.replace("\ufffe\r\n", "").replace("\ufffe", "").strip()
        size += len(text.encode("utf-8", "surrogatepass"))
        if size > limits.record:
            raise FileFault("document_too_large", f"text of more than {limits.record} bytes; split the file")
        if text:
            pages.append(text)
    if not pages:
        raise FileFault("no_text", "no page has a text layer; recognise the letters of the scan first")
    return "\n\n".join(pages)


def _day(said: str) -> str | None:
    found = _DATE.match(said)
    try:
        return date(int(found[1]), int(found[2] or 1), int(found[3] or 1)).isoformat() if found and found[3] else None
    except ValueError:
        return None
