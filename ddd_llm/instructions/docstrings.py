"""A docstring document as a typed description of an API.

Here belongs the reading of `text/x-python-docstring` documents: what a function or class is called, takes, returns,
raises and how it is used, each fact with the lines it stands on. Names and defaults come from the signature line,
descriptions from the sections. Here does not belong the making of questions (`tasks`).
"""

import re
from dataclasses import dataclass, replace
from typing import Literal

from ddd_llm.instructions.prose import balanced, first_sentence, plain
from ddd_llm.instructions.sections import Entry, Section, indent, parse_sections
from ddd_llm.instructions.signatures import Argument, ArgumentKind, Signature, parse_signature
from ddd_llm.instructions.usage import calls_of

MEDIA_TYPE = "text/x-python-docstring"

Span = tuple[int, int]
"""Lines [first, last) of the docstring body."""

_NOT_PROSE = re.compile(r"(:\w+|\.\. |>>>|```|[-=~*_#|+]{3,}|[*-] |\||@\w)")
_CALL = re.compile(r"[\w.]+\s*\(.*\).{0,20}")
_DIRECTIVE = re.compile(r"\.\. ")
_DEPRECATED = re.compile(r"\.\. deprecated::|^\s*(?:\W{0,3}\s*)deprecated\b", re.IGNORECASE | re.MULTILINE)
_EXCEPTION = re.compile(r"(?:[^\W\d]\w*\.)*([A-Z]\w*)")
_CODE_BLOCK = re.compile(r"\s*(?:\.\. (?:code-block|code|testcode)::.*|.*::)\s*")
_COMMENT = re.compile(r"\s+#[^'\"]*$")
_FENCES = frozenset({"```", "```python", "```py", "```pycon"})


@dataclass(frozen=True)
class Parameter:
    """A parameter that the signature has. `default` is source text; None means that it must be given (or is
    starred)."""

    name: str
    kind: ArgumentKind
    type: str | None
    default: str | None
    description: str | None
    span: Span | None

    @property
    def starred(self) -> bool:
        return self.kind in ("var_positional", "var_keyword")

    @property
    def display(self) -> str:
        return {"var_positional": "*", "var_keyword": "**"}.get(self.kind, "") + self.name


@dataclass(frozen=True)
class ReturnValue:
    """One documented return value."""

    name: str | None
    type: str | None
    description: str | None
    span: Span


@dataclass(frozen=True)
class RaisedException:
    """One documented exception, by the last part of its name."""

    name: str
    description: str | None
    span: Span


@dataclass(frozen=True)
class Example:
    """One line of example code that calls the documented object."""

    code: str
    span: Span


@dataclass(frozen=True)
class ApiDoc:
    """What a docstring document says.

    `parameters` is None where the signature line does not tell them. `lines` is the docstring body, `signature` its
    first line. `summary` is None where the docstring begins with something other than prose.
    """

    qualname: str
    module: str
    kind: Literal["function", "method", "class"]
    signature: str
    lines: tuple[str, ...]
    summary: str | None
    summary_span: Span
    parameters: tuple[Parameter, ...] | None
    returns: tuple[ReturnValue, ...]
    raises: tuple[RaisedException, ...]
    examples: tuple[Example, ...]
    deprecated: bool

    @property
    def name(self) -> str:
        """The last part of the qualified name: what a call names."""
        return self.qualname.rsplit(".", 1)[-1]

    @property
    def short(self) -> str:
        """The name as a question uses it: `function`, `Class` or `Class.method`."""
        return ".".join(self.qualname.split(".")[-2:])

    @property
    def full(self) -> str:
        return f"{self.module}.{self.qualname}" if self.module else self.qualname

    @property
    def private(self) -> bool:
        """Whether the object is private or a protocol method: nobody asks an assistant about those."""
        return any(part.startswith("_") for part in self.qualname.split("."))


def parse_api_doc(text: str, locator: str) -> ApiDoc | None:
    """Parse a docstring document; never raises on any text.

    Args:
        text: signature line, blank line, docstring cleaned by `inspect.cleandoc`.
        locator: `module:qualname`; tells where the module ends and the qualified name begins.

    Returns:
        The description, or None if the first line is no signature of the object that the locator names.
    """
    head, _, body = text.partition("\n")
    signature = parse_signature(head)
    module, _, qualname = locator.rpartition(":")
    if signature is None or not qualname or signature.dotted != (f"{module}.{qualname}" if module else qualname):
        return None
    lines = body.strip("\n").split("\n")
    sections = parse_sections(lines)
    summary, summary_span = _summary(lines, sections)
    name = qualname.rsplit(".", 1)[-1]
    return ApiDoc(
        qualname=qualname,
        module=module,
        kind="class" if signature.keyword == "class" else "method" if "." in qualname else "function",
        signature=head.strip(),
        lines=tuple(lines),
        summary=summary,
        summary_span=summary_span,
        parameters=_parameters(signature, sections),
        returns=_returns(sections),
        raises=_raises(sections),
        examples=tuple(_examples(lines, name)),
        deprecated=_DEPRECATED.search("\n".join(lines[:12])) is not None,
    )


def _summary(lines: list[str], sections: list[Section]) -> tuple[str | None, Span]:
    end = min([section.first for section in sections], default=len(lines))
    last = 0
    while last < end and lines[last].strip() and not (last and _DIRECTIVE.match(lines[last])):
        last += 1
    if last == 0 or _NOT_PROSE.match(lines[0].lstrip()) or _CALL.fullmatch(lines[0].strip()):
        return None, (0, 0)
    sentence = first_sentence(plain(" ".join(lines[:last])))
    usable = balanced(sentence) and not sentence.endswith((":", ",", ";"))
    return (sentence if usable else None), (0, last)


def _parameters(signature: Signature, sections: list[Section]) -> tuple[Parameter, ...] | None:
    if signature.arguments is None:
        return None
    documented: dict[str, Entry] = {}
    for section in sections:
        if section.kind == "parameters":
            for entry in section.entries:
                for name in entry.names:
                    documented.setdefault(name, entry)
    return tuple(_parameter(argument, documented.get(argument.name)) for argument in signature.arguments)


def _parameter(argument: Argument, entry: Entry | None) -> Parameter:
    made = Parameter(argument.name, argument.kind, argument.annotation, argument.default, None, None)
    if entry is None:
        return made
    shared = len(entry.names) > 1
    return replace(
        made,
        type=argument.annotation or (plain(entry.type) if entry.type else None),
        description=None if shared or not entry.description else plain(entry.description),
        span=(entry.first, entry.last),
    )


def _returns(sections: list[Section]) -> tuple[ReturnValue, ...]:
    values: list[ReturnValue] = []
    for section, entry in ((s, e) for s in sections if s.kind == "returns" for e in s.entries):
        declared = _bare(plain(entry.type)) or None if entry.type else None
        name = entry.names[0] if len(entry.names) == 1 else None
        if len(entry.names) <= 1 and (declared or entry.description or name):
            span = (section.first, entry.last)
            values.append(ReturnValue(name, declared, plain(entry.description) or None, span))
    return tuple(values)


def _bare(text: str) -> str:
    """Text without the backticks around it, if they are a pair and the only ones."""
    ticked = text.count("`") == 2 and text.startswith("`") and text.endswith("`")
    return text[1:-1].strip() if ticked else text.strip()


def _raises(sections: list[Section]) -> tuple[RaisedException, ...]:
    found: dict[str, RaisedException] = {}
    for section, entry in ((s, e) for s in sections if s.kind == "raises" for e in s.entries):
        for written in entry.names or (entry.type or "",):
            for part in re.split(r"\s*(?:,|\bor\b|\band\b|\|)\s*", plain(written).strip("` ")):
                match = _EXCEPTION.fullmatch(part.strip("` "))
                if match:
                    raised = RaisedException(
                        match.group(1), plain(entry.description) or None, (section.first, entry.last)
                    )
                    found.setdefault(raised.name, raised)
    return tuple(found.values())


def _examples(lines: list[str], name: str) -> list[Example]:
    """One-line statements in doctests, reST code blocks and Markdown fences that call `name`."""
    found: list[Example] = []
    fence: Literal["python", "other"] | None = None
    block: int | None = None
    for number, line in enumerate(lines):
        text = line.strip()
        if text.startswith("```"):
            fence = None if fence else "python" if text in _FENCES else "other"
            continue
        if block is not None and text and indent(line) <= block:
            block = None
        if block is None and fence is None and _CODE_BLOCK.fullmatch(line):
            block = indent(line)
        prompt = text.startswith(">>> ")
        if f"{name}(" not in text or text.startswith("...") or not (prompt or block is not None or fence == "python"):
            continue
        continued = prompt and number + 1 < len(lines) and lines[number + 1].strip().startswith("...")
        code = _COMMENT.sub("", text[4:] if prompt else text).strip()
        if not continued and calls_of(code, name):
            found.append(Example(code, (number, number + 1)))
    return found
