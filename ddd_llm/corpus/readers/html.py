"""HTML: one file, one document, its visible text and its title.

Belongs here: which elements are text and which begin a new line. Does not belong here: cleaning of boilerplate
(a matter of quality filters). Scripts, styles and templates are dropped; nothing is executed or fetched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ddd_llm.corpus.readers.encoding import decode_utf8, whole
from ddd_llm.corpus.readers.items import FileFault, Item, Limits

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_SKIPPED = frozenset(["script", "style", "noscript", "template", "head", "svg", "math", "iframe", "object", "-comment"])
_BLOCKS = frozenset(
    re.findall(
        r"\w+",
        """
        address article aside blockquote body br caption center dd details dialog div dl dt fieldset figcaption figure
        footer form h1 h2 h3 h4 h5 h6 header hgroup hr li main menu nav ol option p pre section select summary table
        tbody td tfoot th thead tr ul
        """,
    )
)
# Elements that may stay open in good HTML, or hold nothing, say nothing about nesting.
_UNCLOSED = (
    "p|li|dt|dd|td|th|tr|thead|tbody|tfoot|option|optgroup|colgroup|rp|rt|html|head|body|"
    "area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr"
)
_TAG = re.compile(rf"<(/?)(?!(?:{_UNCLOSED})\b)[a-z]", re.IGNORECASE)
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\n\r\f]+")


def read(name: str, blocks: Iterable[bytes], limits: Limits) -> Iterator[Item]:
    """The document; its title is the page's, else the file's name.

    Raises:
        FileFault: `document_too_large`, `invalid_utf8` (neither UTF-8 nor what the page declares), `truncated`,
            `too_deep`.
    """
    from selectolax.lexbor import LexborHTMLParser

    markup = _decode(whole(blocks, limits.record))
    _check_nesting(markup, limits.html_depth)
    tree = LexborHTMLParser(markup)
    heading = tree.css_first("head > title")
    title = _SPACES.sub(" ", heading.text()).strip() if heading else ""
    text = _text(tree.body) if tree.body else ""
    yield Item(name, title or PurePosixPath(name).name, text, "text/html")


def _decode(data: bytes) -> str:
    declared = _CHARSET.search(data[:1024])
    try:
        return decode_utf8(data)
    except FileFault:
        if declared is None:
            raise
        try:
            return data.decode(declared[1].decode("ascii"))
        except (LookupError, UnicodeError):
            detail = "the page is neither UTF-8 nor in the encoding that it declares"
            raise FileFault("invalid_encoding", detail, 0) from None


def _check_nesting(markup: str, limit: int) -> None:
    """Refuse pages nested so deep that building the tree, quadratic in depth, would take minutes."""
    level = 0
    for match in _TAG.finditer(markup):
        level += -1 if match[1] else 1
        if level > limit:
            raise FileFault("too_deep", f"elements nested deeper than {limit} levels, or that many left open")


def _text(body: LexborNode) -> str:
    """Text of the tree in document order: one line per block, white space as a browser shows it (kept in `pre`)."""
    lines = [""]
    kept = 0  # how many `pre` are open
    open_nodes: list[tuple[LexborNode, str]] = []
    node: LexborNode | None = body
    while node is not None or open_nodes:
        if node is None:  # past the last child: close the parent and go on behind it
            node, tag = open_nodes.pop()
            kept -= tag == "pre"
            if tag in _BLOCKS:
                _break(lines)
            node = node.next if open_nodes else None
            continue
        tag = node.tag or ""
        if tag == "-text":
            _add(lines, node.text_content or "", as_is=kept > 0)
        elif tag not in _SKIPPED:
            kept += tag == "pre"
            if tag in _BLOCKS:
                _break(lines)
            open_nodes.append((node, tag))
            node = node.first_child
            continue
        node = node.next
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def _add(lines: list[str], text: str, as_is: bool) -> None:
    if as_is:
        first, *more = text.split("\n")
        lines[-1] += first
        lines.extend(more)
        return
    text = _SPACES.sub(" ", text)
    lines[-1] += text.removeprefix(" ") if not lines[-1] or lines[-1].endswith(" ") else text


def _break(lines: list[str]) -> None:
    if lines[-1].strip():
        lines.append("")
    else:
        lines[-1] = ""
