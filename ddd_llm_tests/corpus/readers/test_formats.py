"""What each format's text and title are."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddd_llm.corpus.readers import html
from ddd_llm.corpus.readers.encoding import Text
from ddd_llm.corpus.readers.items import DEFAULT_LIMITS, FileFault
from ddd_llm_tests.corpus.helpers import read_folder, reasons


def page(markup: str | bytes) -> tuple[str, str]:
    data = markup if isinstance(markup, bytes) else markup.encode()
    (item,) = html.read("a.html", Text([data]), DEFAULT_LIMITS, "all")
    return item.title, item.text


def test_html_gives_its_title_and_its_visible_text() -> None:
    title, text = page(
        "<html><head><title>Two &amp;\n more</title><style>p{}</style></head><body>lead<p>one <b>two</b>\n three</p>tail<br>next"
        "<!-- hidden --><script>alert(1)</script><ul><li>a<li>b</ul><pre>x\n  y</pre><template>no</template>"
        "<svg><text>no</text></svg></body></html>"
    )
    assert title == "Two & more"
    assert text == "lead\none two three\ntail\nnext\na\nb\nx\n  y"


@pytest.mark.parametrize("markup", ["plain words", "<p>plain <i>words</i>", "<div><div>plain</div> words</div>"])
def test_broken_html_still_gives_text(markup: str) -> None:
    title, text = page(markup)
    assert title == "a.html"
    assert text.split() == ["plain", "words"]


def test_html_in_a_declared_encoding_is_decoded() -> None:
    markup = '<meta charset="windows-1252"><title>caf\u00e9</title><p>na\u00efve \u20ac'
    assert page(markup.encode("windows-1252")) == ("caf\u00e9", "na\u00efve \u20ac")


@pytest.mark.parametrize("declared", ["nonsense", "rot13", "utf-8", "hex", "utf-7", "unicode_escape"])
def test_html_in_no_known_encoding_is_refused(declared: str) -> None:
    with pytest.raises(FileFault, match="invalid_encoding"):
        page(f'<meta charset="{declared}"><p>'.encode() + b"\xe9t\xe9")
    with pytest.raises(FileFault, match="encoding_unknown"):
        page(b"<p>\xe9t\xe9")


def test_html_nested_without_end_is_refused_and_long_lists_are_not() -> None:
    with pytest.raises(FileFault, match="too_deep"):
        page("<div>" * 100_000)
    _, text = page("<ul>" + "<li>a" * 20_000)
    assert text.count("a") == 20_000


@pytest.mark.parametrize(
    ("markdown", "title"),
    [
        ("---\ntitle: 'From the front'\ntags: [a]\n---\n# Heading\n", "From the front"),
        ("```\n# not this\n```\n\n# The heading #\ntext", "The heading"),
        ("no heading", "a.md"),
        ("---\nauthor: me\n---\n# Below\n", "Below"),
    ],
)
def test_markdown_takes_its_title_from_front_matter_heading_or_name(tmp_path: Path, markdown: str, title: str) -> None:
    (tmp_path / "a.md").write_text(markdown)
    documents, _ = read_folder(tmp_path)
    assert documents["title"].to_pylist() == [title]
    assert documents["text"].to_pylist() == [markdown.strip()]
    assert documents["media_type"].to_pylist() == ["text/markdown"]


def test_parquet_reads_named_columns_and_refuses_odd_cells(tmp_path: Path) -> None:
    table = pa.table({"body": ["one", None, "three"], "n": [1, 2, 3], "name": ["A", "B", None]})
    pq.write_table(table, tmp_path / "a.parquet")
    pq.write_table(pa.table({"other": [1]}), tmp_path / "b.parquet")
    pq.write_table(table.slice(0, 0), tmp_path / "c.parquet")
    pq.write_table(pa.table({"body": [1], "n": [1], "name": ["x"]}), tmp_path / "d.parquet")
    pq.write_table(pa.table({"body": [["x"]], "n": [1], "name": ["x"]}), tmp_path / "e.parquet")
    documents, held_back = read_folder(tmp_path, text_field="body", id_field="n", title_field="name")
    assert documents["locator"].to_pylist() == ["a.parquet#id=1", "a.parquet#id=3"]
    assert documents["title"].to_pylist() == ["A", "a.parquet#id=3"]
    assert reasons(held_back) == [
        ("a.parquet#row=1", "missing_text"),
        ("b.parquet", "missing_column"),
        ("c.parquet", "empty_file"),
        ("d.parquet#row=0", "text_not_a_string"),
        ("e.parquet#row=0", "text_not_a_string"),
    ]


def test_parquet_cells_that_are_no_utf8_are_refused(tmp_path: Path) -> None:
    raw = pa.array([b"good", b"\xff\xfe"])
    text = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    pq.write_table(pa.table({"text": text}), tmp_path / "a.parquet")
    documents, held_back = read_folder(tmp_path)
    assert documents["text"].to_pylist() == ["good"]
    assert reasons(held_back) == [("a.parquet#row=1", "invalid_utf8")]


BOILERPLATE = (
    "<html><head><title>The title</title><meta property='article:published_time' content='2024-03-05T10:00:00Z'></head>"
    "<body><nav><ul>" + "".join(f"<li><a href='/{n}'>Menu entry {n}</a></li>" for n in range(20)) + "</ul></nav><main><article>"
    "<h1>Heading</h1>" + "".join(f"<p>Sentence number {n} says something of its own about subject {n * 7}.</p>" for n in range(9))
    + "</article></main><footer>Copyright, cookies, imprint</footer></body></html>"
)  # fmt: skip


def test_html_main_text_leaves_boilerplate_out_and_all_text_does_not(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(BOILERPLATE)
    main, _ = read_folder(tmp_path)
    everything, _ = read_folder(tmp_path, html="all")
    (text,), (whole,) = main["text"].to_pylist(), everything["text"].to_pylist()
    assert all(f"Sentence number {n} " in text for n in range(9))
    assert "Menu entry" not in text and "cookies" not in text
    assert "Menu entry 3" in whole and "cookies" in whole
    assert main["title"].to_pylist() == everything["title"].to_pylist() == ["The title"]
    assert main["date"].to_pylist() == everything["date"].to_pylist() == ["2024-03-05"]


@pytest.mark.parametrize(
    "markup",
    [
        "<ul><li>Only a list",
        "<div>" * 1000 + "deep words" + "</div>" * 1000,
        "<p>" + "long words " * 200_000,
        "",
        "<!-- nothing -->",
        "<![CDATA[x]]><p>y",
        "<!DOCTYPE html [<!ENTITY a 'b'>]><p>entity &a;</p>",
        "<?xml version='1.0' encoding='utf-16'?><html><body><p>declared wrongly</p></body></html>",
        "<p>\x0b\x1b[31m control</p>",
    ],
)
def test_pages_without_main_text_give_their_visible_text(tmp_path: Path, markup: str) -> None:
    (tmp_path / "a.html").write_text(markup)
    main, held_back = read_folder(tmp_path)
    everything, _ = read_folder(tmp_path, html="all")
    assert main.num_rows == everything.num_rows
    assert main.num_rows + held_back.num_rows == 1
    for text, whole in zip(main["text"].to_pylist(), everything["text"].to_pylist(), strict=True):
        assert text.split() == whole.split()


@pytest.mark.parametrize(
    ("said", "date"),
    [
        ("2024-03-05", "2024-03-05"),
        ("'2024-03-05T23:30:00+02:00' # comment", "2024-03-05"),
        ("2024-02-30", None),
        ("yesterday", None),
        ("5 March 2024", None),
    ],
)
def test_markdown_takes_its_date_from_front_matter(tmp_path: Path, said: str, date: str | None) -> None:
    (tmp_path / "a.md").write_text(f"---\ndate: {said}\n---\ntext\n")
    documents, _ = read_folder(tmp_path)
    assert documents["date"].to_pylist() == [date]


def test_jsonl_and_parquet_carry_date_and_quality(tmp_path: Path) -> None:
    import datetime

    lines = ['{"text": "a", "d": "20240305", "q": 1}', '{"text": "b", "d": 7, "q": null}', '{"text": "c", "q": "high"}',
             '{"text": "d", "q": true}', '{"text": "e", "q": 1e400}', '{"text": "f"}']  # fmt: skip
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    rows = {"text": ["a", "b"], "d": [datetime.datetime(2024, 3, 5, 23), None], "q": [0.5, float("inf")]}
    pq.write_table(pa.table(rows), tmp_path / "b.parquet")
    documents, held_back = read_folder(tmp_path, date_field="d", quality_field="q")
    found = zip(*(documents[name].to_pylist() for name in ("locator", "date", "quality")), strict=True)
    assert list(found) == [
        ("a.jsonl#line=1", "2024-03-05", 1.0), ("a.jsonl#line=2", None, None), ("a.jsonl#line=6", None, None),
        ("b.parquet#row=0", "2024-03-05", 0.5),
    ]  # fmt: skip
    assert [reason for _, reason in reasons(held_back)] == [
        "quality_not_a_number", "quality_not_a_number", "not_finite", "quality_not_finite"
    ]  # fmt: skip
