"""Quality rules on what a document says: one rule, one class, one question.

Here: what a rule is, and rules on encoding, language, wording and length. Not here: rules on the shape of a text
(`quality_shapes`), which rules apply in which order (`quality`, `assets/policies/curation.yaml`).

Each rule names the published heuristic that it adapts. Gopher: J. Rae and others, Scaling Language Models (arXiv
2112.11446), appendix A.1. C4: C. Raffel and others, Exploring the Limits of Transfer Learning (JMLR 21, 2020),
section 2.2. FineWeb: G. Penedo and others, The FineWeb Datasets (arXiv 2406.17557), section 3. All were made for web
pages; here they judge technical prose, so that code, tables and short reference entries must pass.
"""

import re
from functools import cached_property
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ddd_llm.corpus.quality_document import DOCSTRING, Document

_BLANK = re.compile(r"\s+")


class Rule(BaseModel):
    """A question to a document, with its thresholds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    origin: ClassVar[str]
    rule: str
    version: int = 1

    def broken_by(self, document: Document) -> bool:
        """Whether the document fails."""
        raise NotImplementedError

    def reason(self, document: Document) -> str | None:
        """Why the document is dropped (the rule's name), or None."""
        return self.rule if self.broken_by(document) else None


class Undecoded(Rule):
    """Text that was decoded wrongly: replacement and control characters, UTF-8 read as Latin-1."""

    origin: ClassVar[str] = "FineWeb (mends such text with ftfy; here it is dropped)"
    # Not backspaces: click's commands have them in their help, to keep paragraphs as they are.
    _DEBRIS: ClassVar = re.compile("[\ufffd\x00-\x07\x0e-\x1f\x7f-\x9f]|\u00e2\u20ac.|[\u00c2\u00c3][\u0080-\u00bf]")

    rule: Literal["undecoded"] = "undecoded"
    version: Literal[1] = 1
    max_share: float = Field(default=0.005, ge=0, le=1, description="Most debris per character.")

    def broken_by(self, document: Document) -> bool:
        return len(self._DEBRIS.findall(document.text)) > self.max_share * len(document.text)


class Language(Rule):
    """A language that is not wanted."""

    origin: ClassVar[str] = "FineWeb (English by fastText); Gopher (English)"

    rule: Literal["language_not_allowed"] = "language_not_allowed"
    version: Literal[1] = 1
    allowed: tuple[str, ...] = Field(default=("en", "und"), description="ISO 639 codes; und is what could not be told.")
    min_words: int = Field(
        default=40, ge=0, description="Documents of less prose pass: names and code mislead detection."
    )
    telling: tuple[str, ...] = Field(default=(), description="Words that other languages do not have.")
    least_telling: int = Field(default=2, ge=1, description="So many different ones of them speak against detection.")

    def broken_by(self, document: Document) -> bool:
        if document.language in self.allowed or len(document.prose) < self.min_words:
            return False
        return len(set(self.telling).intersection(document.prose)) < self.least_telling


class LoremIpsum(Rule):
    """Filler text."""

    origin: ClassVar[str] = "C4 (pages with the words lorem ipsum; documentation may speak of it)"

    rule: Literal["lorem_ipsum"] = "lorem_ipsum"
    version: Literal[1] = 1
    most_per_word: float = Field(
        default=0.001, ge=0, description="Most occurrences per word: a long page may show one."
    )

    def broken_by(self, document: Document) -> bool:
        found = document.text.lower().count("lorem ipsum dolor")
        return found > 0 and found > self.most_per_word * len(document.words)


class Boilerplate(Rule):
    """A body that says nothing of its own: generated text, a placeholder, a bare reference to another place."""

    origin: ClassVar[str] = "C4 (pages with placeholder and policy phrases)"

    rule: Literal["boilerplate"] = "boilerplate"
    version: Literal[1] = 1
    patterns: tuple[str, ...] = Field(
        description="Regular expressions for a whole body; case and spacing do not count."
    )
    max_characters: int = Field(default=200, ge=1, le=2000, description="Longer bodies pass.")

    @field_validator("patterns")
    @classmethod
    def _compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return patterns

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(f"(?:{pattern})" for pattern in self.patterns), re.IGNORECASE)

    def broken_by(self, document: Document) -> bool:
        if len(document.body) > 2 * self.max_characters:
            return False
        body = _BLANK.sub(" ", document.body).strip(" .!:;")
        return len(body) <= self.max_characters and self._pattern.fullmatch(body) is not None


class TooFewWords(Rule):
    """Too short to teach anything."""

    origin: ClassVar[str] = "Gopher (50 words); a docstring may say much in one line"

    rule: Literal["too_few_words"] = "too_few_words"
    version: Literal[1] = 1
    least: int = Field(default=20, ge=0, description="Words a document must have.")
    least_of_type: dict[str, int] = Field(default={DOCSTRING: 5}, description="The same for some media types.")

    def broken_by(self, document: Document) -> bool:
        return len(document.words) < self.least_of_type.get(document.media_type, self.least)


class TooManyWords(Rule):
    """Too long to be one document."""

    origin: ClassVar[str] = "Gopher (100,000 words)"

    rule: Literal["too_many_words"] = "too_many_words"
    version: Literal[1] = 1
    most: int = Field(default=100_000, ge=1, description="Words a document may have.")

    def broken_by(self, document: Document) -> bool:
        return len(document.words) > self.most


class FewStopWords(Rule):
    """Long English without the words that English cannot do without: lists, tables, code."""

    origin: ClassVar[str] = "Gopher (two of eight stop words)"

    rule: Literal["few_stop_words"] = "few_stop_words"
    version: Literal[1] = 1
    stop_words: tuple[str, ...] = ("the", "be", "to", "of", "and", "that", "have", "with", "a", "is", "in", "for", "or")
    least: int = Field(default=2, ge=0, description="How many different ones a document must have.")
    min_words: int = Field(default=60, ge=1, description="Shorter documents pass.")

    def broken_by(self, document: Document) -> bool:
        if document.language not in ("en", "und") or len(document.prose) < self.min_words:
            return False
        return len(set(self.stop_words).intersection(document.prose)) < self.least


class WebChrome(Rule):
    """Pages of which much is the site around the text: cookie notices, menus, calls to switch on JavaScript."""

    origin: ClassVar[str] = "C4 (lines on JavaScript, cookies and policies)"

    rule: Literal["web_chrome"] = "web_chrome"
    version: Literal[1] = 1
    phrases: tuple[str, ...] = ("enable javascript", "cookie policy", "privacy policy", "terms of use", "uses cookies")
    most_share: float = Field(default=0.1, ge=0, le=1, description="Of the lines, those with such a phrase.")

    def broken_by(self, document: Document) -> bool:
        if document.media_type == DOCSTRING:
            return False
        found = sum(any(phrase in line.lower() for phrase in self.phrases) for line in document.lines)
        return found > self.most_share * len(document.lines)
