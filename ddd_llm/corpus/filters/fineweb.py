"""FineWeb's rules: one rule, one class, one question.

Source: G. Penedo and others, The FineWeb Datasets: Decanting the Web for the Finest Text Data at Scale (arXiv
2406.17557), section 3 (custom heuristic filters), whose thresholds are the defaults; a document at a threshold fails.
FineWeb also applies Gopher's rules and C4's but for the terminal punctuation of lines (`gopher`, `repetition`, `c4`), and
keeps English by fastText (`technical.Language`).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ddd_llm.corpus.filters.document import Document
from ddd_llm.corpus.filters.rule import Measured, Rule

PUNCTUATION = (".", "!", "?", '"', "'", "”", "’", "。", "！", "？")


class FewPunctuatedLines(Rule):
    """Lists, menus and titles: hardly a line ends as a sentence does."""

    origin: ClassVar[str] = "FineWeb (at most 12% of lines end with punctuation)"

    rule: Literal["few_punctuated_lines"] = "few_punctuated_lines"
    version: Literal[1] = 1
    least_share: float = Field(default=0.12, ge=0, le=1, description="Of the lines of prose; more than this must.")
    min_lines: int = Field(default=1, ge=1, description="Documents of fewer lines pass.")

    def measure(self, document: Document) -> Measured | None:
        lines = document.prose_lines
        if len(lines) < self.min_lines:
            return None
        share = sum(line.endswith(PUNCTUATION) for line in lines) / len(lines)
        return Measured(share, self.least_share, "least", touching=True)


class RepeatedLines(Rule):
    """The same lines over and over. Lines of few words, as tables and markup have them, may be let come again."""

    origin: ClassVar[str] = "FineWeb (10% of characters in duplicated lines)"

    rule: Literal["repeated_lines"] = "repeated_lines"
    version: Literal[2] = 2
    most_share: float = Field(
        default=0.1, gt=0, le=1, description="Of the characters of prose, those in lines seen before: less than this."
    )
    min_lines: int = Field(default=1, ge=1, description="Documents of fewer lines pass.")
    min_words: int = Field(default=1, ge=1, description="Lines of fewer words may come again.")

    def measure(self, document: Document) -> Measured | None:
        lines = document.prose_lines
        if len(lines) < self.min_lines:
            return None
        again = 0
        if len(set(lines)) < len(lines):
            seen: set[str] = set()
            for line in lines:
                if line in seen and len(line.split()) >= self.min_words:
                    again += len(line)
                seen.add(line)
        return Measured(again / sum(map(len, lines)), self.most_share, "most", touching=True)


class ShortLines(Rule):
    """Menus, tables and verse: most lines are short."""

    origin: ClassVar[str] = "FineWeb (67% of lines are shorter than 30 characters)"

    rule: Literal["short_lines"] = "short_lines"
    version: Literal[1] = 1
    most_share: float = Field(default=0.67, gt=0, le=1, description="Of the lines of prose: less than this.")
    shorter_than: int = Field(default=30, ge=1, description="Characters.")
    min_lines: int = Field(default=1, ge=1, description="Documents of fewer lines pass.")

    def measure(self, document: Document) -> Measured | None:
        lines = document.prose_lines
        if len(lines) < self.min_lines:
            return None
        share = sum(len(line) < self.shorter_than for line in lines) / len(lines)
        return Measured(share, self.most_share, "most", touching=True)
