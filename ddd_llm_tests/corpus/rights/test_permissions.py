"""The judgement of documents: licence, ground, consent, withdrawal, opt-out, provenance; whatever is not known holds back."""

from __future__ import annotations

from typing import Any

import pytest

from ddd_llm.corpus.rights.addresses import OptOutList
from ddd_llm.corpus.rights.permissions import CURES
from ddd_llm_tests.corpus.helpers import package_source
from ddd_llm_tests.corpus.rights.builders import PROVENANCE, permissions, reason, whole

PERSONAL = {"personal_data": True}
SHUT = [{"text": "User-agent: GPTBot\nDisallow: /private/\n"}]
SITE = {"url_prefix": "https://example.org/", "robots": SHUT}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"licence": None}, "no_licence"),
        ({"licence_evidence": None}, "no_licence_evidence"),
        ({"licence": "GPL-3.0-only"}, "licence_denied"),
        ({"licence": "MIT AND GPL-3.0-only"}, "licence_denied"),
        ({"licence": "MIT OR GPL-3.0-only"}, None),
        ({"licence": "LicenseRef-Ours"}, "licence_in_review"),
        ({"legal_basis": None}, "no_legal_basis"),
        ({"purpose": ["evaluation"]}, "no_training_purpose"),
        ({"purpose": []}, "no_training_purpose"),
        ({"provenance": None}, "provenance_incomplete"),
        ({"personal_data": None}, "provenance_incomplete"),
        ({"tdm_reservation": True}, "opted_out"),
        ({"tdm_reservation": False}, None),
        ({"legal_basis": "consent"}, "no_consent"),
        # A licence speaks for the author, not for the people in the text.
        (PERSONAL, "no_consent"),
        (PERSONAL | {"legal_basis": "public_domain"}, "no_consent"),
        (PERSONAL | {"legal_basis": "own_work"}, "no_consent"),
        (PERSONAL | {"legal_basis": "contract"}, "no_lawful_basis_evidence"),
        (PERSONAL | {"legal_basis": "contract", "legal_basis_evidence": "contract 7"}, None),
        (PERSONAL | {"legal_basis": "legitimate_interest", "legal_basis_evidence": "test 3"}, None),
        # What the provenance record calls personal data is personal data.
        ({"provenance": {**PROVENANCE, "confidentiality": ["personal_health"]}}, "no_consent"),
    ],
)
def test_a_source(fields: dict[str, Any], expected: str | None) -> None:
    assert reason(whole(**fields)) == expected
    assert expected is None or expected in CURES


@pytest.mark.parametrize(
    ("consent", "expected"),
    [
        ({}, None),
        ({"locators": ["b.md"]}, "no_consent"),
        ({"locators": ["*.md"]}, None),
        ({"sources": ["others"]}, "no_consent"),
        ({"given_on": "2026-06-02"}, "consent_not_yet_given"),
        ({"given_on": "2026-06-01"}, None),
        ({"expires_on": "2026-06-01"}, "consent_expired"),
        ({"expires_on": "2026-06-02"}, None),
        ({"withdrawn_on": "2026-06-01"}, "consent_withdrawn"),
        ({"withdrawn_on": "2026-06-02"}, None),
        ({"purposes": ["evaluation"]}, "consent_not_for_training"),
    ],
)
def test_a_document_that_needs_consent(consent: dict[str, Any], expected: str | None) -> None:
    assert reason(whole(legal_basis="consent"), consents=[consent]) == expected
    assert reason(whole(personal_data=True), consents=[consent]) == expected


def test_a_withdrawal_holds_back_whatever_else_a_document_rests_on() -> None:
    source = whole(personal_data=True, legal_basis="contract", legal_basis_evidence="contract 7")
    withdrawn = {"locators": ["jane/**"], "withdrawn_on": "2026-02-01"}
    assert reason(source, "jane/a.md", [withdrawn]) == "consent_withdrawn"
    assert reason(source, "john/a.md", [withdrawn]) is None
    assert reason(whole(), "jane/a.md", [withdrawn]) == "consent_withdrawn"
    assert reason(whole(), "jane/a.md", [withdrawn | {"purposes": ["retrieval"]}]) is None


def test_some_documents_of_a_source_may_need_more_and_never_less() -> None:
    source = whole(
        documents=[
            {"locators": ["letters/**"], "legal_basis": "consent"},
            {"locators": ["staff.jsonl"], "personal_data": True},
            {"locators": ["press/*"], "tdm_reservation": True},
        ]
    )
    consents = [{"locators": ["letters/1.md"]}]
    assert reason(source, "handbook.md", consents) is None
    assert reason(source, "letters/1.md", consents) is None
    assert reason(source, "letters/2.md", consents) == "no_consent"
    assert reason(source, "staff.jsonl#id=7", consents) == "no_consent"
    assert reason(source, "press/a.md", consents) == "opted_out"
    lax = {"personal_data": False, "legal_basis": "licence", "tdm_reservation": False}
    relaxed = whole(personal_data=True, documents=[{"locators": ["**"], **lax}])
    assert reason(relaxed) == "no_consent"
    assert reason(whole(tdm_reservation=True, documents=[{"locators": ["**"], **lax}])) == "opted_out"


def test_ten_files_of_which_three_have_no_record() -> None:
    # One folder whose record covers seven of its files, and ten sources of which three have none.
    seven = [f"{number}.md" for number in range(7)]
    source = whole(provenance=None, documents=[{"locators": seven, "provenance": PROVENANCE}])
    judge = permissions([source])
    found = [judge.objection("notes", f"{number}.md") for number in range(10)]
    assert [against is None for against in found] == [True] * 7 + [False] * 3
    assert found[9] is not None
    assert found[9][0] == "provenance_incomplete"
    assert found[9][1].endswith("lacks description, origin_geography, method")
    sources = [whole(f"s{number}", **({} if number < 7 else {"provenance": None})) for number in range(10)]
    judge = permissions(sources)
    assert [judge.objection(s.name, "a.md") is None for s in sources] == [True] * 7 + [False] * 3


@pytest.mark.parametrize(
    ("fields", "locator", "expected"),
    [
        (SITE, "public/a.html", None),
        (SITE, "private/a.html", "opted_out"),
        (SITE, "private/a.html#line=3", "opted_out"),
        (SITE, "public/%252e%252e/private/a.html", "opted_out"),
        (SITE, "https://example.org/private/a", "opted_out"),
        (SITE, "https://other.org/public/a", "robots_unknown"),
        (SITE, "https://exa mple.org/a", "address_unknown"),
        ({"robots": [{"site": "https://example.org", **SHUT[0]}]}, "private/a.html", "address_unknown"),
        ({"robots": [{"site": "http://example.org", **SHUT[0]}]}, "https://example.org/private/", "opted_out"),
        ({"robots": [{"site": "http://example.org", "text": ""}]}, "https://example.org/private/", None),
        (SITE | {"robots": [{"text": ""}, {"text": "User-agent: *\nDisallow: *.html"}]}, "a.html", "opted_out"),
        (SITE | {"robots": [{"text": "User-agent: *\nDisallow: /docs/$"}]}, "docs/index.html", "opted_out"),
        # Nobody asked about this one; the group of * is for GPTBot too.
        (SITE | {"robots": [{"text": "User-agent: otherbot\nDisallow: /"}]}, "private/a.html", None),
        (SITE | {"robots": [{"text": "User-agent: *\nDisallow: /"}]}, "a.html", "opted_out"),
    ],
)
def test_robots(fields: dict[str, Any], locator: str, expected: str | None) -> None:
    assert reason(whole(**fields), locator) == expected


def test_a_robots_file_that_cannot_be_read_shuts_out_everybody() -> None:
    source = whole(url_prefix="https://example.org/", robots=[{"path": "gone.txt"}])
    assert reason(source) == "opted_out"


def test_opt_out_lists_speak_of_addresses() -> None:
    lists = {"dnt.txt": OptOutList("example.org\nhttps://other.org/members/")}
    assert reason(whole(url_prefix="https://www.example.org/"), lists=lists) == "opted_out"
    assert reason(whole(url_prefix="https://other.org/members/"), lists=lists) == "opted_out"
    assert reason(whole(url_prefix="https://other.org/"), lists=lists) is None
    assert reason(whole(), "pages.jsonl#id=https://a.example.org/x", lists=lists) == "opted_out"
    assert reason(whole(), "notes/a.md", lists=lists) is None


def test_an_unknown_source_has_no_rights() -> None:
    found = permissions([whole()]).objection("elsewhere", "a.md")
    assert found is not None
    assert found[0] == "unknown_source"


def test_a_package_needs_no_record_of_its_own() -> None:
    assert reason(package_source(), "pkg:f") is None
    assert reason(package_source(personal_data=True), "pkg:f") == "no_consent"


def test_no_sentence_names_a_subject_or_a_person() -> None:
    consents = [{"subject": "Jane Doe", "withdrawn_on": "2026-02-01", "evidence": "Jane's letter"}]
    found = permissions([whole(legal_basis="consent")], consents).objection("notes", "a.md")
    assert found == ("consent_withdrawn", "consent C-1 was withdrawn on 2026-02-01")
