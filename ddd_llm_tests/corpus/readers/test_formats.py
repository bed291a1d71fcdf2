"""What each format's text and title are."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddd_llm.corpus.readers import html
from ddd_llm.corpus.readers.items import DEFAULT_LIMITS, FileFault
from ddd_llm_tests.corpus.helpers import read_folder, reasons


def page(markup: str | bytes) -> tuple[str, str]:
    data = markup if isinstance(markup, bytes) else markup.encode()
    (item,) = html.read("a.html", [data], DEFAULT_LIMITS)
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


@pytest.mark.parametrize("declared", ["nonsense", "rot13", "utf-8", "hex"])
def test_html_in_no_known_encoding_is_refused(declared: str) -> None:
    with pytest.raises(FileFault, match="invalid_encoding"):
        page(f'<meta charset="{declared}"><p>'.encode() + b"\xe9t\xe9")
    with pytest.raises(FileFault, match="invalid_utf8"):
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
