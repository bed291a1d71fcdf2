"""Quality rules: one rule, one class, one question to a document.

Here: what a rule looks at and which published heuristic it adapts; thresholds are fields with defaults. Not here: which rules apply
in which order (`quality`, `assets/policies/curation.yaml`).

Sources. Gopher: J. Rae and others, Scaling Language Models (arXiv 2112.11446), appendix A.1. C4: C. Raffel and others, Exploring
the Limits of Transfer Learning (JMLR 21, 2020), section 2.2. FineWeb: G. Penedo and others, The FineWeb Datasets
(arXiv 2406.17557), section 3. All were made for web pages; here they judge technical prose, so that code, tables and
short reference entries must pass. A document from a docstring is judged by its docstring: the signature line above it
is made by machine.
"""

import re
from functools import cached_property
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from ddd_llm.corpus.dedup.words import tokenise

DOCSTRING = "text/x-python-docstring"

_LETTER = re.compile(r"[^\W\d_]")
_BLANK = re.compile(r"\s+")
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
    most_share: float = Field(default=0.5, ge=0, le=1, description="Of the characters, those in lines seen before.")
    min_lines: int = Field(default=8, ge=1, description="Documents of fewer lines pass.")
    min_words: int = Field(default=4, ge=1, description="Lines of fewer words may come again.")

    def broken_by(self, document: Document) -> bool:
        if len(document.lines) < self.min_lines:
            return False
        seen: set[str] = set()
        again = 0
        for line in document.lines:
            if line in seen and len(line.split()) >= self.min_words:
                again += len(line)
            seen.add(line)
        return again > self.most_share * sum(map(len, document.lines))


class RepeatedPhrases(Rule):
    """The same ten words over and over."""

    origin: ClassVar[str] = "Gopher (10% of characters in duplicate 10-grams)"

    rule: Literal["repeated_phrases"] = "repeated_phrases"
    version: Literal[1] = 1
    most_share: float = Field(default=0.5, ge=0, le=1, description="Of the 10-grams, those seen before.")
    min_words: int = Field(default=60, ge=10, description="Shorter documents pass.")

    def broken_by(self, document: Document) -> bool:
        words = document.words
        if len(words) < self.min_words:
            return False
        grams = len(words) - 9
        distinct = len(set(zip(*(words[shift:] for shift in range(10)), strict=False)))
        return grams - distinct > self.most_share * grams


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
