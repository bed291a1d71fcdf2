"""Normal form and language."""

from __future__ import annotations

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.corpus.text import composed, language, normalise, refuse_reason

ENGLISH = "Return the mean of the values along the given axis."
messy = st.text(st.sampled_from("ab \t\r\n\u0301e\u00e9\u1e9b\u0323\u212b\uac00\u11a8\u2028\x0b")) | st.text()


@given(messy)
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert "\r" not in once


@given(messy)
def test_line_ends_and_composition_do_not_matter(text: str) -> None:
    text = text.replace("\r", "")
    assert normalise(text.replace("\n", "\r\n")) == normalise(text.replace("\n", "\r")) == normalise(text)
    assert normalise(unicodedata.normalize("NFD", text)) == normalise(text)


def test_blanks_inside_stay() -> None:
    assert normalise("\n \n  code  \n\n    more \n\n") == "  code  \n\n    more"


@given(
    st.lists(st.none() | st.text(st.characters(exclude_categories=("Cs",)) | st.sampled_from("e\u0301\u1100\u1161")))
)
def test_a_column_is_composed_as_each_of_its_texts(texts: list[str | None]) -> None:
    expected = [text and unicodedata.normalize("NFC", text) for text in texts]
    assert composed(pa.array(texts, pa.string())).to_pylist() == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty_text"),
        (" \n", "empty_text"),
        ("a\0", "nul_character"),
        ("a\udc80", "lone_surrogate"),
        ("<script>", None),
    ],
)
def test_texts_that_cannot_be_stored_are_told(text: str, reason: str | None) -> None:
    assert refuse_reason(text) == reason


def test_languages_are_told_and_short_or_wordless_texts_are_not() -> None:
    texts = [
        ENGLISH,
        "Die Funktion gibt den Mittelwert der Werte entlang der Achse zur\u00fcck.",
        "La fonction renvoie la moyenne des valeurs le long de l'axe donn\u00e9.",
        "\u3053\u306e\u95a2\u6570\u306f\u5024\u306e\u5e73\u5747\u3092\u8fd4\u3057\u307e\u3059\u3002\u8ef8\u306b\u6cbf\u3063\u3066\u3002",
        "mean",
        "",
        "0.123 4.567 [8, 9] -> 10 \n" * 20,
    ]
    assert language(texts) == ["en", "de", "fr", "ja", "und", "und", "und"]
    assert language([]) == []


@given(st.lists(st.text(), max_size=5))
def test_any_texts_have_a_language_and_order_does_not_matter(texts: list[str]) -> None:
    texts = [text for text in texts if refuse_reason(text) is None]
    together = language([*texts, ENGLISH])
    assert together == [language([text])[0] for text in [*texts, ENGLISH]]
