"""From files to permissions: what a fingerprint sees of them, when it moves, and what is refused."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from ddd_llm.corpus.governance import govern
from ddd_llm.corpus.reports.governed import report_governed
from ddd_llm.corpus.rights.load import permissions_of, rights_config
from ddd_llm.corpus.rights.provenance import FIELDS
from ddd_llm.corpus.schemas import RAW
from ddd_llm.platform.inputs import InputError
from ddd_llm.platform.nodes import Expected, Node
from ddd_llm.platform.settings import CHECKOUT, Settings, load_settings
from ddd_llm.platform.step import Step
from ddd_llm.store.artifact_store import open_store
from ddd_llm.store.session import Session
from ddd_llm_tests.corpus.rights.builders import CONSENT, PROVENANCE, EMailMask

Write = Callable[[str, Any], None]
SOURCE = {
    "name": "notes", "kind": "folder", "path": "notes", "owner": "us", "licence": "MIT OR GPL-3.0-only",
    "licence_evidence": "LICENSE", "legal_basis": "consent", "purpose": ["training"], "collected": "2026-01-01",
    "personal_data": True, "provenance": PROVENANCE,
}  # fmt: skip
RIGHTS = {"version": 1, "licences": {"allow": ["MIT"], "deny": ["GPL-*"]}, "opt_out": {"lists": ["lists/dnt.txt"]}}
SUBJECT = "employee-4711"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to(name: str, value: Any) -> None:
        path = tmp_path / "assets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else yaml.safe_dump(value), encoding="utf-8")

    return to


@pytest.fixture
def settings(tmp_path: Path, write: Write) -> Settings:
    write("sources.yaml", {"version": 1, "sources": [SOURCE]})
    write("policies/rights.yaml", RIGHTS)
    write("policies/lists/dnt.txt", "example.org\n")
    register(write, {"subject": SUBJECT, "locators": ["private-corner/**"], "expires_on": "2026-07-01"})
    names = {"DDD_LLM_HOME": "home", "DDD_LLM_KEYS": "keys", "DDD_LLM_ASSETS": "assets"}
    return load_settings({name: str(tmp_path / folder) for name, folder in names.items()})


def register(write: Write, *entries: dict[str, Any]) -> None:
    write("policies/consents.yaml", {"version": 1, "consents": [CONSENT | entry for entry in entries]})


def objection(settings: Settings, locator: str, today: date) -> str | None:
    found = permissions_of(settings, rights_config(settings, today)).objection("notes", locator)
    return found[0] if found else None


def test_the_config_moves_on_the_days_on_which_something_takes_effect(settings: Settings) -> None:
    days = [
        date(2025, 12, 31),
        date(2026, 1, 1),
        date(2026, 3, 1),
        date(2026, 6, 30),
        date(2026, 7, 1),
        date(2027, 1, 1),
    ]
    configs = [rights_config(settings, day) for day in days]
    assert [config["as_of"] for config in configs] == [None, *["2026-01-01"] * 3, *["2026-07-01"] * 2]
    assert configs[1] == configs[2] == configs[3]
    assert configs[4] == configs[5]
    assert len({json.dumps(config, sort_keys=True) for config in configs}) == 3
    found = [objection(settings, "private-corner/a.md", day) for day in days]
    assert found == ["consent_not_yet_given", None, None, None, "consent_expired", "consent_expired"]


def test_a_withdrawal_moves_the_config_and_excludes_at_once(settings: Settings, write: Write) -> None:
    today = date(2026, 5, 1)
    before = rights_config(settings, today)
    entry = {"subject": SUBJECT, "locators": ["private-corner/**"], "expires_on": "2026-07-01"}
    register(write, entry | {"withdrawn_on": "2026-08-01"})
    assert rights_config(settings, today) == before  # what is to come does not count yet
    register(write, entry | {"withdrawn_on": "2026-05-01"})
    assert rights_config(settings, today)["as_of"] == "2026-05-01"
    assert objection(settings, "private-corner/a.md", today) == "consent_withdrawn"


@pytest.mark.parametrize(
    "change",
    [
        {"locators": ["other/**"]},
        {"subject": "employee-4712"},
        {"purposes": ["evaluation"]},
        {"given_on": "2025-01-01"},
        {"sources": ["others"]},
    ],
)
def test_whatever_a_judgement_rests_on_moves_the_config(
    settings: Settings, write: Write, change: dict[str, Any]
) -> None:
    today = date(2026, 5, 1)
    before = rights_config(settings, today)
    entry = {"subject": SUBJECT, "locators": ["private-corner/**"], "expires_on": "2026-07-01"}
    register(write, entry | change)
    assert rights_config(settings, today) != before
    register(write, entry | {"evidence": "the same form, kept elsewhere"})
    assert rights_config(settings, today) == before


def test_the_config_is_plain_data_and_tells_neither_subjects_nor_scopes(settings: Settings) -> None:
    said = json.dumps(rights_config(settings, date(2026, 5, 1)))
    assert SUBJECT not in said
    assert "private-corner" not in said
    assert json.loads(said) == rights_config(settings, date(2026, 5, 1))


def test_robots_and_lists_move_the_config(settings: Settings, write: Write) -> None:
    source = SOURCE | {"url_prefix": "https://site.example.net/", "robots": [{"path": "robots.txt"}]}
    write("sources.yaml", {"version": 1, "sources": [source]})
    today = date(2026, 5, 1)
    gone = rights_config(settings, today)
    assert objection(settings, "private-corner/a.md", today) == "opted_out"
    write("robots.txt", "User-agent: *\nDisallow: /secret/\n")
    there = rights_config(settings, today)
    assert objection(settings, "private-corner/a.md", today) is None
    write("policies/lists/dnt.txt", "example.org\nexample.net\n")
    assert objection(settings, "private-corner/a.md", today) == "opted_out"
    assert gone != there != rights_config(settings, today)


def test_files_that_change_while_a_run_begins_are_noticed(settings: Settings, write: Write) -> None:
    config = rights_config(settings, date(2026, 5, 1))
    write("policies/lists/dnt.txt", "example.net\n")
    with pytest.raises(InputError, match="opt_out_lists: changed while the run began"):
        permissions_of(settings, config)


def test_a_register_in_json_lines_says_the_same(settings: Settings, write: Write) -> None:
    today = date(2026, 5, 1)
    before = rights_config(settings, today)
    entry = CONSENT | {"subject": SUBJECT, "locators": ["private-corner/**"], "expires_on": "2026-07-01"}
    write("policies/consents.jsonl", f"\n{json.dumps(entry)}\n")
    write("policies/rights.yaml", RIGHTS | {"consents": "consents.jsonl"})
    after = rights_config(settings, today)
    assert after["consents"] == before["consents"]
    assert objection(settings, "private-corner/a.md", today) is None


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("policies/consents.yaml", "version: 1\nconsents:\n  - id: C-1\n", r"consents.yaml:3"),
        ("policies/lists/dnt.txt", "example.org\nnot a domain\n", "lists/dnt.txt: line 2"),
        ("policies/rights.yaml", "version: 1\nlicences:\n  allow: [MITT]\n", "rights.yaml:3: licences.allow.0"),
        ("policies/rights.yaml", "version: 1\nlicences: {}\nconsents: gone.yaml\n", "gone.yaml: cannot be read"),
        (
            "policies/rights.yaml",
            "version: 1\nlicences: {}\nopt_out: {lists: [gone.txt]}\n",
            "gone.txt: cannot be read",
        ),
        ("policies/rights.yaml", "version: 1\nlicences: {}\nopt_out: {user_agents: []}\n", "opt_out.user_agents"),
        ("sources.yaml", {"version": 1, "sources": [SOURCE | {"robots": [{"text": ""}]}]}, "which site it is from"),
        ("sources.yaml", {"version": 1, "sources": [SOURCE | {"robots": [{}]}]}, "either path or text"),
        ("sources.yaml", {"version": 1, "sources": [SOURCE | {"url_prefix": "example.org"}]}, "begins with http"),
    ],
)
def test_a_file_that_does_not_say_what_it_must_is_refused(
    settings: Settings, write: Write, name: str, content: Any, said: str
) -> None:
    write(name, content)
    with pytest.raises(InputError, match=said):
        permissions_of(settings, rights_config(settings, date(2026, 5, 1)))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "consents.jsonl:2"),
        ('{"id": "C-1", "id": "C-2"}', "consents.jsonl:2"),
        ('{"id": "C-9"}', "consents.jsonl:2: sources"),
        (json.dumps(CONSENT), "two entries share the id C-1"),
    ],
)
def test_a_bad_line_of_the_register_is_named(settings: Settings, write: Write, line: str, said: str) -> None:
    write("policies/rights.yaml", RIGHTS | {"consents": "consents.jsonl"})
    write("policies/consents.jsonl", f"{json.dumps(CONSENT)}\n{line}\n")
    with pytest.raises(InputError, match=said):
        rights_config(settings, date(2026, 5, 1))


def test_the_policies_of_the_checkout_load_and_let_every_licensed_default_source_in(tmp_path: Path) -> None:
    settings = load_settings({"DDD_LLM_HOME": str(tmp_path), "DDD_LLM_KEYS": str(tmp_path / "keys")})
    assert settings.assets == CHECKOUT / "assets"
    judge = permissions_of(settings, rights_config(settings))
    found = {name: judge.objection(name, "module:function") for name in judge.sources}
    assert [name for name, against in found.items() if against] == ["tokenizers"]
    assert found["tokenizers"] == ("no_licence", "the source names no licence")


def test_the_page_shows_decisions_and_no_person(settings: Settings, tmp_path: Path) -> None:
    config = rights_config(settings, date(2026, 8, 1))
    judge = permissions_of(settings, config)
    rows = [
        {"id": f"id{number}", "source": source, "locator": locator, "op": "add", "title": "t", "text": "some text"}
        for number, (source, locator) in enumerate([("notes", "private-corner/a.md"), ("elsewhere", "b.md")])
    ]
    raw = pa.Table.from_pylist(rows, schema=RAW)
    kept, quarantine = govern(raw, judge, EMailMask())
    store = open_store(tmp_path / "store")
    node = Node("governed_documents", "corpus", lambda step: None, partitioned=True)
    expected = Expected((), {}, config, "c" * 32, "f" * 64)
    step = Step(Session.begin(store, "run"), node, settings, expected, "batch-00001", logging.getLogger("test"))
    step.put_table("documents", kept)
    report_governed(step, raw, kept, quarantine, judge)
    held = step.commit()
    assert step.summary["dropped_by_reason"] == {"consent_expired": 1, "unknown_source": 1}
    assert step.summary["as_of"] == "2026-07-01"
    assert step.summary["consents_by_state"] == {"expired": 1}
    assert step.summary["sources_without_whole_provenance"] == []
    files = held.record.files
    page = store.read_bytes(files["report/index.html"]).decode()
    for said in ("MIT OR GPL-3.0-only", "consent C-1 expired on 2026-07-01", "renew the consent", "2026-07-01", "C-1"):
        assert said in page
    assert SUBJECT not in page
    full = json.loads(store.read_bytes(files["report/rights.json"]))
    assert full["licences"]["notes"]["relied_upon"] == ["MIT"]
    assert full["consents"] == {"C-1": "expired"}
    assert set(full["provenance"]["notes"]) == set(FIELDS)
