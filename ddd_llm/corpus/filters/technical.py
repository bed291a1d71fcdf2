"""Rules of this project for technical prose: wrong decoding, unwanted languages, bodies that say nothing of their own.

Here: rules that no published web filter has in this form; each names what it adapts.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import ClassVar, Literal

from pydantic import Field

from ddd_llm.corpus.filters.document import Document
from ddd_llm.corpus.filters.rule import Measured, Rule
from ddd_llm.platform.patterns import Patterns

_BLANK = re.compile(r"\s+")


class Undecoded(Rule):
    """Text that was decoded wrongly: replacement and control characters, UTF-8 read as Latin-1."""

    origin: ClassVar[str] = "FineWeb (mends such text with ftfy; here it is dropped)"
    # Not backspaces: click's commands have them in their help, to keep paragraphs as they are.
    _DEBRIS: ClassVar = re.compile("[\ufffd\x00-\x07\x0e-\x1f\x7f-\x9f]|\u00e2\u20ac.|[\u00c2\u00c3][\u0080-\u00bf]")
    _CONTROLS: ClassVar = bytes([*range(0x08), *range(0x0E, 0x20), 0x7F])

    rule: Literal["undecoded"] = "undecoded"
    version: Literal[1] = 1
    max_share: float = Field(default=0.005, ge=0, le=1, description="Most debris per character.")

    def measure(self, document: Document) -> Measured:
        text = document.text
        if text.isascii():
            # The same count, many times faster: of ASCII, only control characters are debris.
            found = len(text) - len(text.encode().translate(None, self._CONTROLS))
        else:
            found = len(self._DEBRIS.findall(text))
        return Measured(found / max(1, len(text)), self.max_share, "most")


class Language(Rule):
    """A language that is not wanted. The value is 1 where the document is in one, 0 where it is not."""

    origin: ClassVar[str] = "FineWeb (English by fastText); Gopher and C4 (English)"

    rule: Literal["language_not_allowed"] = "language_not_allowed"
    version: Literal[1] = 1
    allowed: tuple[str, ...] = Field(default=("en", "und"), description="ISO 639 codes; und is what could not be told.")
    min_words: int = Field(
        default=40, ge=0, description="Documents of less prose pass: names and code mislead detection."
    )
    telling: tuple[str, ...] = Field(default=(), description="Words that other languages do not have.")
    least_telling: int = Field(default=2, ge=1, description="So many different ones of them speak against detection.")

    def measure(self, document: Document) -> Measured:
        return Measured(float(self._foreign(document)), 0.0, "most")

    def _foreign(self, document: Document) -> bool:
        if document.language in self.allowed or len(document.prose) < self.min_words:
            return False
        return len(set(self.telling).intersection(document.prose)) < self.least_telling


class Boilerplate(Rule):
    """A body that says nothing of its own: generated text, a placeholder, a bare reference to another place.

    The value is 1 where one of the patterns is the whole body, 0 where none is.
    """

    origin: ClassVar[str] = "C4 (pages with placeholder and policy phrases)"

    rule: Literal["boilerplate"] = "boilerplate"
    version: Literal[1] = 1
    patterns: Patterns = Field(description="Regular expressions for a whole body; case and spacing do not count.")
    max_characters: int = Field(default=200, ge=1, le=2000, description="Longer bodies pass.")

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(f"(?:{pattern})" for pattern in self.patterns), re.IGNORECASE)

    def measure(self, document: Document) -> Measured:
        return Measured(float(self._matches(document)), 0.0, "most")

    def _matches(self, document: Document) -> bool:
        if len(document.body) > 2 * self.max_characters:
            return False
        body = _BLANK.sub(" ", document.body).strip(" .!:;")
        return len(body) <= self.max_characters and self._pattern.fullmatch(body) is not None
