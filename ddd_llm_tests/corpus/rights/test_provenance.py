"""The 22 fields: all there, in groups, stated before derived, placeholders worth nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from pydantic import ValidationError

from ddd_llm.corpus.rights.derivation import missing, record_of
from ddd_llm.corpus.rights.policy import ProvenancePolicy
from ddd_llm.corpus.rights.provenance import FIELDS, Provenance
from ddd_llm.corpus.rights.records import Rights
from ddd_llm_tests.corpus.helpers import folder_source, package_source
from ddd_llm_tests.corpus.rights.builders import PROVENANCE, whole


def test_the_standards_have_22_fields_in_three_groups_and_the_record_has_them_all() -> None:
    assert len(FIELDS) == 22
    assert Counter(group for group, _ in FIELDS.values()) == {"source": 6, "provenance": 8, "use": 8}
    assert list(record_of(whole())) == list(FIELDS)
    # What the source itself has a field for is not asked twice.
    assert set(FIELDS) - set(Provenance.model_fields) == {"licence", "intended_use"}
    assert {"licence", "purpose"} <= set(Rights.model_fields)


def test_what_a_source_says_elsewhere_is_derived_with_a_note() -> None:
    record = record_of(whole())
    assert (record["issuer"].value, record["issuer"].how) == ("An owner", "derived")
    assert record["licence"].value == "MIT"
    assert record["intended_use"].value == ["training"]
    assert record["issued"].value == "2026-11-22"
    assert record["confidentiality"].value == ["none"]
    assert record["description"].how == "stated"
    assert record["storage_geography"].how == "absent"
    assert all(known.note for known in record.values() if known.how == "derived")
    assert all(known.value is not None for known in record.values() if known.how != "absent")


def test_what_is_stated_comes_first() -> None:
    stated = {**PROVENANCE, "issuer": "A publisher", "issued": "2025-01-01", "generation": {"first": "2020"}}
    record = record_of(whole(provenance=stated))
    assert (record["issuer"].value, record["issuer"].how) == ("A publisher", "stated")
    assert record["issued"].value == "2025-01-01"
    assert record["generation"].value == {"first": "2020", "last": "2026-11-22"}


def test_a_bare_folder_lacks_what_nobody_can_derive() -> None:
    record = record_of(folder_source())
    lacking = missing(record, ProvenancePolicy().mandatory)
    assert {"description", "origin_geography", "method", "confidentiality"} <= set(lacking)
    assert "issuer" not in lacking


def test_a_source_without_rights_has_no_licence_field() -> None:
    record = record_of(package_source(licence=None, licence_evidence=None, legal_basis=None))
    assert {name for name, known in record.items() if known.how == "absent"} >= {
        "licence", "consent_documentation", "proprietary",
    }  # fmt: skip


def test_identifiers_are_stable_and_differ() -> None:
    def identifier(source: Any) -> str:
        return record_of(source)["identifier"].value

    assert identifier(whole()) == identifier(whole(licence="Apache-2.0"))
    assert identifier(whole()) != identifier(whole("other"))
    assert identifier(package_source(version="1.0+cpu")) == identifier(package_source(version="1.0"))
    assert identifier(package_source(version="1.1")) != identifier(package_source(version="1.0"))


@pytest.mark.parametrize("nothing", ["TBD", "unknown", "  ", "n/a", "-", "?", "None", "ToDo"])
def test_a_placeholder_says_nothing(nothing: str) -> None:
    record = record_of(whole(provenance={**PROVENANCE, "description": nothing}))
    assert missing(record, ["description"]) == ["description"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"standards_version": "0.9"},
        {"origin_geography": ["Germany"]},
        {"origin_geography": []},
        {"generation": {}},
        {"generation": {"first": "2026", "last": "2025-12"}},
        {"generation": {"first": "26"}},
        {"method": {"kinds": [], "description": "x"}},
        {"method": {"kinds": ["magic"], "description": "x"}},
        {"confidentiality": ["none", "personal"]},
        {"processing_geography": {}},
        {"processing_geography": {"include": ["DE"], "exclude": ["DE"]}},
        {"issued": 20260101},
        {"licence": "MIT"},
        {"surprise": 1},
    ],
)
def test_what_is_ill_formed_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Provenance.model_validate(wrong)


def test_the_policy_names_fields_that_exist() -> None:
    with pytest.raises(ValidationError, match="no such field: colour"):
        ProvenancePolicy(mandatory=["title", "colour"])


def test_entries_fill_and_override_the_source() -> None:
    source = Provenance.model_validate(PROVENANCE)
    entry = Provenance.model_validate({"description": "Letters"})
    both = entry.over(source)
    assert (both.description, both.origin_geography) == ("Letters", ("DE",))
    assert entry.over(None) == entry
