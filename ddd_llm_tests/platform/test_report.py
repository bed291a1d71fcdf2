"""Report pages: hostile text stays text, nothing is fetched or run, and the bytes are the same every time."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.platform.report import CONTENT_SECURITY_POLICY, KeyFigure, Page, Sample, safe_link, visible

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><script>1</script>",
    "</title><b>x",
    "javascript:alert(1)",
    "{{ 7*7 }} {title} %s",
    "\x1b[31mred\x1b[0m \x00 \x9b2J",
    "abc\u202egnp.exe \u2066x\u2069 \u200f",
    "\ud800 lone",
    "&lt;b&gt; &amp;",
]
TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "h1", "h2", "p", "dl", "div", "dt", "dd", "strong",
    "ul", "li", "table", "caption", "thead", "tbody", "tr", "th", "td", "figure", "img", "figcaption", "details", "summary",
    "pre", "a", "footer",
}  # fmt: skip


class _Reader(HTMLParser):
    """What a browser would see: tags, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _everywhere(text: str) -> str:
    page = Page(text, text, text)
    page.heading(text).paragraph(text).key_figures([KeyFigure(text, text, text)])
    page.callout(text, [text], passed=True).callout(text, passed=False).callout(text)
    page.table([text, "n"], [[text, 1], [None, True]], caption=text)
    page.figure(b"\x89PNG", text, text).figure(b"<svg/>", text, media_type="image/svg+xml")
    page.samples([Sample(text, {text: text})]).links([(text, text), (text, "reports/a.html")])
    return page.html()


def _check(text: str) -> _Reader:
    read = _Reader(_everywhere(text))
    assert {tag for tag, _ in read.tags} <= TAGS
    assert sum(tag in ("style", "title", "h1") for tag, _ in read.tags) == 3
    for _, attributes in read.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert (attributes.get("src") or "data:image/").startswith("data:image/")
        assert attributes.get("href") is None or safe_link(attributes["href"] or "")
    return read


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text: str) -> None:
    read = _check(text)
    assert visible(text) in "".join(read.text)
    raw = _everywhere(text).encode("utf-8").decode("utf-8")
    assert not any(c in raw for c in "\x1b\x00\x9b\u202e\u2066\u200f")


@given(st.text(max_size=60))
@settings(max_examples=80)
def test_any_text_stays_text(text: str) -> None:
    _check(text)
    _everywhere(text).encode("utf-8")


def test_what_hides_is_made_visible_and_what_scripts_need_stays() -> None:
    assert visible("a\x1b[0m\u202eb\ud800\U000e0041") == "a[U+001B][0m[U+202E]b\ufffd[U+E0041]"
    for kept in ("a\n\tb", "café שלום 日本", "می\u200cخواهم", "👩\u200d👧", "1\u00a0000"):
        assert visible(kept) == kept


@pytest.mark.parametrize(
    ("href", "safe"),
    [
        ("https://example.org/a?b=1", True),
        ("http://127.0.0.1:3000/runs", True),
        ("../other/index.html", True),
        ("#part", True),
        ("javascript:alert(1)", False),
        ("JaVaScRiPt:alert(1)", False),
        (" javascript:alert(1)", False),
        ("java\tscript:alert(1)", False),
        ("\x01javascript:alert(1)", False),
        ("data:text/html,<script>", False),
        ("vbscript:x", False),
        ("file:///etc/passwd", False),
        ("//evil.example/x", False),
        ("/\\evil.example", False),
        ("http://[broken", False),
        ("", False),
    ],
)
def test_only_links_that_run_nothing_are_links(href: str, safe: bool) -> None:
    assert safe_link(href) is safe
    html = Page("t").links([("label", href)]).html()
    assert ("<a " in html) is safe


def test_page_fetches_and_runs_nothing() -> None:
    html = _everywhere("plain")
    assert f'content="{CONTENT_SECURITY_POLICY}"'.replace("'", "&#39;") in html
    assert "<script" not in html
    assert "@import" not in html
    assert "url(" not in html


def test_same_calls_same_bytes() -> None:
    assert _everywhere("x").encode() == _everywhere("x").encode()
    assert Page("a").encode().startswith(b"<!DOCTYPE html>")


def test_cells_are_set_by_what_they_hold() -> None:
    html = (
        Page("t").table(["name", "n", "share"], [["a", 1234567, 0.25], ["b", 2, float("nan")], ["c", None, 1.0]]).html()
    )
    assert '<td class="number">1,234,567</td><td class="number">0.250</td>' in html
    assert '<td>b</td><td class="number">2</td><td class="number">—</td>' in html


def test_wrong_use_is_an_error() -> None:
    with pytest.raises(ValueError, match="needs 2 cells"):
        Page("t").table(["a", "b"], [[1]])
    with pytest.raises(ValueError, match="image/png"):
        Page("t").figure(b"", "x", media_type="text/html")
