"""Real files for the readers' tests, made by other libraries than the ones under test where there is one."""

from __future__ import annotations

import io
import tarfile
import zipfile
from datetime import datetime
from typing import Any


def pdf(*pages: str, title: str = "", **canvas_arguments: Any) -> bytes:
    """A PDF of one line of text per page; an empty page is a picture without text."""
    from reportlab.pdfgen.canvas import Canvas

    sink = io.BytesIO()
    canvas = Canvas(sink, invariant=1, **canvas_arguments)
    if title:
        canvas.setTitle(title)
    for page in pages:
        if page:
            canvas.drawString(72, 700, page)
        else:
            canvas.rect(72, 600, 100, 100, fill=1)
        canvas.showPage()
    canvas.save()
    return sink.getvalue()


def docx(*paragraphs: str, title: str = "", table: list[list[str]] | None = None, after: str = "") -> bytes:
    """A Word document: paragraphs, a table, a paragraph behind it."""
    from docx import Document

    document = Document()
    document.core_properties.title = title
    document.core_properties.created = datetime(2024, 3, 5, 12, 0)
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    if table:
        made = document.add_table(len(table), len(table[0]))
        for row, cells in zip(made.rows, table, strict=True):
            for cell, text in zip(row.cells, cells, strict=True):
                cell.text = text
    if after:
        document.add_paragraph(after)
    sink = io.BytesIO()
    document.save(sink)
    return sink.getvalue()


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return sink.getvalue()


def tarred(members: dict[str, bytes], mode: str = "w", format: int = tarfile.PAX_FORMAT) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode=mode, format=format) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def with_part(document: bytes, name: str, change: Any) -> bytes:
    """A DOCX file with one part changed (or made)."""
    with zipfile.ZipFile(io.BytesIO(document)) as old:
        parts = {info.filename: old.read(info) for info in old.infolist()}
    parts[name] = change(parts.get(name, b""))
    return zipped(parts)
