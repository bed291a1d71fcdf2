"""Gopher's repetition rules: duplicate lines and paragraphs, the commonest n-gram, duplicate n-grams.

Source: J. Rae and others (arXiv 2112.11446), appendix A.1, "Repetition removal", table A1, whose thresholds are the
defaults. The paper leaves some things open; here a duplicate is what was seen before in the document (the first
occurrence does not count), characters are those of words or lines (white space between them does not count), each
counts once however many n-grams cover it, and what occurs once is no repetition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from ddd_llm.corpus.filters.document import Document
from ddd_llm.corpus.filters.rule import Measured, Rule


class _Share(Rule):
    """A share with a published limit for each name of the rule."""

    PUBLISHED: ClassVar[Mapping[str, float]]

    most_share: float = Field(ge=0, le=1)

    @model_validator(mode="before")
    @classmethod
    def _published(cls, given: Any) -> Any:
        if isinstance(given, dict) and "most_share" not in given and given.get("rule") in cls.PUBLISHED:
            return {**given, "most_share": cls.PUBLISHED[given["rule"]]}
        return given


class DuplicateBlocks(_Share):
    """The same lines or paragraphs again: how many of them, or how many of their characters."""

    origin: ClassVar[str] = "Gopher (table A1: 30% of lines or paragraphs, 20% of their characters)"
    PUBLISHED: ClassVar[Mapping[str, float]] = {
        "duplicate_lines": 0.3,
        "duplicate_line_characters": 0.2,
        "duplicate_paragraphs": 0.3,
        "duplicate_paragraph_characters": 0.2,
    }

    rule: Literal[
        "duplicate_lines", "duplicate_line_characters", "duplicate_paragraphs", "duplicate_paragraph_characters"
    ]
    version: Literal[1] = 1

    def measure(self, document: Document) -> Measured:
        blocks = document.paragraphs if "paragraph" in self.rule else document.prose_lines
        if len(set(blocks)) == len(blocks):
            return Measured(0.0, self.most_share, "most")
        by_length = self.rule.endswith("characters")
        seen: set[str] = set()
        again = total = 0
        for block in blocks:
            weight = len(block) if by_length else 1
            total += weight
            if block in seen:
                again += weight
            seen.add(block)
        return Measured(again / total, self.most_share, "most")


class TopGram(_Share):
    """One phrase all over the text: characters in the commonest n-gram (of several, the longest)."""

    origin: ClassVar[str] = "Gopher (table A1: 20%, 18%, 16% of characters in the top 2-, 3-, 4-gram)"
    PUBLISHED: ClassVar[Mapping[str, float]] = {"top_2_gram": 0.2, "top_3_gram": 0.18, "top_4_gram": 0.16}

    rule: Literal["top_2_gram", "top_3_gram", "top_4_gram"]
    version: Literal[1] = 1

    def measure(self, document: Document) -> Measured:
        n = int(self.rule[4])
        grams = document.grams(n)
        counts = np.bincount(grams)
        if not len(grams) or counts.max() < 2:
            return Measured(0.0, self.most_share, "most")
        lengths = document.word_lengths
        of_gram = np.convolve(lengths, np.ones(n, np.int64), "valid")
        commonest = counts[grams] == counts.max()
        place = int(np.flatnonzero(commonest)[np.argmax(of_gram[commonest])])
        return Measured(_covered(grams == grams[place], lengths, n), self.most_share, "most")


class DuplicateGrams(_Share):
    """The same phrases over and over: characters in n-grams seen before."""

    origin: ClassVar[str] = "Gopher (table A1: 15%, 14%, ... 10% of characters in duplicate 5-, 6-, ... 10-grams)"
    PUBLISHED: ClassVar[Mapping[str, float]] = {f"duplicate_{n}_grams": (20 - n) / 100 for n in range(5, 11)}

    rule: Literal[
        "duplicate_5_grams",
        "duplicate_6_grams",
        "duplicate_7_grams",
        "duplicate_8_grams",
        "duplicate_9_grams",
        "duplicate_10_grams",
    ]
    version: Literal[1] = 1
    min_words: int = Field(default=1, ge=1, description="Documents of less prose pass.")

    def measure(self, document: Document) -> Measured | None:
        if len(document.prose) < self.min_words:
            return None
        n = int(self.rule.split("_")[1])
        grams = document.grams(n)
        first = np.unique(grams, return_index=True)[1]
        if len(first) == len(grams):
            return Measured(0.0, self.most_share, "most")
        again = np.ones(len(grams), bool)
        again[first] = False
        return Measured(_covered(again, document.word_lengths, n), self.most_share, "most")


def _covered(starts: np.ndarray, lengths: np.ndarray, n: int) -> float:
    # Share of the characters in words that an n-gram beginning at one of `starts` covers.
    cover = np.zeros(len(lengths) + 1, np.int64)
    at = np.flatnonzero(starts)
    np.add.at(cover, at, 1)
    np.add.at(cover, at + n, -1)
    return float(lengths[np.cumsum(cover)[:-1] > 0].sum() / lengths.sum())
