"""Legacy character sets come in right or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.corpus.readers import charset
from ddd_llm_tests.corpus.helpers import read_folder, reasons, texts

JAPANESE = (
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"
    "何でも薄暗いじめじめした所でニャーニャー泣いていた事だけは記憶している。"
)
SAMPLES = {
    "latin-1": "Le général a déclaré que la forêt était située près de l'hôtel, où les élèves étudiaient à côté.",
    "cp1252": "Die Größe der Häuser überrascht – viele Gäste „staunen“. Über die Straße läuft ein Mädchen, das Äpfel trägt.",
    "koi8_r": "Общество с ограниченной ответственностью заключило договор аренды помещения сроком на один год.",
    "cp1251": "Общество с ограниченной ответственностью заключило договор аренды помещения сроком на один год.",
    "shift_jis": JAPANESE,
    "euc_jp": JAPANESE,
    "gb18030": "这个函数返回沿指定轴的数组元素的平均值。如果没有指定轴，则计算整个数组的平均值，结果为浮点数。",
    "euc_kr": "이 함수는 주어진 축을 따라 배열의 평균을 반환합니다. 축이 지정되지 않으면 전체 배열의 평균을 계산합니다.",
}


@pytest.mark.parametrize("name", SAMPLES)
def test_text_in_a_legacy_charset_comes_in_right_and_is_told(tmp_path: Path, name: str) -> None:
    text = SAMPLES[name]
    (tmp_path / "a.txt").write_bytes(text.encode(name))
    (tmp_path / "b.md").write_bytes(f"# Title\n\n{text}".encode(name))
    (tmp_path / "c.csv").write_bytes(f'id,text\n1,"{text}"\n'.encode(name))
    (tmp_path / "d.jsonl").write_bytes((json.dumps({"text": text}, ensure_ascii=False) + "\n").encode(name))
    (tmp_path / "e.html").write_bytes(f"<html><body><p>{text}</p></body></html>".encode(name))
    documents, held_back = read_folder(tmp_path, html="all")
    assert texts(documents) == {
        "a.txt": text, "b.md": f"# Title\n\n{text}", "c.csv#row=2": text, "d.jsonl#line=1": text, "e.html": text
    }  # fmt: skip
    assert [reason for _, reason in reasons(held_back)] == ["charset_detected"] * 5


@settings(max_examples=40)
@given(st.sampled_from(sorted(SAMPLES)), st.integers(0, 60), st.integers(1, 60))
def test_a_detected_charset_never_gives_other_text(name: str, start: int, length: int) -> None:
    text = SAMPLES[name][start : start + length]
    found = charset.detect(text.encode(name))
    assert found is None or text.encode(name).decode(found) == text


MIXED = "The board met on Monday to discuss the annual report and the plans for next year. Привет means hello, Россия a land. "


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (MIXED.encode("cp1251"), "encoding_unknown"),
        (MIXED.encode("koi8_r"), "encoding_unknown"),
        (b"latin caf\xe9", "truncated"),
        (b"latin caf\xe9 and little else", "encoding_unknown"),
        ("größe, straße, mädchen, über: ".encode() * 20 + b"\xff\xfe", "invalid_utf8"),
        (bytes(range(128, 256)) * 20, "encoding_unknown"),
        (SAMPLES["koi8_r"].encode("koi8_r") + b"\x00", "encoding_unknown"),
    ],
)
def test_what_stays_uncertain_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    documents, held_back = read_folder(tmp_path)
    assert documents.num_rows == 0
    assert reasons(held_back) == [("a.txt", reason)]


def test_a_page_that_declares_another_charset_than_it_has_is_refused(tmp_path: Path) -> None:
    page = f'<meta charset="windows-1252"><title>T</title><p>{SAMPLES["koi8_r"]}</p>'
    (tmp_path / "a.html").write_bytes(page.encode("koi8_r"))
    (tmp_path / "b.html").write_bytes(page.replace("windows-1252", "koi8-r").encode("koi8_r"))
    (tmp_path / "c.html").write_bytes(page.encode())  # UTF-8 is UTF-8 whatever it declares
    documents, held_back = read_folder(tmp_path, html="all")
    assert texts(documents) == {"b.html": SAMPLES["koi8_r"], "c.html": SAMPLES["koi8_r"]}
    assert reasons(held_back) == [("a.html", "encoding_unknown"), ("b.html", "charset_detected")]


def test_one_damaged_record_does_not_make_a_utf8_file_another_charset(tmp_path: Path) -> None:
    lines = [json.dumps({"text": SAMPLES["koi8_r"]}, ensure_ascii=False).encode()] * 3 + [b'{"text": "\xe9t\xe9"}']
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    documents, held_back = read_folder(tmp_path)
    assert set(documents["text"].to_pylist()) == {SAMPLES["koi8_r"]}
    assert reasons(held_back) == [("a.jsonl#line=4", "invalid_utf8")]


def test_a_stream_that_changes_its_charset_is_withdrawn(tmp_path: Path) -> None:
    head = (f'"{SAMPLES["shift_jis"]}"\n' * 4000).encode("shift_jis")
    (tmp_path / "a.csv").write_bytes(b"text\n" + head + b'"\xff\xff"\n')
    documents, held_back = read_folder(tmp_path)
    assert documents.num_rows == 0
    assert reasons(held_back) == [("a.csv", "invalid_encoding")]
    assert held_back["offset"].to_pylist() == [5 + len(head) + 1]
