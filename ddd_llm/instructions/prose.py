"""Sentences and markup of docstring prose.

Here belongs turning a docstring's wrapped, marked-up text into one clean sentence. Here does not belong knowledge of
sections or of tasks.
"""

import re

_ROLE = re.compile(r":(?:[\w+-]+:){0,2}[\w+-]+:`(?P<body>[^`]*)`")
_ROLE_TARGET = re.compile(r"^(?P<text>.*?)\s*<[^<>]*>$", re.DOTALL)
_DOUBLE_TICKS = re.compile(r"``([^`]*)``")
_HYPERLINK = re.compile(r"`([^`<]*?)\s*<[^<>`]*>`__?")
_MARKDOWN_LINK = re.compile(r"\[([^\[\]]*)\]\([^()\s]*\)")
_CROSS_REFERENCE = re.compile(r"\[`([^\[\]`]*)`\](?!\()")
_FOOTNOTE = re.compile(r"\s*\[(?:\d+|[A-Z]\w*\d+)\]_")
_BOUNDARY = re.compile(r"(?<=[.!?])[\"')\]`]*\s+(?=[\"'(\[`*_]*[A-Z0-9`])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|resp|approx|ca|al|w\.r\.t|fig|eq|eqs|sec|no|nos|vol|pp|p|ref|refs|chap|dim|incl|excl|"
    r"[A-Z])|\.\.)\.$",
    re.IGNORECASE,
)


def plain(text: str) -> str:
    """Collapse whitespace and strip reST and Markdown markup; code stays in single backticks."""
    text = " ".join(text.split())
    text = _ROLE.sub(_role, text)
    text = _HYPERLINK.sub(r"\1", text)
    text = _DOUBLE_TICKS.sub(r"`\1`", text)
    text = _MARKDOWN_LINK.sub(r"\1", text)
    text = _CROSS_REFERENCE.sub(r"`\1`", text)
    return _FOOTNOTE.sub("", text).strip()


def _role(match: re.Match[str]) -> str:
    body = match.group("body").strip()
    titled = _ROLE_TARGET.match(body)
    if titled and titled.group("text"):
        return titled.group("text")
    if body.startswith("~"):
        body = body[1:].rsplit(".", 1)[-1]
    return f"`{body.lstrip('.!')}`"


def first_sentence(text: str) -> str:
    """First sentence of plain text; abbreviations such as `e.g.` end none. Text without an end comes back whole."""
    for boundary in _BOUNDARY.finditer(text):
        sentence = text[: boundary.end()].rstrip()
        if not _ABBREVIATION.search(text[: boundary.start()]) and balanced(sentence):
            return sentence
    return text


def balanced(text: str) -> bool:
    """Whether backticks, parentheses and brackets close: a sentence cut inside code or an aside is no answer."""
    if text.count("`") % 2:
        return False
    depth: list[str] = []
    pairs = {")": "(", "]": "[", "}": "{"}
    for character in text:
        if character in "([{":
            depth.append(character)
        elif character in pairs and (not depth or depth.pop() != pairs[character]):
            return False
    return not depth


def words(text: str) -> list[str]:
    """Lower-cased `\\w+` words."""
    return re.findall(r"\w+", text.lower())
