"""CSV and TSV: rows against Python's own reader, bad rows, cut files."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.corpus.readers.delimited import split_rows
from ddd_llm.corpus.readers.items import Limits
from ddd_llm_tests.corpus.helpers import read_folder, reasons, texts

cells = st.text(st.sampled_from('ab",\n\r\t é'), max_size=6)


@given(st.lists(st.lists(cells, min_size=2, max_size=4), max_size=6), st.integers(1, 7), st.sampled_from([",", "\t"]))
def test_rows_are_those_that_python_wrote_whatever_the_blocks(rows: list[list[str]], step: int, mark: str) -> None:
    sink = io.StringIO()
    csv.writer(sink, delimiter=mark, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    data = sink.getvalue().encode()
    blocks = [data[at : at + step] for at in range(0, len(data), step)]
    found = list(split_rows(blocks, mark, 10_000))
    assert all(row.ended and row.data is not None for row in found)
    assert [next(csv.reader([(row.data or b"").decode()], delimiter=mark)) for row in found] == rows
    assert [row.data for row in found] == [data[row.offset : row.offset + row.size] for row in found]


@given(st.binary(max_size=60), st.integers(1, 20))
def test_any_bytes_are_cut_into_rows_without_loss(data: bytes, limit: int) -> None:
    found = list(split_rows([data], ",", limit))
    assert sum(row.size for row in found) + data.count(b"\n") >= len(data)
    assert all(row.data is None or len(row.data) <= limit for row in found)
    assert [row.number for row in found] == list(range(1, len(found) + 1))


def test_fields_are_read_by_name(tmp_path: Path) -> None:
    text = 'id,text,name,when,score\n1,"two\r\nlines, ""quoted""",A,2024-03-05,0.5\n2,=cmd|x,,05.03.2024,\n'
    (tmp_path / "a.csv").write_bytes(text.encode())
    (tmp_path / "b.tsv").write_bytes(text.replace(",", "\t").encode())
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(("\ufeff" + text).encode()))
    (tmp_path / "d.csv").write_bytes(text.replace("\n", "\r\n").encode("utf-16"))
    documents, held_back = read_folder(
        tmp_path, id_field="id", title_field="name", date_field="when", quality_field="score"
    )
    assert held_back.num_rows == 0
    assert texts(documents)["a.csv#id=1"] == 'two\nlines, "quoted"'
    assert documents["locator"].to_pylist()[:2] == ["a.csv#id=1", "a.csv#id=2"]
    assert documents["title"].to_pylist()[:2] == ["A", "a.csv#id=2"]
    assert documents["date"].to_pylist()[:2] == ["2024-03-05", None]
    assert documents["quality"].to_pylist()[:2] == [0.5, None]
    assert documents.num_rows == 8


BAD_ROWS = {
    "wrong_cell_count": b"only",
    "invalid_utf8": b"x,\xff\xfe",
    "nul_character": b"x,a\0b",
    "invalid_csv": b'x,"a"b',
    "empty_text": b"x,  ",
    "record_too_large": b"x," + b"y" * 3000,
    "quality_not_a_number": b"high,text",
    "quality_not_finite": b"NaN,text",
}


@pytest.mark.parametrize("reason", BAD_ROWS)
def test_a_bad_row_is_refused_with_number_and_offset_and_the_rest_kept(tmp_path: Path, reason: str) -> None:
    bad = BAD_ROWS[reason]
    if not reason.startswith("quality"):
        bad = bad.replace(b"x,", b"1,")
    (tmp_path / "a.csv").write_bytes(b"q,text\n1,kept\n" + bad + b"\n2,kept too\n")
    documents, held_back = read_folder(tmp_path, limits=Limits(record=2000), quality_field="q")
    assert texts(documents) == {"a.csv#row=2": "kept", "a.csv#row=4": "kept too"}
    assert reasons(held_back) == [("a.csv#row=3", reason)]
    assert held_back["offset"].to_pylist() == ([14] if reason != "empty_text" else [None])
    assert not any("yyy" in detail for detail in held_back["detail"].to_pylist())


@pytest.mark.parametrize(
    "end", [b"2,cut o", b'2,"cut', b'2,"cut ""', b'2,"two\nlines', b'2,"two\n', b"2"], ids=range(6)
)
def test_a_file_cut_off_in_its_last_row_is_held_back_whole(tmp_path: Path, end: bytes) -> None:
    whole = b"q,text\n1,kept\n"
    (tmp_path / "a.csv").write_bytes(whole + end)
    (tmp_path / "b.csv").write_bytes(whole)
    documents, held_back = read_folder(tmp_path)
    assert texts(documents) == {"b.csv#row=2": "kept"}
    assert reasons(held_back) == [("a.csv", "truncated")]
    assert held_back["offset"].to_pylist() == [len(whole)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_file"),
        (b"text\n", "empty_file"),
        (b"\n\n", "empty_file"),
        (b"body\nx\n", "missing_column"),
        (b"text,text\nx,y\n", "duplicate_column"),
        (b'"te"xt\nx\n', "invalid_header"),
    ],
)
def test_a_file_without_usable_header_or_rows_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    documents, held_back = read_folder(tmp_path)
    assert documents.num_rows == 0
    assert reasons(held_back) == [("a.csv", reason)]


def test_duplicate_ids_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text\na,one\na,one\na,two\n../../etc/passwd,three\n")
    documents, held_back = read_folder(tmp_path, id_field="id")
    assert texts(documents) == {
        "a.csv#id=../../etc/passwd": "three", "a.csv#id=a": "one", "a.csv#id=a;2": "two"
    }  # fmt: skip
    assert [reason for _, reason in reasons(held_back)] == ["duplicate_id_same_content", "duplicate_id_conflict"]


def test_a_file_of_bad_rows_alone_is_no_such_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,text\n" + b"x\n" * 101)
    (tmp_path / "b.jsonl").write_bytes(b"x\n" * 101)
    documents, held_back = read_folder(tmp_path, limits=Limits(bad_records=100))
    assert documents.num_rows == 0
    assert reasons(held_back) == [("a.csv", "too_many_bad_records"), ("b.jsonl", "too_many_bad_records")]
