"""The suites of governed and deduplicated documents: what is right passes, each planted fault fails its own expectation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ddd_llm.platform.expectations import suite_verdicts

SUITES = Path(__file__).parents[2] / "assets" / "expectations"

TEXT, NUMBER = pa.string(), pa.float64()
DOCUMENT = dict.fromkeys(("id", "source", "locator", "batch", "op", "language", "licence", "text"), TEXT)
GOVERNED = pa.schema({**DOCUMENT, "identifiers": pa.int32()})
DECISION = pa.schema({**dict.fromkeys(("id", "verdict", "reason", "kept_id"), TEXT), "jaccard": NUMBER})


def document(number: int, **fields: Any) -> dict[str, Any]:
    given = {"id": f"{number:032x}", "source": "s", "locator": f"l{number}", "batch": "b1", "op": "add"}
    return {**given, "language": "en", "licence": "MIT", "text": "A text.", "identifiers": 0, **fields}


def deletion(number: int) -> dict[str, Any]:
    return document(number, op="delete", language=None, licence=None, text=None)


def decision(**fields: Any) -> dict[str, Any]:
    return {"id": "a", "verdict": "kept", "reason": None, "kept_id": None, "jaccard": None, **fields}


NEAR = decision(verdict="dropped", reason="near_duplicate", kept_id="b", jaccard=0.9)


def failed(suite: str, rows: list[dict[str, Any]], schema: pa.Schema) -> list[str]:
    verdicts = suite_verdicts(pa.Table.from_pylist(rows, schema), SUITES / f"{suite}.yaml")
    assert all("Could not be evaluated" not in sentence for _, sentence, _ in verdicts.values())
    return [name for name, (passed, _, _) in verdicts.items() if not passed]


@pytest.mark.parametrize(
    "rows", [[], [deletion(1)], [document(1), document(2, locator="x#1", id=f"{1:032x}"), deletion(3)]]
)
def test_a_governed_batch_may_be_empty_or_delete(rows: list[dict[str, Any]]) -> None:
    assert failed("governed_documents", rows, GOVERNED) == []


def test_faults_of_a_governed_batch() -> None:
    rows = [
        document(1, licence=None),
        document(2, text=None),
        document(3, op="upsert"),
        document(4, language="English"),
        document(5, id=None),
        document(6, locator="l1"),
        document(7, text="A\0"),
        document(8, identifiers=-1),
        document(9, text=""),
    ]
    assert set(failed("governed_documents", rows, GOVERNED)) == {
        "every_row_has_an_id",
        "places_are_unique",
        "operations_are_known",
        "every_text_has_a_licence",
        "texts_are_there",
        "texts_are_not_empty",
        "texts_have_no_nul",
        "languages_are_codes",
        "identifiers_are_counted",
    }


def test_deduplicated_documents() -> None:
    assert failed("deduplicated_documents", [document(1), document(2)], GOVERNED) == []
    assert failed("deduplicated_documents", [], GOVERNED) == ["there_are_documents"]
    rows = [document(1, licence=None), document(1), document(2, id="short", batch=None, text=None)]
    assert set(failed("deduplicated_documents", rows, GOVERNED)) == {
        "ids_are_unique",
        "ids_are_keyed_hashes",
        "places_are_unique",
        "every_document_has_a_licence",
        "every_document_has_a_batch",
        "texts_are_there",
    }


def test_decisions_of_deduplication() -> None:
    deleted = decision(verdict="dropped", reason="deleted")
    for rows in ([], [decision()], [decision(), NEAR, deleted]):
        assert failed("deduplicated_decisions", rows, DECISION) == []
    rows = [{**NEAR, "kept_id": None}, {**NEAR, "jaccard": None}, {**NEAR, "jaccard": 0.0}]
    rows += [{**deleted, "reason": None}, decision(reason="x"), decision(verdict="maybe")]
    assert set(failed("deduplicated_decisions", rows, DECISION)) == {
        "verdicts_are_known",
        "drops_have_a_reason",
        "kept_have_no_reason",
        "near_duplicates_name_their_leader",
        "near_duplicates_are_similar",
        "similarities_are_shares",
    }
