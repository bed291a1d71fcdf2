"""Every mention of a declared person becomes that person's token."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ddd_llm.corpus.privacy.policy import PrivacyPolicy
from ddd_llm.corpus.privacy.pseudonyms import Pseudonymiser
from ddd_llm.corpus.privacy.subjects import SubjectListError, SubjectMatcher, read_subjects

KEY = b"k" * 32
CSV = """name,email,aliases,identifiers,id
Jane Mary Doe,jane.doe@corp.example,Janey D;J-Doe,E-12345,1
José Ñandú,,,,2
Anna-Lena O'Neil,,,,3
山田太郎,,,,4
Mark Will,,,,5
John Smith,,,,6
Jim Smith,,,,7
"""


@pytest.fixture(scope="module")
def masker(tmp_path_factory: pytest.TempPathFactory) -> Pseudonymiser:
    folder = tmp_path_factory.mktemp("subjects")
    (folder / "people.csv").write_text(CSV, encoding="utf-8")
    return Pseudonymiser(KEY, PrivacyPolicy(subjects=("people.csv",)), folder)


JANE = ["Jane Mary Doe", "jane doe", "JANE DOE", "Doe, Jane", "Doe, Jane Mary", "J. Doe", "J. M. Doe", "Jane M. Doe", "Doe, J.",
        "Jane\nDoe", "Janey D", "j-doe", "jane.doe@corp.example", "E-12345", "Jane\u00a0Doe", "Ja\u200bne Doe"]  # fmt: skip
FRAMES = ["{}", "Ask {} today.", "({})", "{}'s office", "{}\u2019s office", "by {}, and others", '"{}"']


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("mention", JANE)
def test_every_spelling_is_the_same_token(masker: Pseudonymiser, mention: str, frame: str) -> None:
    whole, _ = masker.apply("Jane Mary Doe")
    assert re.fullmatch(r"<PERSON_[0-9a-f]{10}>", whole)
    masked, replaced = masker.apply(frame.format(mention))
    assert masked.replace("\u2019", "'") == frame.format(whole).replace("\u2019", "'")
    assert [one.kind for one in replaced] == ["PERSON"]
    assert masker.apply(masked) == (masked, [])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("José Ñandú", "Jose Nandu"),
        ("José Ñandú", "Jose\u0301 N\u0303andu\u0301"),
        ("Anna-Lena O'Neil", "anna lena o\u2019neil"),
    ],
)
def test_accents_and_apostrophes_do_not_matter(masker: Pseudonymiser, one: str, other: str) -> None:
    assert masker.apply(one)[0] == masker.apply(other)[0] != one


def test_names_in_running_text(masker: Pseudonymiser) -> None:
    masked, _ = masker.apply("昨日山田太郎さんと話した")
    assert re.fullmatch(r"昨日<PERSON_[0-9a-f]{10}>さんと話した", masked)


@pytest.mark.parametrize(
    "text",
    [
        "Janet Doel",
        "doe jane",
        "A will to mark",
        "I will mark it",
        "Jane. Next line\n\nDoe",
        "xjane doe",
        "E-123456",
    ],
)
def test_other_words_stay(masker: Pseudonymiser, text: str) -> None:
    assert "PERSON" not in masker.apply(text)[0]


def test_a_spelling_of_two_people_is_neither(masker: Pseudonymiser) -> None:
    shared = masker.apply("J. Smith")[0]
    assert shared.startswith("<PERSON_")
    assert shared not in (masker.apply("John Smith")[0], masker.apply("Jim Smith")[0])


names = st.lists(
    st.text(st.characters(categories=["Lu", "Ll"], max_codepoint=0x17F), min_size=2, max_size=8), min_size=2, max_size=3
)


@given(names, st.sampled_from(["{}", "to {}.", "x, {}; y"]))
def test_a_declared_name_never_survives(name: list[str], frame: str) -> None:
    from ddd_llm.corpus.privacy.subjects import Subject

    assume(all(len(word.upper()) == len(word) == len(word.lower()) for word in name))
    spelling = " ".join(name)
    matcher = SubjectMatcher([Subject("id:1", (spelling,), ())])
    for written in (spelling, spelling.upper(), spelling.lower(), " ".join([name[0], name[-1]])):
        text = frame.format(written)
        assert [(text[one.start : one.end], one.value) for one in matcher.find(text)] == [(written, "id:1")]


def test_jsonl_and_csv_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('name,aliases\n"Doe, Jane",JD Doe;Janey Doe\n', encoding="utf-8")
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"name": "Doe, Jane", "aliases": ["JD Doe", "Janey Doe"]}), encoding="utf-8"
    )
    assert read_subjects(tmp_path / "a.csv") == read_subjects(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("a.csv", "nickname\nJane Doe\n", "1 unknown column"),
        ("a.csv", 'name\n"Jane Doe\n', "not CSV"),
        ("a.csv", "name,email\nJane Doe\n", "fields than the header"),
        ("a.csv", "name,email\n,\n", "neither name nor e-mail"),
        ("a.csv", "name\nX\n", "one character"),
        ("a.jsonl", '{"name": "Jane Doe"', "not JSON"),
        ("a.jsonl", '["Jane Doe"]', "is an object"),
        ("a.jsonl", '{"name": {"first": "Jane Doe"}}', "name is text"),
        ("a.txt", "Jane Doe", "a .csv or a .jsonl"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_without_quoting_anybody(
    tmp_path: Path, file: str, content: str, says: str
) -> None:
    (tmp_path / file).write_text(content, encoding="utf-8")
    with pytest.raises(SubjectListError, match=re.escape(says)) as error:
        read_subjects(tmp_path / file)
    assert "Doe" not in str(error.value)


def test_a_missing_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SubjectListError, match="cannot be read"):
        Pseudonymiser(KEY, PrivacyPolicy(subjects=("none.csv",)), tmp_path)


def test_a_hundred_thousand_people_cost_a_text_no_more(tmp_path: Path) -> None:
    rows = "\n".join(f"First{number} Last{number % 5_000}" for number in range(100_000))
    (tmp_path / "many.csv").write_text(f"name\n{rows}\n", encoding="utf-8")
    masker = Pseudonymiser(KEY, PrivacyPolicy(subjects=("many.csv",)), tmp_path)
    masked, replaced = masker.apply("First77 Last77 met last4999, First99999. " * 500)
    assert len(replaced) == 500
    assert "First77" not in masked
