"""Every kind of bad input gets its own verdict, and everything else is kept."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from ddd_llm.corpus.readers.items import Limits
from ddd_llm_tests.corpus.helpers import read_folder, reasons, texts

GOOD = b'{"text": "kept"}\n'

BAD_RECORDS = {
    "invalid_json": b'{"text": oops}',
    "invalid_utf8": b'{"text": "\xff\xfe"}',
    "nul_character": b'{"text": "a\0b"}',
    "too_deep": b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "duplicate_key": b'{"text": "a", "text": "b"}',
    "number_too_long": b'{"text": "a", "n": ' + b"9" * 5000 + b"}",
    "not_an_object": b'["text"]',
    "missing_text": b'{"body": "a"}',
    "text_not_a_string": b'{"text": 1}',
    "empty_text": b'{"text": " \\n\\t "}',
    "lone_surrogate": b'{"text": "a\\ud800b"}',
}


@pytest.mark.parametrize("reason", BAD_RECORDS)
def test_a_bad_record_is_refused_for_its_own_reason_and_the_rest_kept(tmp_path: Path, reason: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(GOOD + BAD_RECORDS[reason] + b"\n" + GOOD)
    documents, held_back = read_folder(tmp_path)
    assert texts(documents) == {"a.jsonl#line=1": "kept", "a.jsonl#line=3": "kept"}
    assert reasons(held_back) == [("a.jsonl#line=2", reason)]


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, number: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a", "score": ' + number + b"}\n" + GOOD)
    documents, held_back = read_folder(tmp_path)
    assert documents.num_rows == 1
    assert reasons(held_back) == [("a.jsonl#line=1", "not_finite")]


def test_an_escaped_nul_is_refused_though_json_accepts_it(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a\\u0000b"}\n' + GOOD)
    documents, held_back = read_folder(tmp_path)
    assert documents.num_rows == 1
    assert reasons(held_back) == [("a.jsonl#line=1", "nul_character")]


def test_details_never_hold_document_text(tmp_path: Path) -> None:
    lines = [bad.replace(b'"a', b'"secret') for bad in BAD_RECORDS.values()]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([*lines, b'{"text": "secret" secret}', b""]))
    _, held_back = read_folder(tmp_path)
    assert held_back.num_rows == len(lines) + 1
    assert not any("secret" in detail for detail in held_back["detail"].to_pylist())


@pytest.mark.parametrize(
    "end", [b'{"text": "cut o', b'{"text": "cut off"', b'{"text"', b'{"text": "\xe2\x82', b"\0" * 64], ids=range(5)
)
def test_a_file_cut_off_in_its_last_record_is_held_back_whole(tmp_path: Path, end: bytes) -> None:
    whole = GOOD + b"broken but ended\n" + GOOD
    (tmp_path / "a.jsonl").write_bytes(whole + end)
    (tmp_path / "b.jsonl").write_bytes(GOOD)
    documents, held_back = read_folder(tmp_path)
    assert texts(documents) == {"b.jsonl#line=1": "kept"}
    assert reasons(held_back) == [("a.jsonl", "truncated")]
    assert held_back["offset"].to_pylist() == [len(whole)]


def test_a_whole_last_record_needs_no_line_feed(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(GOOD + GOOD.rstrip(b"\n"))
    documents, held_back = read_folder(tmp_path)
    assert (documents.num_rows, held_back.num_rows) == (2, 0)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_cut_or_damaged_stream_is_held_back_whole(tmp_path: Path, suffix: str) -> None:
    body = b"".join(b'{"text": "record %d"}\n' % number for number in range(5000))
    packed = gzip.compress(body) if suffix == ".gz" else zstandard.ZstdCompressor(write_checksum=True).compress(body)
    flipped = packed[:-3] + bytes([packed[-3] ^ 1]) + packed[-2:]
    (tmp_path / f"cut.jsonl{suffix}").write_bytes(packed[: len(packed) // 2])
    (tmp_path / f"flipped.jsonl{suffix}").write_bytes(flipped)
    (tmp_path / f"good.jsonl{suffix}").write_bytes(packed)
    (tmp_path / f"more.jsonl{suffix}").write_bytes(packed + b"something else")
    (tmp_path / f"not.jsonl{suffix}").write_bytes(body)
    documents, held_back = read_folder(tmp_path)
    assert {locator.partition("#")[0] for locator in texts(documents)} == {f"good.jsonl{suffix}"}
    assert documents.num_rows == 5000
    assert reasons(held_back) == [
        (f"cut.jsonl{suffix}", "truncated"),
        (f"flipped.jsonl{suffix}", "corrupt_compression"),
        (f"more.jsonl{suffix}", "corrupt_compression"),
        (f"not.jsonl{suffix}", "corrupt_compression"),
    ]
    assert held_back["offset"].to_pylist()[0] == len(packed) // 2


def test_a_cut_or_damaged_parquet_file_is_held_back_whole(tmp_path: Path) -> None:
    table = pa.table({"text": [f"record {number} {'words ' * 50}" for number in range(3000)]})
    pq.write_table(table, tmp_path / "good.parquet", compression="zstd", write_page_checksum=True, row_group_size=1000)
    data = (tmp_path / "good.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(data[: len(data) // 2])
    middle = len(data) // 2
    (tmp_path / "flipped.parquet").write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    (tmp_path / "other.parquet").write_bytes(b"something else entirely")
    documents, held_back = read_folder(tmp_path)
    assert documents.num_rows == 3000
    assert all(locator.startswith("good.parquet#row=") for locator in texts(documents))
    assert reasons(held_back) == [
        ("cut.parquet", "truncated"),
        ("flipped.parquet", "corrupt_parquet"),
        ("other.parquet", "corrupt_parquet"),
    ]
    assert held_back["offset"].to_pylist()[0] == len(data) // 2


def test_empty_files_get_a_verdict_each(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "c.txt").write_bytes(b"\xef\xbb\xbf")
    (tmp_path / "d.jsonl").write_bytes(b"\n\r\n  \n")
    (tmp_path / "e.txt").write_bytes(b"")
    (tmp_path / "f.parquet").write_bytes(b"")
    (tmp_path / "g.txt").write_bytes("\ufeff".encode("utf-16-le"))
    (tmp_path / "h.jsonl.zst").write_bytes(b"")
    (tmp_path / "i.md").write_bytes(b"  \n ")
    documents, held_back = read_folder(tmp_path)
    assert documents.num_rows == 0
    verdicts = dict(reasons(held_back))
    assert verdicts.pop("i.md") == "empty_text"
    assert set(verdicts.values()) == {"empty_file"}
    assert len(verdicts) == 8


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_byte_order_marks_and_line_ends_are_normalised(tmp_path: Path, encoding: str) -> None:
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "a.txt").write_bytes(f"{mark}one\r\ntwo\rthr\u00e9e".encode(encoding))
    (tmp_path / "b.jsonl").write_bytes(f'{mark}{{"text": "one"}}\r\n{{"text": "two"}}\r\n'.encode(encoding))
    documents, held_back = read_folder(tmp_path)
    assert texts(documents) == {"a.txt": "one\ntwo\nthr\u00e9e", "b.jsonl#line=1": "one", "b.jsonl#line=2": "two"}
    assert held_back.num_rows == 0


def test_encodings_that_cannot_be_told_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("no mark here".encode("utf-16-le"))
    (tmp_path / "b.txt").write_bytes("latin caf\u00e9 \u00fc".encode("latin-1"))
    (tmp_path / "c.txt").write_bytes("text".encode("utf-32"))
    (tmp_path / "d.txt").write_bytes(b"\xff\xfea\x00b")
    (tmp_path / "e.txt").write_bytes(b"\xff\xfe\x00\xd8a\x00")
    (tmp_path / "f.txt").write_bytes(b"cut in a char \xe2\x82")
    (tmp_path / "g.txt").write_bytes(b"a nul \0 in text")
    documents, held_back = read_folder(tmp_path)
    assert documents.num_rows == 0
    assert [reason for _, reason in reasons(held_back)] == [
        "encoding_unknown",
        "encoding_unknown",
        "encoding_unknown",
        "truncated",
        "invalid_encoding",
        "truncated",
        "nul_character",
    ]
    assert held_back["offset"].to_pylist()[1] == 9


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x80\x04\x95\x10\x00\x00\x00", "format_mismatch"),
        (gzip.compress(b"text"), "format_mismatch"),
        (b"PK\x03\x04rest", "format_mismatch"),
    ],
)
def test_content_that_its_name_does_not_say_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    documents, held_back = read_folder(tmp_path)
    assert documents.num_rows == 0
    assert reasons(held_back) == [("a.txt", reason)]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_bomb_is_refused_and_the_rest_kept(tmp_path: Path, suffix: str) -> None:
    zeros = bytes(30_000_000)
    packed = gzip.compress(zeros) if suffix == ".gz" else zstandard.compress(zeros)
    (tmp_path / f"bomb.txt{suffix}").write_bytes(packed)
    (tmp_path / f"bomb2.jsonl{suffix}").write_bytes(packed)
    (tmp_path / "twice.txt.gz.gz").write_bytes(gzip.compress(gzip.compress(b"text")))
    (tmp_path / "z.txt").write_text("kept")
    documents, held_back = read_folder(tmp_path, limits=Limits(record=1 << 30))
    assert texts(documents) == {"z.txt": "kept"}
    assert reasons(held_back) == [
        (f"bomb.txt{suffix}", "decompression_bomb"),
        (f"bomb2.jsonl{suffix}", "decompression_bomb"),
        ("twice.txt.gz.gz", "nested_compression"),
    ]


def test_a_parquet_bomb_is_refused(tmp_path: Path) -> None:
    value = "x" * 100_000
    table = pa.table({"text": pa.DictionaryArray.from_arrays(pa.array([0] * 5000, pa.int32()), pa.array([value]))})
    pq.write_table(table, tmp_path / "bomb.parquet", compression="zstd")
    documents, held_back = read_folder(tmp_path)
    assert documents.num_rows == 0
    assert reasons(held_back) == [("bomb.parquet", "decompression_bomb")]


def test_records_and_documents_over_the_limit_are_refused(tmp_path: Path) -> None:
    limits = Limits(record=1000)
    (tmp_path / "a.jsonl").write_bytes(GOOD + b'{"text": "' + b"x" * 1000 + b'"}\n' + GOOD)
    (tmp_path / "b.txt").write_bytes(b"x" * 1001)
    pq.write_table(pa.table({"text": ["x" * 1001, "kept"]}), tmp_path / "c.parquet")
    documents, held_back = read_folder(tmp_path, limits=limits)
    assert list(texts(documents)) == ["a.jsonl#line=1", "a.jsonl#line=3", "c.parquet#row=1"]
    assert reasons(held_back) == [
        ("a.jsonl#line=2", "record_too_large"),
        ("b.txt", "document_too_large"),
        ("c.parquet#row=0", "record_too_large"),
    ]
    assert held_back["offset"].to_pylist()[0] == len(GOOD)


def test_duplicate_ids_with_the_same_content_give_one_document(tmp_path: Path) -> None:
    records = [{"id": "a", "text": "one"}, {"id": "b", "text": "two"}, {"id": "a", "text": "one"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    documents, held_back = read_folder(tmp_path, id_field="id")
    assert texts(documents) == {"a.jsonl#id=a": "one", "a.jsonl#id=b": "two"}
    assert reasons(held_back) == [("a.jsonl#id=a", "duplicate_id_same_content")]


def test_duplicate_ids_with_other_content_are_both_kept_and_reported(tmp_path: Path) -> None:
    table = pa.table({"key": ["a", "a;2", "a", "a", "a"], "text": ["one", "odd name", "two", "three", "two"]})
    pq.write_table(table, tmp_path / "a.parquet")
    documents, held_back = read_folder(tmp_path, id_field="key")
    assert texts(documents) == {
        "a.parquet#id=a": "one",
        "a.parquet#id=a%3B2": "odd name",
        "a.parquet#id=a;2": "two",
        "a.parquet#id=a;3": "three",
    }
    assert reasons(held_back) == [
        ("a.parquet#id=a;2", "duplicate_id_conflict"),
        ("a.parquet#id=a;3", "duplicate_id_conflict"),
        ("a.parquet#id=a", "duplicate_id_same_content"),
    ]


@pytest.mark.parametrize("key", [True, 1.5, [], {}])
def test_ids_that_cannot_name_a_record_are_refused(tmp_path: Path, key: object) -> None:
    lines = [{"id": key, "text": "a"}, {"text": "b"}, {"id": "", "text": "c"}, {"id": 7, "text": "kept"}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    documents, held_back = read_folder(tmp_path, id_field="id")
    assert texts(documents) == {"a.jsonl#id=7": "kept"}
    assert [reason for _, reason in reasons(held_back)] == ["id_not_usable", "missing_id", "missing_id"]


NAMES = [
    "../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    "x" * 5000,
    "\u202egnp.exe",
    "CON",
    "-rf",
    "\x1b[31m",
    "<script>",
    "a#b;2",
]


def test_names_are_data_and_never_paths(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    lines = [{"id": name, "title": name.replace("\0", ""), "text": f"text {n}"} for n, name in enumerate(NAMES)]
    (root / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    documents, held_back = read_folder(root, id_field="id", title_field="title")
    assert documents.num_rows == len(NAMES)
    assert held_back.num_rows == 0
    assert all(locator.startswith("a.jsonl#id=") and locator.isprintable() for locator in texts(documents))
    assert len(set(texts(documents))) == len(NAMES)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.jsonl", "root"]


MARKUP = '<script>alert(1)</script><img src=x onerror=alert(2)> [a](javascript:b) =cmd|"x"!A0 \x1b[2J'


def test_markup_in_texts_is_kept_as_data(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": MARKUP, "title": MARKUP}) + "\n")
    (tmp_path / "b.md").write_text(MARKUP)
    (tmp_path / "c.txt").write_text(MARKUP)
    documents, held_back = read_folder(tmp_path, title_field="title")
    assert set(documents["text"].to_pylist()) == {MARKUP}
    assert documents["title"].to_pylist()[0] == MARKUP
    assert held_back.num_rows == 0
