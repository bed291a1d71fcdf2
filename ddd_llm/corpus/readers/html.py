"""HTML: one file, one document: its main or its visible text, its title and date.

Belongs here: which elements are text and which begin a new line. Does not belong here: judging what was found
(a matter of quality filters). Scripts, styles and templates are dropped; nothing is executed or fetched.

The main text is what trafilatura (Barbaresi, ACL 2021) finds: no menus, footers and cookie banners. Where it finds
nothing, or the page is too large or nested too deep for it, the visible text stands in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from ddd_llm.corpus.readers.encoding import Text
from ddd_llm.corpus.readers.items import FileFault, Item, Limits
from ddd_llm.corpus.readers.records import iso_date

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
_SPEAKS_OF_A_DATE = re.compile(r"<time\b|(?:date|publish|modified|created|issued)[^<>]{0,100}\d{4}", re.IGNORECASE)
_MAIN_DEPTH = 200  # libxml2 gives up at 256
# The page's own date and none beyond it: a moving bound would make the same page read differently next year.
_DATES = {"extensive_search": False, "original_date": True, "max_date": "2199-12-31"}

Extraction = Literal["main", "all"]


def read(name: str, source: Text, limits: Limits, extraction: Extraction = "main") -> Iterator[Item]:
    """The document; its title is the page's, else the file's name.

    Args:
        extraction: `main` leaves boilerplate out, `all` takes all visible text.

    Raises:
        FileFault: those of `Text.whole` and `Text.decode`; `too_deep`.
    """
    from selectolax.lexbor import LexborHTMLParser

    data = source.whole(limits.record)
    declared = _CHARSET.search(data[:1024])
    markup = source.decode(data, declared[1].decode("ascii") if declared else None)
    depth = _check_nesting(markup, limits.html_depth)
    tree = LexborHTMLParser(markup)
    heading = tree.css_first("head > title")
    title = _SPACES.sub(" ", heading.text()).strip() if heading else ""
    small = len(markup) <= limits.main_text and depth <= _MAIN_DEPTH
    # Looking for a date costs thirty times what the visible text does, so only where something speaks of one.
    wanted = extraction == "main" or _SPEAKS_OF_A_DATE.search(markup) is not None
    found = _extracted(markup, extraction) if small and wanted else None
    text, day = (found.text, iso_date(found.date)) if found is not None else (None, None)
    if extraction == "all" or not (text or "").strip():
        text = _text(tree.body) if tree.body else ""
    yield Item(name, title or PurePosixPath(name).name, text or "", "text/html", day)


def _extracted(markup: str, extraction: Extraction) -> Any:
    """trafilatura's document (`text`, `date`), None where it makes nothing of the page."""
    import logging

    import trafilatura

    for logger in ("trafilatura", "htmldate"):  # they quote pages
        logging.getLogger(logger).setLevel(logging.CRITICAL + 1)
    try:
        if extraction == "main":
            return trafilatura.bare_extraction(
                markup, with_metadata=True, include_comments=False, date_extraction_params=_DATES
            )
        return trafilatura.extract_metadata(markup, date_config=_DATES)
    except (RecursionError, ValueError, TypeError, AttributeError, IndexError, KeyError, AssertionError):
        return None  # markup that the library was not made for; the visible text stands in


def _check_nesting(markup: str, limit: int) -> int:
    """The deepest nesting. Refuses pages nested so deep that building the tree, quadratic in depth, would take minutes."""
    level = deepest = 0
    for match in _TAG.finditer(markup):
        level += -1 if match[1] else 1
        if level > limit:
            raise FileFault("too_deep", f"elements nested deeper than {limit} levels, or that many left open")
        deepest = max(deepest, level)
    return deepest


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
