"""Addresses of documents, and lists of those that opted out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.corpus.readers.locators import escape
from ddd_llm.corpus.rights.addresses import Address, OptOutList, address, addresses_of


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://Example.ORG", "example.org", "/"),
        ("http://example.org:80/a", "example.org", "/a"),
        ("https://example.org:8443/a?b=c#d", "example.org:8443", "/a?b=c"),
        ("https://user:secret@example.org./a", "example.org", "/a"),
        ("https://bücher.example/ü", "xn--bcher-kva.example", "/%C3%BC"),
        ("https://xn--bcher-kva.example/%c3%bc", "xn--bcher-kva.example", "/%C3%BC"),
        ("https://example.org/public/../private/./x", "example.org", "/private/x"),
        ("https://example.org/public/%2e%2e/private/", "example.org", "/private/"),
        ("https://example.org/a/..", "example.org", "/"),
        ("https://example.org\\private\\x", "example.org", "/private/x"),
        ("HTTPS://example.org/%7ejoe", "example.org", "/~joe"),
        ("https://[::1]/a", "::1", "/a"),
    ],
)
def test_one_spelling(url: str, host: str, path: str) -> None:
    assert address(url) == Address(host, path)


@pytest.mark.parametrize(
    "url",
    ["", "notes/a.md", "ftp://example.org/a", "https://", "https:///a", "https://a b/", "http://[", "https://x:99999/"],
)
def test_what_is_no_web_address(url: str) -> None:
    assert address(url) is None


@pytest.mark.parametrize(
    ("locator", "prefix", "expected"),
    [
        ("https://example.org/a", None, ["/a"]),
        ("pages.jsonl#id=https://example.org/a%2520b", None, ["/a%20b"]),
        ("pages.jsonl#id=https://example.org/a;2", None, ["/a"]),
        ("pages.jsonl#line=3", None, []),
        ("notes/a.md", None, []),
        ("notes/a b.html", "https://example.org/docs", ["/docs/notes/a%20b.html"]),
        ("notes/a.html#line=3", "https://example.org/docs/", ["/docs/notes/a.html"]),
        ("a%2520b.html", "https://example.org/", ["/a%20b.html"]),
        ("a%23b.html", "https://example.org/", ["/a%23b.html"]),
        ("docs/index.html", "https://example.org/", ["/docs/index.html", "/docs/"]),
        ("page?id=1", "https://example.org/", ["/page?id=1"]),
        ("3", "https://example.org/page?id=", ["/page?id=3"]),
        ("https://example.org/own", "https://elsewhere.org/", ["/own"]),
    ],
)
def test_the_address_of_a_document(locator: str, prefix: str | None, expected: list[str]) -> None:
    found = addresses_of(locator, prefix)
    assert found is not None
    assert [one.path for one in found] == expected
    assert all(one.host == "example.org" for one in found)


def test_an_address_that_cannot_be_compared_is_told_from_none() -> None:
    assert addresses_of("https://a b/x", None) is None
    assert addresses_of("pages.jsonl#id=https://%zz/x", None) is None


LIST = """\ufeff# a comment
example.org   # and all below it
*.example.net
BÜCHER.example

https://news.example.com/members/
http://shop.example.com
"""


@pytest.mark.parametrize(
    ("url", "listed"),
    [
        ("https://example.org/a", True),
        ("https://WWW.Example.org:8080/a", True),
        ("https://notexample.org/a", False),
        ("https://example.org.evil.com/", False),
        ("https://example.net/", True),
        ("https://xn--bcher-kva.example/x", True),
        ("http://news.example.com/members/a", True),
        ("http://news.example.com/%6Dembers/a", True),
        ("http://news.example.com/x/../members/a", True),
        ("https://news.example.com/", False),
        ("https://shop.example.com/any", True),
        ("https://a.shop.example.com/any", False),
    ],
)
def test_an_opt_out_list(url: str, listed: bool) -> None:
    one = address(url)
    assert one is not None
    assert OptOutList(LIST).names(one) is listed


@pytest.mark.parametrize("line", ["localhost", "example org", "ftp://example.org/", "/members/", "https://", "a..b"])
def test_a_line_that_is_neither_domain_nor_address_is_refused_by_number(line: str) -> None:
    with pytest.raises(ValueError, match="line 2"):
        OptOutList(f"example.org\n{line}\n")


@given(st.text(min_size=1, max_size=12).filter(lambda text: "\0" not in text and text.isprintable()))
def test_a_record_named_by_its_address_keeps_it_through_the_locator(tail: str) -> None:
    url = f"https://example.org/{tail}"
    expected = address(url)
    found = addresses_of(f"pages.jsonl#id={escape(url)}", None)
    assert expected is not None and found is not None
    assert found[0] == expected
