"""Sections and entries of a docstring in numpydoc, Google or reST style, with the lines they stand on.

Here belongs the layout of docstrings: where a section begins and ends, which lines form one entry. Here does not belong
their meaning for an API (`docstrings`) or the signature line (`signatures`). Sources: numpydoc's style guide, the
Google Python style guide section 3.8, the Sphinx Python domain's field lists.
"""

import re
from dataclasses import dataclass
from typing import Literal

SectionKind = Literal["parameters", "returns", "raises", "examples", "other"]

_TITLES: dict[str, SectionKind] = {
    **dict.fromkeys(
        ("parameters", "parameter", "other parameters", "args", "arguments", "argument", "params", "keyword args",
         "keyword arguments", "keyword parameters", "kwargs", "optional parameters", "optional arguments"),
        "parameters",
    ),
    **dict.fromkeys(("returns", "return"), "returns"),
    **dict.fromkeys(("raises", "raise", "exceptions"), "raises"),
    **dict.fromkeys(("examples", "example", "usage"), "examples"),
    **dict.fromkeys(
        ("attributes", "methods", "note", "notes", "see also", "references", "warning", "warnings", "warns", "yields",
         "yield", "receives", "todo", "shape", "inputs", "outputs", "tip", "explanation", "side effects", "requires",
         "description", "details", "definition", "environment variables"),
        "other",
    ),
}  # fmt: skip
_GOOGLE = re.compile(r"(\s*)([A-Z][A-Za-z]+(?: [A-Za-z]+){0,2})\s*:{1,2}\s*(.*)")
_UNDERLINE = re.compile(r"\s*(-{3,}|={3,}|~{3,})\s*")
_FIELD = re.compile(r"\s*:(\w+)((?:\s+[^:]+)?)\s*:(?:\s+(.*)|\s*)")
_FIELD_KINDS: dict[str, SectionKind] = {
    **dict.fromkeys(("param", "parameter", "arg", "argument", "key", "keyword", "kwarg"), "parameters"),
    **dict.fromkeys(("returns", "return", "rtype"), "returns"),
    **dict.fromkeys(("raises", "raise", "except", "exception"), "raises"),
}
_NUMPY_NAMES = re.compile(r"(`?\*{0,2}\w+`?(?:\s*,\s*`?\*{0,2}\w+`?)*)\s*(?::(?!:)\s*(.*))?")
_LEADING_ERROR = re.compile(r"(?:\w+\.)*[A-Z]\w*(?:Error|Exception|Warning)\b")
_NEW_BLOCK = re.compile(r"\s*(?:\.\. |[-*+•] |\d+[.)] |>>> |```)")
_GOOGLE_NAME = re.compile(r"`?\\?(\*{0,2})`?\\?\*?([^\W\d]\w*)`?\s*")


@dataclass(frozen=True)
class Entry:
    """One item of a section: names (possibly none), type text, first paragraph of its description, lines [first,
    last)."""

    names: tuple[str, ...]
    type: str | None
    description: str
    first: int
    last: int


@dataclass(frozen=True)
class Section:
    """A section: its kind, lines [first, last) with the heading, and its entries."""

    kind: SectionKind
    first: int
    last: int
    entries: tuple[Entry, ...]


def parse_sections(lines: list[str]) -> list[Section]:
    """Split a cleaned docstring's lines into sections in order of appearance; never raises."""
    found: list[Section] = []
    index = 0
    while index < len(lines):
        section = _numpy(lines, index) or _google(lines, index) or _field(lines, index)
        if section is None:
            index += 1
        else:
            found.append(section)
            index = max(section.last, index + 1)
    return found


def indent(line: str) -> int:
    """Leading whitespace, in characters."""
    return len(line) - len(line.lstrip())


def _is_numpy_heading(lines: list[str], index: int) -> bool:
    return (
        index + 1 < len(lines)
        and 0 < len(lines[index].strip()) <= 60
        and _UNDERLINE.fullmatch(lines[index + 1]) is not None
        and len(lines[index + 1].strip()) >= min(4, len(lines[index].strip()))
    )


def _numpy(lines: list[str], index: int) -> Section | None:
    if not _is_numpy_heading(lines, index):
        return None
    end = index + 2
    while end < len(lines) and not _is_numpy_heading(lines, end):
        end += 1
    kind = _TITLES.get(lines[index].strip().rstrip(":").lower(), "other")
    return Section(kind, index, end, tuple(_entries(lines, index + 2, end, kind, "numpy")))


def _google(lines: list[str], index: int) -> Section | None:
    match = _GOOGLE.fullmatch(lines[index])
    if match is None or match.group(2).lower() not in _TITLES:
        return None
    kind = _TITLES[match.group(2).lower()]
    end = index + 1
    while end < len(lines) and (not lines[end].strip() or indent(lines[end]) > len(match.group(1))):
        end += 1
    while end > index + 1 and not lines[end - 1].strip():
        end -= 1
    inline = match.group(3).strip()
    if inline and kind == "returns":
        text, last = _paragraph(lines, index + 1, end)
        return Section(kind, index, end, (Entry((), None, f"{inline} {text}".strip(), index, last),))
    if inline and kind != "examples":
        return None
    return Section(kind, index, end, tuple(_entries(lines, index + 1, end, kind, "google")))


def _field(lines: list[str], index: int) -> Section | None:
    """One reST field is a section of one entry; types given by `:type name:` are left to the signature."""
    match = _FIELD.fullmatch(lines[index])
    if match is None or match.group(1) not in _FIELD_KINDS:
        return None
    kind = _FIELD_KINDS[match.group(1)]
    base = indent(lines[index])
    end = index + 1
    while end < len(lines) and (not lines[end].strip() or indent(lines[end]) > base):
        end += 1
    while end > index + 1 and not lines[end - 1].strip():
        end -= 1
    text, last = _paragraph(lines, index + 1, end)
    description = f"{match.group(3) or ''} {text}".strip()
    argument = match.group(2).replace("\\", "").split()
    if match.group(1) == "rtype":
        return Section(kind, index, end, (Entry((), description, "", index, last),))
    names = (argument[-1].strip("`*,"),) if argument and kind != "returns" else ()
    declared = " ".join(argument[:-1]) if kind == "parameters" and len(argument) > 1 else None
    return Section(kind, index, end, (Entry(names, declared, description, index, last),))


def _paragraph(lines: list[str], first: int, end: int) -> tuple[str, int]:
    """Text of the lines from `first` up to a blank line, a list, a directive, code or `end`, and the line after it."""
    last = first
    while last < end and lines[last].strip() and not _NEW_BLOCK.match(lines[last]):
        last += 1
    return " ".join(line.strip() for line in lines[first:last]), last


def _entries(
    lines: list[str], first: int, end: int, kind: SectionKind, style: Literal["numpy", "google"]
) -> list[Entry]:
    filled = [i for i in range(first, end) if lines[i].strip()]
    if not filled or kind in ("examples", "other"):
        return []
    base = min(indent(lines[i]) for i in filled)
    heads = [i for i in filled if indent(lines[i]) == base]
    if kind == "returns" and style == "google":
        return [_google_return(lines, filled[0], end)]
    opening = lines[filled[0]].strip()
    if kind == "returns" and len(heads) == len(filled) and len(opening.split()) > 3 and " : " not in opening:
        text, last = _paragraph(lines, filled[0], end)
        return [Entry((), None, text, filled[0], last)]
    make = _numpy_entry if style == "numpy" else _google_entry
    heads = [head for head in heads if make(lines, head, head + 1, kind) is not None]
    made = [make(lines, head, stop, kind) for head, stop in zip(heads, [*heads, end][1:], strict=True)]
    return [entry for entry in made if entry is not None]


def _numpy_entry(lines: list[str], head: int, stop: int, kind: SectionKind) -> Entry | None:
    body, last = _paragraph(lines, head + 1, stop)
    text = lines[head].strip()
    match = _NUMPY_NAMES.fullmatch(text)
    if kind == "returns" and (match is None or match.group(2) is None):
        return Entry((), text.rpartition(" : ")[2], body, head, last)
    if match is None and kind == "raises" and (leading := _LEADING_ERROR.match(text)):
        return Entry((leading.group(),), None, f"{text[leading.end() :].strip()} {body}".strip(), head, last)
    if match is None:
        return None
    names = tuple(name.strip().strip("`").lstrip("*") for name in match.group(1).split(","))
    return Entry(names, match.group(2) or None, body, head, last)


def _google_entry(lines: list[str], head: int, stop: int, kind: SectionKind) -> Entry | None:
    text = lines[head].strip()
    body, last = _paragraph(lines, head + 1, stop)
    if kind == "raises":
        name, colon, rest = text.partition(":")
        return Entry((name.strip().strip("`"),), None, f"{rest} {body}".strip(), head, last) if colon else None
    match = _GOOGLE_NAME.match(text)
    if match is None:
        return None
    rest = text[match.end() :]
    declared = None
    if rest.startswith("("):
        close = _closing(rest)
        if close < 0:
            return None
        declared, rest = rest[1:close], rest[close + 1 :].lstrip()
    if not rest.startswith(":"):
        return None
    return Entry((match.group(2),), declared, f"{rest[1:].strip()} {body}".strip(), head, last)


def _google_return(lines: list[str], head: int, end: int) -> Entry:
    text, last = _paragraph(lines, head, end)
    declared, colon, rest = text.partition(": ")
    if not colon and text.endswith(":"):
        after, last = _paragraph(lines, last, end)
        declared, colon, rest = text[:-1], ":", after
    if colon and len(declared.split()) <= 4 and declared.count("[") == declared.count("]"):
        return Entry((), declared.strip(), rest.strip(), head, last)
    return Entry((), None, text, head, last)


def _closing(text: str) -> int:
    """Position of the parenthesis that closes the one at 0, or -1."""
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return position
    return -1
