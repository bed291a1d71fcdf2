"""A source's whole provenance record: what it states, and what follows from the rest of what it says.

Belongs here: one rule per derived field, each leaving a note. Does not belong here: the fields themselves (`provenance`).
A derived value is only ever one that the source's record, or its kind, makes true; nothing is guessed, what is not known
stays absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from uuid import NAMESPACE_URL, uuid5

from ddd_llm.corpus.rights.provenance import FIELDS, STANDARDS_VERSION, Provenance
from ddd_llm.corpus.rights.records import LegalBasis
from ddd_llm.corpus.sources import Governed, PythonPackage

How = Literal["stated", "derived", "absent"]


@dataclass(frozen=True, slots=True)
class Known:
    """One field of a record: its value as plain data, and how it is known; `note` says from what it was derived."""

    value: Any
    how: How
    note: str = ""


def record_of(source: Governed, stated: Provenance | None = None) -> dict[str, Known]:
    """All 22 fields of a source, in the standards' order.

    Args:
        stated: the provenance that holds (for some documents), default that of the source.
    """
    said = (stated or source.provenance or Provenance()).model_dump(mode="json", exclude_none=True)
    if "generation" in said:
        said["generation"] = {"first": None, "last": source.collected.isoformat()} | said["generation"]
    found = {name: Known(value, "stated") for name, value in said.items()}
    rules = [*(_of_package(source) if isinstance(source, PythonPackage) else ()), *_of_any(source)]
    for name, value, note in rules:
        if value is not None and name not in found:
            found[name] = Known(value, "derived", note)
    return {name: found.get(name, Known(None, "absent")) for name in FIELDS}


def missing(record: dict[str, Known], mandatory: list[str]) -> list[str]:
    """Mandatory fields that are absent, in the standards' order."""
    return [name for name, known in record.items() if known.how == "absent" and name in mandatory]


Rule = tuple[str, Any, str]


def _of_any(source: Governed) -> Iterator[Rule]:
    collected = source.collected.isoformat()
    yield "standards_version", STANDARDS_VERSION, "the version these fields are of"
    yield "title", source.name, "the source's name"
    named = f"ddd-llm:source:{source.owner}:{source.name}:{collected}"
    yield "identifier", str(uuid5(NAMESPACE_URL, named)), "UUID 5 of owner, name and day of collection"
    yield "issuer", source.owner, "the source's owner"
    yield "issued", collected, "compiled on the day of collection"
    yield "generation", {"first": None, "last": collected}, "nothing in it is younger than the day of collection"
    if source.personal_data is not None:
        yield "confidentiality", ["personal" if source.personal_data else "none"], "the source's personal_data"
    yield "consent_documentation", _ground(source), "the source's legal basis and its evidence"
    yield "privacy_technologies", ["pseudonymisation"], "governed_documents replaces identifiers before anything reads"
    yield "licence", source.licence, "the source's licence"
    yield "intended_use", sorted(p.value for p in source.purpose) or None, "the source's purpose"
    if source.legal_basis is not None:
        owned = source.legal_basis is not LegalBasis.PUBLIC_DOMAIN
        value = {"copyright": owned, "patent": None, "trademark": None}
        yield "proprietary", value, "the source's legal basis; patents and trademarks were not examined"


def _ground(source: Governed) -> str | None:
    if source.legal_basis is None:
        return None
    if source.legal_basis is LegalBasis.CONSENT:
        return "the consent register of the rights policy"
    evidence = source.legal_basis_evidence or source.licence_evidence
    return None if evidence is None else f"{source.legal_basis.value}: {evidence}"


def _of_package(source: PythonPackage) -> Iterator[Rule]:
    name, version = source.package, source.version.partition("+")[0]
    page = f"https://pypi.org/project/{name}/{version}/"
    yield "title", f"Docstrings of {name} {version}", "the package and its version"
    yield (
        "identifier",
        str(uuid5(NAMESPACE_URL, f"pkg:pypi/{name.lower()}@{version}#docstrings")),
        "UUID 5 of the package URL",
    )
    yield "metadata_location", page, "the package index's page of this version"
    roots = ", ".join(source.modules)
    text = f"Docstrings of modules, classes and functions of the Python distribution {name} {version}, below {roots}"
    yield "description", text, "the package and the import roots read"
    yield "source_metadata", [page], "the package index's page of this version"
    yield (
        "origin",
        f"the distribution {name} {version} as installed",
        "the docstrings are read from the installed files",
    )
    note = "a public project takes contributions from anywhere, and no index records from where"
    yield "origin_geography", ["worldwide"], note
    method = {"kinds": ["other"], "description": "human-written reference documentation, read from the source code"}
    yield "method", method, "the kind of source"
    yield "format", ["text/x-python-docstring"], "the kind of source"
    note = "published software documentation; authors named in passing are pseudonymised"
    yield "confidentiality", ["personal" if source.personal_data else "none"], note
    if source.licence is not None:
        note = "the licence is without territorial limit"
        yield "processing_geography", {"include": ["worldwide"], "exclude": []}, note
        yield "storage_geography", {"include": ["worldwide"], "exclude": []}, note
