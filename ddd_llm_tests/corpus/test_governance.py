"""Nothing without rights gets in, nothing is lost, and identifiers do not pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.corpus.dedup.state import fold
from ddd_llm.corpus.governance import govern
from ddd_llm.corpus.policies import privacy_policy
from ddd_llm.corpus.privacy.policy import Action, PrivacyPolicy
from ddd_llm.corpus.privacy.pseudonyms import Pseudonymiser
from ddd_llm.corpus.schemas import GOVERNED, QUARANTINE, RAW
from ddd_llm.platform.settings import load_settings
from ddd_llm_tests.corpus.rights.builders import EMailMask, permissions, whole

MASK = EMailMask()
RIGHTS: dict[str, dict[str, Any]] = {
    "fine": {},
    "no_licence": {"licence": None},
    "no_licence_evidence": {"licence_evidence": None},
    "licence_denied": {"licence": "GPL-2.0-only"},
    "licence_in_review": {"licence": "MPL-2.0"},
    "no_legal_basis": {"legal_basis": None},
    "no_training_purpose": {"purpose": ["evaluation"]},
    "provenance_incomplete": {"provenance": None},
    "no_consent": {"legal_basis": "consent"},
    "opted_out": {"tdm_reservation": True},
}
PERMISSIONS = permissions([whole(name, **fields) for name, fields in RIGHTS.items()])


def raw(*rows: tuple[str, str, str | None]) -> pa.Table:
    made = [
        {
            "id": f"id{number}",
            "source": source,
            "locator": f"{number}.md",
            "op": op,
            "title": None if text is None else "title",
            "date": None if text is None else "2026-01-01",
            "quality": None if text is None else 0.5,
            "text": text,
        }
        for number, (source, op, text) in enumerate(rows)
    ]
    return pa.Table.from_pylist(made, schema=RAW)


operations = st.sampled_from(["add", "update", "delete"])
rows = st.lists(st.tuples(st.sampled_from([*RIGHTS, "unknown_source"]), operations), max_size=20)


@given(rows)
def test_each_row_is_kept_or_quarantined_and_only_rightful_ones_are_kept(given: list[tuple[str, str]]) -> None:
    batch = raw(*[(source, op, None if op == "delete" else "text") for source, op in given])
    kept, held_back = govern(batch, PERMISSIONS, MASK)
    assert kept.schema.equals(GOVERNED)
    assert held_back.schema.equals(QUARANTINE)
    places = [*kept["locator"].to_pylist(), *held_back["locator"].to_pylist()]
    assert sorted(places) == sorted(batch["locator"].to_pylist())
    assert {row["source"] for row in kept.to_pylist() if row["op"] != "delete"} <= {"fine"}
    assert all(row["reason"] == row["source"] for row in held_back.to_pylist())
    assert kept["op"].to_pylist().count("delete") == [op for _, op in given].count("delete")


@pytest.mark.parametrize("reason", [*list(RIGHTS)[1:], "unknown_source"])
def test_a_source_without_a_right_is_quarantined_with_the_reason(reason: str) -> None:
    kept, held_back = govern(raw((reason, "add", "text"), ("fine", "add", "text")), PERMISSIONS, MASK)
    assert kept["source"].to_pylist() == ["fine"]
    assert held_back["reason"].to_pylist() == [reason]


def test_identifiers_are_replaced_in_text_and_title_and_counted() -> None:
    batch = raw(("fine", "add", "Write to jane@example.org or <script>alert(1)</script>"), ("fine", "delete", None))
    titles = pa.array(["Notes of jane@example.org", None])
    kept, _ = govern(batch.set_column(RAW.get_field_index("title"), RAW.field("title"), titles), PERMISSIONS, MASK)
    first, second = kept.to_pylist()
    assert "jane" not in first["text"] + first["title"]
    assert first["text"].endswith("or <script>alert(1)</script>")
    assert first["identifiers"] == 2
    assert (first["licence"], first["date"], first["quality"]) == ("MIT", "2026-01-01", 0.5)
    assert (second["op"], second["text"], second["identifiers"]) == ("delete", None, 0)


def test_an_empty_batch_stays_empty() -> None:
    kept, held_back = govern(raw(), PERMISSIONS, MASK)
    assert (kept.num_rows, held_back.num_rows) == (0, 0)


@pytest.mark.parametrize("action", [Action.PSEUDONYMISE, Action.MASK])
def test_people_in_locators_do_not_pass_and_their_places_stay_apart(action: Action, tmp_path: Path) -> None:
    token = "ghp_" + "a1" * 18
    names = [
        "letters/ada_l@example.org.md",
        "letters/bob@example.org.md",
        "letters/Ada_Lovelace/1.md",
        f"keys/{token}",
        "calls/call_+44_20_7946_0958.md",
        "letters/plain_1.md",
    ]
    (tmp_path / "people.csv").write_text("name\nAda Lovelace\n")
    policy = PrivacyPolicy.model_validate(
        {
            **privacy_policy(load_settings({})).model_dump(mode="json"),
            "actions": {"EMAIL": action, "PERSON": action, "PHONE": action},
            "subjects": ["people.csv"],
        }
    )
    masks = Pseudonymiser(b"k" * 32, policy, tmp_path)

    def governed(*rows: tuple[str, str]) -> pa.Table:
        made = raw(*[("fine", op, None if op == "delete" else f"text of {n}") for n, (_, op) in enumerate(rows)])
        places = pa.array([place for place, _ in rows])
        made = made.set_column(RAW.get_field_index("locator"), RAW.field("locator"), places)
        return govern(made, PERMISSIONS, masks)[0]

    first = governed(*[(name, "add") for name in names])
    places = first["locator"].to_pylist()
    assert len(set(places)) == len(names)
    assert not any(
        name in place.lower() for place in places for name in ("ada", "lovelace", "bob", "example.org", token, "7946")
    )
    assert places[-1] == names[-1]
    assert first["identifiers"].to_pylist() == [1, 1, 1, 1, 1, 0]
    later = governed((names[0], "update"), (names[1], "delete"))
    assert later["locator"].to_pylist() == places[:2]
    gone, deleted, *stay = fold([first, later])[0].to_pylist()
    assert gone is not None and deleted is not None and not any(stay)


def test_a_title_that_was_the_locator_is_its_governed_form_and_held_back_places_name_nobody() -> None:
    made = raw(("fine", "add", "text"), ("no_licence", "add", "text"))
    place = pa.array(["jane@example.org"] * 2)
    for name in ("locator", "title"):
        made = made.set_column(RAW.get_field_index(name), RAW.field(name), place)
    kept, held_back = govern(made, PERMISSIONS, MASK)
    (row,) = kept.to_pylist()
    assert row["locator"] == row["title"] == held_back["locator"][0].as_py()
    assert "jane" not in row["locator"]


def test_a_title_that_is_the_file_s_name_is_treated_as_the_locator(tmp_path: Path) -> None:
    made = raw(("fine", "add", "text"))
    for name, value in (("locator", "calls/call_+44_20_7946_0958.md"), ("title", "call_+44_20_7946_0958.md")):
        made = made.set_column(RAW.get_field_index(name), RAW.field(name), pa.array([value]))
    (row,) = govern(made, PERMISSIONS, Pseudonymiser(b"k" * 32))[0].to_pylist()
    assert "7946" not in row["title"] + row["locator"]
    assert row["identifiers"] == 2
