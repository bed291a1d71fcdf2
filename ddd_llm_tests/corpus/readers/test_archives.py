"""tar and zip: members go through the same readers, hostile archives are refused, nothing is written."""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.corpus.readers.items import Limits
from ddd_llm_tests.corpus.helpers import read_folder, reasons, texts
from ddd_llm_tests.corpus.readers import files

NOISE = os.urandom(5000).hex()
MEMBERS = {
    "docs/a.md": b"# One\n",
    "docs/b.jsonl": b'{"text": "two"}\nbroken\n{"text": "three"}\n',
    "c.txt": f"four {NOISE}".encode(),
    "d.csv": b"text\nfive\n",
    "e.pdf": files.pdf("six"),
    "f.docx": files.docx("seven"),
    "g.bin": b"?",
    "h.txt": b"",
    ".hidden.md": b"no",
    "__MACOSX/i.md": b"no",
    "j.txt.gz": gzip.compress(b"eight"),
}
PACKED = {
    "a.zip": files.zipped(MEMBERS),
    "a.tar": files.tarred(MEMBERS),
    "a.tar.gz": gzip.compress(files.tarred(MEMBERS)),
    "a.tgz": files.tarred(MEMBERS, "w:gz"),
    "a.tar.zst": zstandard.ZstdCompressor(write_checksum=True).compress(files.tarred(MEMBERS)),
}


@pytest.mark.parametrize("name", PACKED)
def test_members_go_through_the_same_readers(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(PACKED[name])
    documents, held_back = read_folder(tmp_path)
    assert texts(documents) == {
        f"{name}!c.txt": f"four {NOISE}",
        f"{name}!d.csv#row=2": "five",
        f"{name}!docs/a.md": "# One",
        f"{name}!docs/b.jsonl#line=1": "two",
        f"{name}!docs/b.jsonl#line=3": "three",
        f"{name}!e.pdf": "six",
        f"{name}!f.docx": "seven",
        f"{name}!j.txt.gz": "eight",
    }
    assert reasons(held_back) == [
        (f"{name}!docs/b.jsonl#line=2", "invalid_json"),
        (f"{name}!g.bin", "unsupported_format"),
        (f"{name}!h.txt", "empty_file"),
    ]
    assert [path.name for path in tmp_path.rglob("*")] == [name]


@pytest.mark.parametrize("name", PACKED)
def test_an_archive_cut_anywhere_is_held_back_whole(tmp_path: Path, name: str) -> None:
    data = PACKED[name]
    ends = [len(data) * part // 7 for part in range(1, 7)]
    if name == "a.tar":
        ends += [512, 1024, 1536, 700, data.rindex(b"eight"[:2]) if b"eight" in data else 2048]
    for end in ends:
        (tmp_path / name).write_bytes(data[:end])
        (tmp_path / "z.txt").write_text("kept")
        documents, held_back = read_folder(tmp_path)
        assert texts(documents) == {"z.txt": "kept"}, end
        assert reasons(held_back) == [(name, "truncated")], end
        assert held_back["offset"].to_pylist() == [end]


@settings(max_examples=60)
@given(name=st.sampled_from(sorted(PACKED)), place=st.floats(0, 0.999), bit=st.integers(0, 7))
def test_a_flipped_bit_never_gives_other_text(
    tmp_path_factory: pytest.TempPathFactory, name: str, place: float, bit: int
) -> None:
    root = tmp_path_factory.mktemp("flipped")
    data = bytearray(PACKED[name])
    data[int(place * len(data))] ^= 1 << bit
    (root / name).write_bytes(data)
    documents, held_back = read_folder(root)
    if name != "a.tar":  # a plain tar protects its headers only
        known = {"# One", "two", "three", f"four {NOISE}", "five", "six", "seven", "eight"}
        assert set(documents["text"].to_pylist()) <= known
    assert documents.num_rows + held_back.num_rows > 0


def test_a_damaged_member_or_header_withdraws_the_archive(tmp_path: Path) -> None:
    stored = files.zipped({"a.txt": b"first " * 100, "b.txt": b"second " * 100}, zipfile.ZIP_STORED)
    (tmp_path / "a.zip").write_bytes(stored.replace(b"second second", b"sexond second", 1))
    tar = files.tarred({"a.txt": b"first", "b.txt": b"second"})
    (tmp_path / "b.tar").write_bytes(tar.replace(b"b.txt", b"x.txt"))
    (tmp_path / "c.tar").write_bytes(b"not an archive" * 100)
    (tmp_path / "d.zip").write_bytes(b"not an archive" * 100)
    documents, held_back = read_folder(tmp_path)
    assert documents.num_rows == 0
    assert reasons(held_back) == [(name, "corrupt_archive") for name in ("a.zip", "b.tar", "c.tar", "d.zip")]


NAMES = [
    "../up.md",
    "/etc/x.md",
    "a/../../b.md",
    "C:/x.md",
    "..\\up.md",
    "good.md",
    "a/\x1b[31m.md",
    "x" * 3000 + ".md",
]


@pytest.mark.parametrize("pack", [files.zipped, files.tarred])
def test_members_that_would_leave_the_archive_are_refused(tmp_path: Path, pack: object) -> None:
    root = tmp_path / "deep" / "root"
    root.mkdir(parents=True)
    (root / "a.arc").write_bytes(pack(dict.fromkeys(NAMES, b"text")))  # type: ignore[operator]
    (root / "a.arc").rename(root / ("a.zip" if pack is files.zipped else "a.tar"))
    documents, held_back = read_folder(root)
    assert documents.num_rows == 3
    assert all(locator.isprintable() for locator in texts(documents))
    assert [reason for _, reason in reasons(held_back)] == ["unsafe_member_path"] * 5
    assert len(list(tmp_path.rglob("*"))) == 3


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, kind in (("s.md", tarfile.SYMTYPE), ("h.md", tarfile.LNKTYPE), ("f.md", tarfile.FIFOTYPE),
                           ("c.md", tarfile.CHRTYPE)):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        info = tarfile.TarInfo("good.md")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"good"))
    (tmp_path / "a.tar").write_bytes(sink.getvalue())
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as packed:
        link = zipfile.ZipInfo("s.md")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(link, "/etc/passwd")
        packed.writestr("good.md", "good")
    (tmp_path / "b.zip").write_bytes(sink.getvalue())
    documents, held_back = read_folder(tmp_path)
    assert texts(documents) == {"a.tar!good.md": "good", "b.zip!good.md": "good"}
    assert [reason for _, reason in reasons(held_back)] == ["not_a_regular_file"] * 5


def test_bombs_are_refused_and_the_rest_kept(tmp_path: Path) -> None:
    zeros = bytes(8_000_000)
    (tmp_path / "a.zip").write_bytes(files.zipped({"first.md": b"text", "z.txt": zeros}))
    (tmp_path / "b.tar.gz").write_bytes(gzip.compress(files.tarred({"first.md": b"text", "z.txt": zeros})))
    (tmp_path / "c.tgz").write_bytes(files.tarred({"first.md": b"text", "z.jsonl": zeros}, "w:gz"))
    (tmp_path / "d.zip").write_bytes(files.zipped({"z.txt": zeros, "first.md": b"text"}, zipfile.ZIP_BZIP2))
    (tmp_path / "e.txt").write_text("kept")
    documents, held_back = read_folder(tmp_path)
    assert texts(documents) == {"e.txt": "kept"}
    assert reasons(held_back) == [(name, "decompression_bomb") for name in ("a.zip", "b.tar.gz", "c.tgz", "d.zip")]


def test_a_zip_whose_directory_lies_about_sizes_is_refused(tmp_path: Path) -> None:
    data = bytearray(files.zipped({"z.txt": bytes(20_000_000)}))
    at = data.rindex(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, 1000)
    (tmp_path / "a.zip").write_bytes(data)
    documents, held_back = read_folder(tmp_path)
    assert documents.num_rows == 0
    assert reasons(held_back) == [("a.zip", "corrupt_archive")]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_too_many_members_are_refused_whole(tmp_path: Path, name: str) -> None:
    members = {f"{number}.md": b"x" for number in range(300)}
    data = files.zipped(members) if name == "a.zip" else files.tarred(members)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert read_folder(tmp_path)[0].num_rows == 300
    documents, held_back = read_folder(tmp_path, limits=Limits(members=299))
    assert documents.num_rows == 0
    assert reasons(held_back) == [(name, "too_many_members")]


def test_archives_in_archives_are_read_one_deep(tmp_path: Path) -> None:
    inner = files.zipped({"a.md": b"deep"})
    (tmp_path / "a.zip").write_bytes(
        files.zipped({"one.zip": inner, "two.tar": files.tarred({"three.zip": inner, "b.md": b"kept"})})
    )
    (tmp_path / "b.tar").write_bytes(files.tarred({"one.zip": inner}))
    documents, held_back = read_folder(tmp_path)
    assert texts(documents) == {
        "a.zip!one.zip!a.md": "deep", "a.zip!two.tar!b.md": "kept", "b.tar!one.zip!a.md": "deep"
    }  # fmt: skip
    assert reasons(held_back) == [("a.zip!two.tar!three.zip", "nested_archive")]


def test_an_inner_archive_that_is_broken_is_held_back_alone(tmp_path: Path) -> None:
    inner = files.tarred({"x.md": b"one", "y.md": b"two"})
    (tmp_path / "a.zip").write_bytes(files.zipped({"a.md": b"kept", "in.tar": inner[:1100], "z.md": b"kept too"}))
    documents, held_back = read_folder(tmp_path)
    assert texts(documents) == {"a.zip!a.md": "kept", "a.zip!z.md": "kept too"}
    assert reasons(held_back) == [("a.zip!in.tar", "truncated")]


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    data = bytearray(files.zipped({"a.md": b"secret", "b.md": b"open"}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(signature)
        data[at + flags] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    documents, held_back = read_folder(tmp_path)
    assert texts(documents) == {"a.zip!b.md": "open"}
    assert reasons(held_back) == [("a.zip!a.md", "encrypted")]


def test_empty_archives_and_members_twice_get_a_verdict(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(files.zipped({}))
    (tmp_path / "b.tar").write_bytes(files.tarred({}))
    (tmp_path / "c.zip").write_bytes(b"")
    (tmp_path / "d.zip").write_bytes(files.zipped({".hidden": b"x"}))
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("x.md", "one")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("x.md", "two")
    (tmp_path / "e.zip").write_bytes(sink.getvalue())
    documents, held_back = read_folder(tmp_path)
    assert texts(documents) == {"e.zip!x.md": "one", "e.zip!x.md;2": "two"}
    assert reasons(held_back) == [
        ("a.zip", "empty_file"), ("b.tar", "empty_file"), ("c.zip", "empty_file"), ("d.zip", "empty_file"),
        ("e.zip!x.md;2", "duplicate_member"),
    ]  # fmt: skip


def test_a_tar_header_that_claims_the_impossible_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a.md")
    info.type, info.size = tarfile.XHDTYPE, 1 << 31
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    info = tarfile.TarInfo("a.md")
    info.size = -512
    (tmp_path / "b.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    documents, held_back = read_folder(tmp_path)
    assert documents.num_rows == 0
    assert [reason for _, reason in reasons(held_back)] == ["corrupt_archive"] * 2
