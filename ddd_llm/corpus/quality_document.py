"""What quality rules ask of a document.

Here: a document's words, lines and prose, each computed once. Not here: any judgement (`quality_rules`, `quality_shapes`).

A document made from a docstring is judged by its docstring: the signature line above it is made by machine.
"""

from functools import cached_property

from ddd_llm.corpus.dedup.words import tokenise

DOCSTRING = "text/x-python-docstring"

_LITERAL_DIRECTIVES = (".. code", ".. sourcecode", ".. math", ".. doctest", ".. testcode", ".. ipython", ".. plot")


class Document:
    """What rules ask of a document, each computed once."""

    def __init__(self, text: str, media_type: str = "text/plain", language: str = "und") -> None:
        self.text = text
        self.media_type = media_type
        self.language = language
        self.body = text.partition("\n\n")[2] if media_type == DOCSTRING else text

    @cached_property
    def words(self) -> list[str]:
        """Words in lower case, as deduplication finds them."""
        return tokenise(self.body)

    @cached_property
    def lines(self) -> list[str]:
        """Lines with anything on them, without the white space around."""
        return [line for line in map(str.strip, self.body.splitlines()) if line]

    @cached_property
    def prose_lines(self) -> list[str]:
        """Lines outside of code and formulas: fenced and literal blocks, doctests and what they print."""
        if not any(mark in self.body for mark in (">>>", "```", "::")):
            return self.lines
        prose: list[str] = []
        fenced = doctest = False
        literal: int | None = None  # how far the line is indented that introduces a literal block
        for line in self.body.splitlines():
            bare = line.strip()
            indent = len(line) - len(line.lstrip())
            if literal is not None and bare and indent <= literal:
                literal = None
            if bare.startswith("```"):
                fenced, doctest = not fenced, False
                continue
            doctest = bare.startswith(">>>") or (doctest and bare != "")
            if not bare or fenced or doctest or literal is not None:
                continue
            if bare.startswith(_LITERAL_DIRECTIVES) or (bare.endswith("::") and not bare.startswith("..")):
                literal = indent
            prose.append(bare)
        return prose

    @cached_property
    def prose(self) -> list[str]:
        """The words of the prose lines, in lower case."""
        return self.words if self.prose_lines is self.lines else tokenise("\n".join(self.prose_lines))
