"""Quality rules on the shape of a text: one rule, one class, one question.

Here: rules on letters, symbols and repetition. Not here: rules on what a document says, and the works that rules
adapt (`quality_rules`).
"""

import re
from typing import ClassVar, Literal

from pydantic import Field

from ddd_llm.corpus.quality_document import Document
from ddd_llm.corpus.quality_rules import Rule

_LETTER = re.compile(r"[^\W\d_]")


class WordLength(Rule):
    """Words too long or too short on average: encoded data, hexadecimal dumps, single letters."""

    origin: ClassVar[str] = "Gopher (3 to 10 characters)"

    rule: Literal["odd_word_length"] = "odd_word_length"
    version: Literal[1] = 1
    shortest: float = Field(default=1.5, ge=0)
    longest: float = Field(default=16, ge=0)
    min_words: int = Field(default=10, ge=1, description="Shorter documents pass.")

    def broken_by(self, document: Document) -> bool:
        # A character of a script without spaces is a word by itself and says nothing here.
        words = [word for word in document.words if len(word) > 1 or word.isascii()]
        if len(words) < self.min_words:
            return False
        return not self.shortest <= sum(map(len, words)) / len(words) <= self.longest


class FewLetters(Rule):
    """Mostly numbers, rules and symbols."""

    origin: ClassVar[str] = "Gopher (80% of words with a letter)"

    rule: Literal["mostly_non_letters"] = "mostly_non_letters"
    version: Literal[1] = 1
    least_share: float = Field(default=0.4, ge=0, le=1, description="Of the words in prose, those that hold a letter.")

    def broken_by(self, document: Document) -> bool:
        if _LETTER.search(document.body) is None:
            return True
        chunks = [chunk for line in document.prose_lines for chunk in line.split()]
        return sum(map(bool, map(_LETTER.search, chunks))) < self.least_share * len(chunks)


class Symbols(Rule):
    """Hash signs and ellipses in place of words."""

    origin: ClassVar[str] = "Gopher (0.1 per word)"
    _SYMBOL: ClassVar = re.compile(r"#+|…|\.\.\.")  # a rule of hash signs is one

    rule: Literal["symbols"] = "symbols"
    version: Literal[1] = 1
    most_per_word: float = Field(default=0.2, ge=0, description="Per word of prose.")
    min_words: int = Field(default=20, ge=1, description="Documents of less prose pass.")

    def broken_by(self, document: Document) -> bool:
        if "#" not in document.body and "..." not in document.body and "…" not in document.body:
            return False
        words = len(document.prose)
        found = sum(len(self._SYMBOL.findall(line)) for line in document.prose_lines)
        return words >= self.min_words and found > self.most_per_word * words


class EllipsisLines(Rule):
    """Teasers: lines that break off."""

    origin: ClassVar[str] = "Gopher (30% of lines)"

    rule: Literal["ellipsis_lines"] = "ellipsis_lines"
    version: Literal[1] = 1
    most_share: float = Field(default=0.3, ge=0, le=1, description="Of the lines of prose.")
    min_lines: int = Field(default=8, ge=1, description="Documents of fewer lines pass.")

    def broken_by(self, document: Document) -> bool:
        lines = document.prose_lines
        if len(lines) < self.min_lines:
            return False
        return sum(line.endswith(("...", "…")) for line in lines) > self.most_share * len(lines)


class RepeatedLines(Rule):
    """The same lines over and over. Lines of few words, as tables and markup have them, do not count as repeated."""

    origin: ClassVar[str] = "Gopher (30% of lines, 20% of their characters); FineWeb (10% of characters)"

    rule: Literal["repeated_lines"] = "repeated_lines"
    version: Literal[1] = 1
    most_share: float = Field(
        default=0.5, ge=0, le=1, description="Of the characters of prose, those in lines seen before."
    )
    min_lines: int = Field(default=8, ge=1, description="Documents of fewer lines pass.")
    min_words: int = Field(default=4, ge=1, description="Lines of fewer words may come again.")

    def broken_by(self, document: Document) -> bool:
        lines = document.prose_lines
        if len(lines) < self.min_lines:
            return False
        seen: set[str] = set()
        again = 0
        for line in lines:
            if line in seen and len(line.split()) >= self.min_words:
                again += len(line)
            seen.add(line)
        return again > self.most_share * sum(map(len, lines))


class RepeatedPhrases(Rule):
    """The same ten words over and over."""

    origin: ClassVar[str] = "Gopher (10% of characters in duplicate 10-grams)"

    rule: Literal["repeated_phrases"] = "repeated_phrases"
    version: Literal[1] = 1
    most_share: float = Field(default=0.5, ge=0, le=1, description="Of the 10-grams, those seen before.")
    min_words: int = Field(default=60, ge=10, description="Documents of less prose pass.")

    def broken_by(self, document: Document) -> bool:
        words = document.prose
        if len(words) < self.min_words:
            return False
        grams = len(words) - 9
        distinct = len(set(zip(*(words[shift:] for shift in range(10)), strict=False)))
        return grams - distinct > self.most_share * grams
