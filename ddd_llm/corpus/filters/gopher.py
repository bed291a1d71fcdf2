"""Gopher's quality rules: one rule, one class, one question.

Source: J. Rae and others, Scaling Language Models: Methods, Analysis & Insights from Training Gopher (arXiv 2112.11446),
appendix A.1, "Quality filtering". Defaults are the published thresholds; fields beyond them (least lengths, exempt
types) default to no effect and are there for technical prose. Not here: Gopher's repetition rules (`repetition`).
"""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from pydantic import Field

from ddd_llm.corpus.filters.document import Document
from ddd_llm.corpus.filters.rule import Measured, Rule

_LETTER = re.compile(r"[^\W\d_]")
_HASHES = re.compile(r"#+")
_ELLIPSES = re.compile(r"…|\.\.\.")


class TooFewWords(Rule):
    """Too short to teach anything."""

    origin: ClassVar[str] = "Gopher (50 words)"

    rule: Literal["too_few_words"] = "too_few_words"
    version: Literal[1] = 1
    least: int = Field(default=50, ge=0, description="Words a document must have.")
    least_of_type: dict[str, int] = Field(default={}, description="The same for some media types.")

    def measure(self, document: Document) -> Measured:
        return Measured(len(document.words), self.least_of_type.get(document.media_type, self.least), "least")


class TooManyWords(Rule):
    """Too long to be one document."""

    origin: ClassVar[str] = "Gopher (100,000 words)"

    rule: Literal["too_many_words"] = "too_many_words"
    version: Literal[1] = 1
    most: int = Field(default=100_000, ge=1, description="Words a document may have.")

    def measure(self, document: Document) -> Measured:
        return Measured(len(document.words), self.most, "most")


class WordLength(Rule):
    """Words too long or too short on average: encoded data, hexadecimal dumps, single letters."""

    origin: ClassVar[str] = "Gopher (mean word length of 3 to 10 characters)"

    rule: Literal["odd_word_length"] = "odd_word_length"
    version: Literal[2] = 2
    shortest: float = Field(default=3, ge=0)
    longest: float = Field(default=10, ge=0)
    min_words: int = Field(default=1, ge=1, description="Shorter documents pass.")

    def measure(self, document: Document) -> Measured | None:
        # A character of a script without spaces is a word by itself and says nothing here.
        words = [word for word in document.words if len(word) > 1 or word.isascii()]
        if len(words) < self.min_words:
            return None
        mean = len("".join(words)) / len(words)
        if mean < (self.shortest + self.longest) / 2:
            return Measured(mean, self.shortest, "least")
        return Measured(mean, self.longest, "most")


class Symbols(Rule):
    """Hash signs or ellipses in place of words."""

    origin: ClassVar[str] = "Gopher (hash signs or ellipses, more than 0.1 per word)"

    rule: Literal["symbols"] = "symbols"
    version: Literal[2] = 2
    most_per_word: float = Field(default=0.1, ge=0, description="Of either symbol, per word of prose.")
    runs_count_once: bool = Field(default=False, description="A rule of hash signs, or a heading's, is one symbol.")
    min_words: int = Field(default=1, ge=1, description="Documents of less prose pass.")

    def measure(self, document: Document) -> Measured | None:
        words = len(document.prose)
        if words < self.min_words:
            return None
        body = document.body
        if "#" not in body and "..." not in body and "…" not in body:
            return Measured(0.0, self.most_per_word, "most")
        prose = "\n".join(document.prose_lines)
        hashes = len(_HASHES.findall(prose)) if self.runs_count_once else prose.count("#")
        return Measured(max(hashes, len(_ELLIPSES.findall(prose))) / words, self.most_per_word, "most")


class BulletLines(Rule):
    """Nothing but a list."""

    origin: ClassVar[str] = "Gopher (more than 90% of lines begin with a bullet point)"

    rule: Literal["bullet_lines"] = "bullet_lines"
    version: Literal[1] = 1
    most_share: float = Field(default=0.9, ge=0, le=1, description="Of the lines of prose.")
    bullets: tuple[str, ...] = Field(default=("•", "‣", "◦", "▪", "●", "-", "*", "–"), min_length=1)
    min_lines: int = Field(default=1, ge=1, description="Documents of fewer lines pass.")

    def measure(self, document: Document) -> Measured | None:
        lines = document.prose_lines
        if len(lines) < self.min_lines:
            return None
        return Measured(sum(line.startswith(self.bullets) for line in lines) / len(lines), self.most_share, "most")


class EllipsisLines(Rule):
    """Teasers: lines that break off."""

    origin: ClassVar[str] = "Gopher (more than 30% of lines end with an ellipsis)"

    rule: Literal["ellipsis_lines"] = "ellipsis_lines"
    version: Literal[1] = 1
    most_share: float = Field(default=0.3, ge=0, le=1, description="Of the lines of prose.")
    min_lines: int = Field(default=1, ge=1, description="Documents of fewer lines pass.")

    def measure(self, document: Document) -> Measured | None:
        lines = document.prose_lines
        if len(lines) < self.min_lines:
            return None
        return Measured(sum(line.endswith(("...", "…")) for line in lines) / len(lines), self.most_share, "most")


class FewLetters(Rule):
    """Mostly numbers, rules and symbols. A body without any letter has none, whatever it is made of."""

    origin: ClassVar[str] = "Gopher (80% of words have an alphabetic character)"

    rule: Literal["mostly_non_letters"] = "mostly_non_letters"
    version: Literal[2] = 2
    least_share: float = Field(default=0.8, ge=0, le=1, description="Of the words in prose, between white space.")

    def measure(self, document: Document) -> Measured:
        chunks = " ".join(document.prose_lines).split()
        if not chunks:
            # All of it is code or formulas: judged by whether it holds a letter at all.
            return Measured(float(_LETTER.search(document.body) is not None), self.least_share, "least")
        without = [_LETTER.search(chunk) for chunk in chunks if not chunk.isalpha()].count(None)
        return Measured((len(chunks) - without) / len(chunks), self.least_share, "least")


class FewStopWords(Rule):
    """English without the words that English cannot do without: lists, tables, code."""

    origin: ClassVar[str] = "Gopher (at least two of: the, be, to, of, and, that, have, with)"

    rule: Literal["few_stop_words"] = "few_stop_words"
    version: Literal[1] = 1
    stop_words: tuple[str, ...] = ("the", "be", "to", "of", "and", "that", "have", "with")
    least: int = Field(default=2, ge=0, description="How many different ones a document must have.")
    languages: tuple[str, ...] = Field(default=("en", "und"), description="Of which languages they are.")
    min_words: int = Field(default=1, ge=1, description="Documents of less prose pass.")

    def measure(self, document: Document) -> Measured | None:
        if document.language not in self.languages or len(document.prose) < self.min_words:
            return None
        return Measured(len(set(self.stop_words).intersection(document.prose)), self.least, "least")
