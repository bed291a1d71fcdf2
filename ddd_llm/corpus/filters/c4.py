"""C4's rules: one rule, one class, one question.

Source: C. Raffel and others, Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer (JMLR 21,
2020), section 2.2, whose thresholds are the defaults. C4 removes single lines and then judges what is left of the page;
a filter keeps or drops a whole document. So `few_sentences` drops exactly the pages of which C4's line rules leave too
little, and `javascript_lines` and `policy_lines` bound the share of such lines (a threshold C4 does not have: by default
none may stand there). Not here: C4's list of bad words, whose hits are tags beside documents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from ddd_llm.corpus.filters.document import Document
from ddd_llm.corpus.filters.rule import Measured, Rule

POLICY_PHRASES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
TERMINAL = (".", "!", "?", '"', "”")
_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
# Begins at the first of a run only, so that a long run costs no more than its length.
_SENTENCE_END = re.compile(r"""(?<![.!?])[.!?]++["'”’)\]]*+(?=\s|$)""")


class LoremIpsum(Rule):
    """Filler text."""

    origin: ClassVar[str] = 'C4 (any page where "lorem ipsum" appears)'

    rule: Literal["lorem_ipsum"] = "lorem_ipsum"
    version: Literal[2] = 2
    phrase: str = Field(default="lorem ipsum", min_length=1)
    most_per_word: float = Field(default=0.0, ge=0, description="Most occurrences per word of the body.")

    def measure(self, document: Document) -> Measured:
        found = document.lower.count(self.phrase.lower())
        return Measured(found / max(1, len(document.words)) if found else 0.0, self.most_per_word, "most")


class CurlyBrackets(Rule):
    """Code in place of text."""

    origin: ClassVar[str] = "C4 (any page with a curly bracket)"

    rule: Literal["curly_brackets"] = "curly_brackets"
    version: Literal[1] = 1
    most: int = Field(default=0, ge=0, description="Curly brackets that a document may have.")

    def measure(self, document: Document) -> Measured:
        return Measured(document.body.count("{") + document.body.count("}"), self.most, "most")


class PhraseLines(Rule):
    """Lines of the site around the text: calls to switch on JavaScript, notices of cookies and policies."""

    origin: ClassVar[str] = "C4 (lines with the word javascript; lines on terms of use, privacy and cookies)"
    PUBLISHED: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "javascript_lines": ("javascript",),
        "policy_lines": POLICY_PHRASES,
    }

    rule: Literal["javascript_lines", "policy_lines"]
    version: Literal[1] = 1
    phrases: tuple[str, ...] = Field(min_length=1, description="In lower case.")
    most_share: float = Field(default=0.0, ge=0, le=1, description="Of the lines, those with such a phrase.")
    exempt_types: tuple[str, ...] = Field(default=(), description="Media types that pass.")

    @model_validator(mode="before")
    @classmethod
    def _published(cls, given: Any) -> Any:
        if isinstance(given, dict) and "phrases" not in given and given.get("rule") in cls.PUBLISHED:
            return {**given, "phrases": cls.PUBLISHED[given["rule"]]}
        return given

    def measure(self, document: Document) -> Measured | None:
        if document.media_type in self.exempt_types:
            return None
        if not any(phrase in document.lower for phrase in self.phrases):
            return Measured(0.0, self.most_share, "most")
        lines = document.lines
        found = sum(any(phrase in line for phrase in self.phrases) for line in map(str.lower, lines))
        return Measured(found / max(1, len(lines)), self.most_share, "most")


class FewSentences(Rule):
    """Little is left once the lines are gone that C4 removes.

    A line stays when, its citation marks aside, it ends in terminal punctuation but no ellipsis, has enough words, and
    holds neither the word javascript nor a policy phrase. A sentence ends in a full stop, exclamation or question mark.
    """

    origin: ClassVar[str] = "C4 (pages of fewer than 3 sentences; lines of 5 words, ending in terminal punctuation)"

    rule: Literal["few_sentences"] = "few_sentences"
    version: Literal[1] = 1
    least: int = Field(default=3, ge=0, description="Sentences in the lines that stay.")
    min_line_words: int = Field(default=5, ge=0, description="Lines of fewer words go.")
    terminal_punctuation: bool = Field(default=True, description="Lines that end in none of . ! ? and a quote go.")
    phrases: tuple[str, ...] = Field(default=("javascript", *POLICY_PHRASES), description="Lines with one go.")

    def measure(self, document: Document) -> Measured:
        return Measured(sum(map(self._sentences, document.lines)), self.least, "least")

    def _sentences(self, line: str) -> int:
        line = _CITATION.sub("", line).strip() if "[" in line else line
        if self.terminal_punctuation and (not line.endswith(TERMINAL) or line.endswith("...")):
            return 0
        if len(line.split()) < self.min_line_words:
            return 0
        low = line.lower()
        if any(phrase in low for phrase in self.phrases):
            return 0
        return max(1, len(_SENTENCE_END.findall(line)))
