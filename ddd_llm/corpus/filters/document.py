"""What quality rules ask of a document.

Here: a document's words, lines, prose and n-grams, each computed once. Not here: any judgement (the modules of rules).

A document made from a docstring is judged by its docstring: the signature line above it is made by machine.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from ddd_llm.corpus.dedup.words import tokenise

DOCSTRING = "text/x-python-docstring"

Code = Literal["skipped", "judged"]

_LITERAL_DIRECTIVES = (".. code", ".. sourcecode", ".. math", ".. doctest", ".. testcode", ".. ipython", ".. plot")
_ASCII_WORD = re.compile(r"\w+", re.ASCII)
_BLANK_LINES = re.compile(r"\n\s*\n")


class Document:
    """What rules ask of a document, each computed once. `code="judged"` takes code and formulas for prose, as the web
    filters do."""

    def __init__(
        self, text: str, media_type: str = "text/plain", language: str = "und", code: Code = "skipped"
    ) -> None:
        self.text = text
        self.media_type = media_type
        self.language = language
        self.code = code
        self.body = text.partition("\n\n")[2] if media_type == DOCSTRING else text
        self._ranks: dict[int, npt.NDArray[np.int64]] = {}

    @cached_property
    def words(self) -> list[str]:
        """Words in lower case, as deduplication finds them."""
        return _tokens(self.body)

    @cached_property
    def lower(self) -> str:
        """The body in lower case."""
        return self.body.lower()

    @cached_property
    def lines(self) -> list[str]:
        """Lines with anything on them, without the white space around."""
        return [line for line in map(str.strip, self.body.splitlines()) if line]

    @cached_property
    def paragraphs(self) -> list[str]:
        """What stands between blank lines, without the white space around."""
        return [part for part in map(str.strip, _BLANK_LINES.split(self.body)) if part]

    @cached_property
    def prose_lines(self) -> list[str]:
        """Lines outside of code and formulas: fenced and literal blocks, doctests and what they print."""
        if self.code == "judged" or not any(mark in self.body for mark in (">>>", "```", "::")):
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
        return self.words if self.prose_lines is self.lines else _tokens("\n".join(self.prose_lines))

    @cached_property
    def word_lengths(self) -> npt.NDArray[np.int64]:
        """Characters of each word of prose."""
        return np.fromiter(map(len, self.prose), np.int64, len(self.prose))

    def grams(self, n: int) -> npt.NDArray[np.int64]:
        """A number for each word n-gram of prose, in order, equal for equal n-grams; empty where there are fewer words.

        Exact, by doubling (R. Karp, R. Miller, A. Rosenberg 1972): an n-gram is two shorter ones, so that memory and time
        stay linear in the words whatever n is.
        """
        if n not in self._ranks:
            if n == 1:
                codes = {word: code for code, word in enumerate(dict.fromkeys(self.prose))}
                found = np.fromiter(map(codes.__getitem__, self.prose), np.int64, len(self.prose))
            else:
                head = 1 << (n - 1).bit_length() - 1
                whole, second = self.grams(head), self.grams(n - head)[head:]
                first = whole[: len(second)]
                if len(whole) and int(whole.max()) + 1 == len(whole):
                    found = np.arange(len(second))  # the shorter n-grams are all different, so these are too
                else:
                    pairs = first * (int(second.max(initial=0)) + 1) + second
                    found = np.unique(pairs, return_inverse=True)[1].reshape(-1)
            self._ranks[n] = found
        return self._ranks[n]


def _tokens(text: str) -> list[str]:
    # As `tokenise`, and twice as fast where no script without spaces can occur.
    return _ASCII_WORD.findall(text.lower()) if text.isascii() else tokenise(text)
