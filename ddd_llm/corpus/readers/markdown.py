"""Markdown: one file, one document. Belongs here: its title. The text stays as written; markup in it is data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from ddd_llm.corpus.readers.encoding import decode_utf8, whole
from ddd_llm.corpus.readers.items import Item, Limits

_FRONT = re.compile(r"\A---[ \t]*\r?\n(?P<body>.*?)\r?\n(?:---|\.\.\.)[ \t]*\r?(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:[ \t]*(?P<quote>[\"']?)(?P<title>.+?)(?P=quote)[ \t]*\r?$", re.MULTILINE)
_HEADING = re.compile(r"^ {0,3}#[ \t]+(?P<title>.+?)[ \t]*#*[ \t]*\r?$", re.MULTILINE)
_FENCED = re.compile(r"^ {0,3}(?P<fence>```+|~~~+).*?^ {0,3}(?P=fence)", re.MULTILINE | re.DOTALL)


def read(name: str, blocks: Iterable[bytes], limits: Limits) -> Iterator[Item]:
    """The document; its title is the front matter's, else the first top heading outside code, else the file's name.

    Raises:
        FileFault: `document_too_large`, `invalid_utf8`, `truncated`.
    """
    text = decode_utf8(whole(blocks, limits.record))
    yield Item(name, _title(text) or PurePosixPath(name).name, text, "text/markdown")


def _title(text: str) -> str | None:
    if (front := _FRONT.match(text)) and (title := _FRONT_TITLE.search(front["body"])):
        return title["title"]
    heading = _HEADING.search(_FENCED.sub("", text[front.end() :] if front else text))
    return heading["title"] if heading else None
