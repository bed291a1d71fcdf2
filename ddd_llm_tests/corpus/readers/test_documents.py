"""PDF and DOCX: what their text is, and which files are refused."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from ddd_llm.corpus.readers.items import Limits
from ddd_llm_tests.corpus.helpers import read_folder, reasons, texts
from ddd_llm_tests.corpus.readers import files

GOOD_PDF = files.pdf("First page, caf\u00e9.", "", "Third page.", title="A <b>title</b>")
GOOD_DOCX = files.docx("One", "Two\tthree", title="Its title", table=[["a", "b"], ["c\nd", ""]], after="Last")


def test_a_pdf_gives_its_pages_and_title(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(GOOD_PDF)
    (tmp_path / "B.PDF").write_bytes(files.pdf("Untitled text."))
    documents, held_back = read_folder(tmp_path)
    assert held_back.num_rows == 0
    assert texts(documents) == {"B.PDF": "Untitled text.", "a.pdf": "First page, caf\u00e9.\n\nThird page."}
    assert documents["title"].to_pylist()[1] == "A <b>title</b>"
    assert documents["media_type"].to_pylist() == ["application/pdf"] * 2
    assert documents["date"].to_pylist() == ["2000-01-01"] * 2  # reportlab's invariant mode


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_file"),
        (b"no PDF at all", "corrupt_pdf"),
        (b"%PDF-1.4\n%%EOF\n", "corrupt_pdf"),
        (GOOD_PDF[: len(GOOD_PDF) // 2], "truncated"),
        (GOOD_PDF[:-20], "truncated"),
        (files.pdf("", ""), "no_text"),
        (files.pdf("x", encrypt="user-password"), "encrypted"),
    ],
)
def test_a_pdf_that_cannot_be_read_is_refused_whole(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "a.pdf").write_bytes(data)
    (tmp_path / "b.pdf").write_bytes(files.pdf("kept"))
    documents, held_back = read_folder(tmp_path)
    assert texts(documents) == {"b.pdf": "kept"}
    assert reasons(held_back) == [("a.pdf", reason)]
    if reason == "truncated":
        assert held_back["offset"].to_pylist() == [len(data)]


def test_a_pdf_that_opens_without_a_password_but_is_encrypted_is_refused(tmp_path: Path) -> None:
    from reportlab.lib.pdfencrypt import StandardEncryption

    owner_only = StandardEncryption("", ownerPassword="owner", canCopy=0)
    (tmp_path / "a.pdf").write_bytes(files.pdf("x", encrypt=owner_only))
    _, held_back = read_folder(tmp_path)
    assert reasons(held_back) == [("a.pdf", "encrypted")]


def test_limits_of_pages_and_bytes_hold(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(files.pdf(*["page"] * 5))
    assert reasons(read_folder(tmp_path, limits=Limits(pages=4))[1]) == [("a.pdf", "too_many_pages")]
    assert reasons(read_folder(tmp_path, limits=Limits(record=12))[1]) == [("a.pdf", "document_too_large")]
    assert reasons(read_folder(tmp_path, limits=Limits(binary=100))[1]) == [("a.pdf", "document_too_large")]


def test_damaged_pdfs_never_end_the_ingest(tmp_path: Path) -> None:
    for at in range(0, len(GOOD_PDF) - 40, 23):
        data = bytearray(GOOD_PDF)
        data[at] ^= 0x55
        (tmp_path / f"{at:05}.pdf").write_bytes(data)
    documents, held_back = read_folder(tmp_path)
    assert documents.num_rows + held_back.num_rows == len(list(tmp_path.iterdir()))


def test_a_docx_gives_paragraphs_and_tables_in_order(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(GOOD_DOCX)
    documents, held_back = read_folder(tmp_path)
    assert held_back.num_rows == 0
    assert texts(documents) == {"a.docx": "One\nTwo\tthree\na\tb\nc\nd\t\nLast"}
    assert documents["title"].to_pylist() == ["Its title"]
    assert documents["date"].to_pylist() == ["2024-03-05"]


W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def test_tracked_changes_count_as_accepted_and_content_controls_are_read(tmp_path: Path) -> None:
    body = (
        f'<?xml version="1.0"?><w:document {W}><w:body><w:p><w:r><w:t>kept</w:t></w:r>'
        "<w:ins><w:r><w:t> new</w:t></w:r></w:ins><w:del><w:r><w:delText> gone</w:delText></w:r></w:del></w:p>"
        "<w:sdt><w:sdtContent><w:p><w:r><w:t>control</w:t></w:r></w:p></w:sdtContent></w:sdt></w:body></w:document>"
    )
    (tmp_path / "a.docx").write_bytes(files.with_part(GOOD_DOCX, "word/document.xml", lambda _: body.encode()))
    documents, _ = read_folder(tmp_path)
    assert texts(documents) == {"a.docx": "kept new\ncontrol"}


ENTITIES = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
OUTSIDE = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("prefix", [ENTITIES, OUTSIDE, b"<!DOCTYPE w>"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_entities_are_refused(tmp_path: Path, prefix: bytes, encoding: str) -> None:
    def change(part: bytes) -> bytes:
        text = part.decode()
        head, rest = text.split("?>", 1)
        return (head.replace("UTF-8", encoding) + "?>" + prefix.decode() + rest).encode(encoding)

    (tmp_path / "a.docx").write_bytes(files.with_part(GOOD_DOCX, "word/document.xml", change))
    documents, held_back = read_folder(tmp_path)
    assert documents.num_rows == 0
    assert reasons(held_back) == [("a.docx", "xml_entities")]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_file"),
        (b"plain", "corrupt_archive"),
        (GOOD_DOCX[: len(GOOD_DOCX) // 2], "truncated"),
        (files.zipped({"a.txt": b"not Word"}), "corrupt_docx"),
        (files.docx(), "no_text"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), "encrypted"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1WordDocument", "format_mismatch"),
        (files.with_part(GOOD_DOCX, "word/media/a.bin", lambda _: bytes(30_000_000)), "decompression_bomb"),
        (files.with_part(GOOD_DOCX, "word/document.xml", lambda part: part[:-30]), "corrupt_docx"),
        (files.zipped({"word/document.xml": b"x" * 100}, zipfile.ZIP_LZMA), "unsupported_compression"),
    ],
)
def test_a_docx_that_cannot_be_read_is_refused_whole(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "a.docx").write_bytes(data)
    (tmp_path / "b.docx").write_bytes(files.docx("kept"))
    documents, held_back = read_folder(tmp_path)
    assert texts(documents) == {"b.docx": "kept"}
    assert reasons(held_back) == [("a.docx", reason)]
    if reason == "truncated":
        assert held_back["offset"].to_pylist() == [len(data)]


def test_a_table_that_claims_a_billion_columns_is_read_as_what_it_holds(tmp_path: Path) -> None:
    wide = b'<w:tcPr><w:gridSpan w:val="1000000000"/></w:tcPr>'
    data = files.with_part(GOOD_DOCX, "word/document.xml", lambda part: part.replace(b"<w:tc>", b"<w:tc>" + wide))
    (tmp_path / "a.docx").write_bytes(data)
    documents, _ = read_folder(tmp_path)
    assert texts(documents)["a.docx"].endswith("Last")


def test_macros_and_external_links_are_never_followed(tmp_path: Path) -> None:
    external = (
        b'<Relationship Id="rId99" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/image" '
        b'Target="file:///etc/passwd" TargetMode="External"/></Relationships>'
    )
    data = files.with_part(
        GOOD_DOCX, "word/_rels/document.xml.rels", lambda part: part.replace(b"</Relationships>", external)
    )
    (tmp_path / "a.docx").write_bytes(data)
    (tmp_path / "b.docm").write_bytes(GOOD_DOCX)
    documents, held_back = read_folder(tmp_path)
    assert list(texts(documents)) == ["a.docx"]
    assert "root:" not in texts(documents)["a.docx"]
    assert reasons(held_back) == [("b.docm", "unsupported_format")]
