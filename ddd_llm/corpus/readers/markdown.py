"""Markdown: one file, one document. Belongs here: its title and date. The text stays as written; markup in it is data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from ddd_llm.corpus.readers.encoding import Text
from ddd_llm.corpus.readers.items import Item, Limits
from ddd_llm.corpus.readers.records import iso_date

_FRONT = re.compile(r"\A---[ \t]*\r?\n(?P<body>.*?)\r?\n(?:---|\.\.\.)[ \t]*\r?(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:[ \t]*(?P<quote>[\"']?)(?P<title>.+?)(?P=quote)[ \t]*\r?$", re.MULTILINE)
_FRONT_DATE = re.compile(
    r"^date:[ \t]*(?P<quote>[\"']?)(?P<date>[^\"'\r\n#]{8,40}?)(?P=quote)[ \t]*(?:#.*)?\r?$", re.MULTILINE
)
_HEADING = re.compile(r"^ {0,3}#[ \t]+(?P<title>.+?)[ \t]*#*[ \t]*\r?$", re.MULTILINE)
_FENCED = re.compile(r"^ {0,3}(?P<fence>```+|~~~+).*?^ {0,3}(?P=fence)", re.MULTILINE | re.DOTALL)


def read(name: str, source: Text, limits: Limits) -> Iterator[Item]:
    """The document; its title is the front matter's, else the first top heading outside code, else the file's name.

    Its date is the front matter's `date`.

    Raises:
        FileFault: those of `Text.whole` and `Text.decode`.
    """
    text = source.decode(source.whole(limits.record))
    front = _FRONT.match(text)
    told = _FRONT_DATE.search(front["body"]) if front else None
    day = iso_date(told["date"]) if told else None
    yield Item(name, _title(text, front) or PurePosixPath(name).name, text, "text/markdown", day)


def _title(text: str, front: re.Match[str] | None) -> str | None:
    if front and (title := _FRONT_TITLE.search(front["body"])):
        return title["title"]
    heading = _HEADING.search(_FENCED.sub("", text[front.end() :] if front else text))
    return heading["title"] if heading else None
