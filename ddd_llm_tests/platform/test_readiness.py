"""Approvals, and training that refuses to begin without them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.platform import readiness
from ddd_llm.platform.approvals import Approvable, approve, objection
from ddd_llm.platform.inputs import InputError, load_yaml
from ddd_llm.platform.settings import Settings, load_settings

DAY = date(2026, 11, 26)
PLAN = """# A comment that must stay.
version: 3
approved_by: null             # who
approved_on: null             # since when
approved_version: null
approved_digest: null         # of what
least: 5                      # the content
"""


class Plan(Approvable):
    least: int


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An installation whose five plans are five files of one form."""

    def documents(name: str):
        file = name.replace(" ", "-") + ".yaml"
        return lambda s: [(f"the {name}", s.assets / file, load_yaml(s.assets / file, Plan))]

    for name in readiness.REQUIRED:
        (tmp_path / (name.replace(" ", "-") + ".yaml")).write_text(PLAN)
        monkeypatch.setitem(readiness.PLANS, name, documents(name))
    return load_settings({"DDD_LLM_ASSETS": str(tmp_path), "DDD_LLM_HOME": str(tmp_path / "home")})


def sign(path: Path) -> None:
    plan = load_yaml(path, Plan)
    approve(path, plan.version, plan.digest, "Ada Example", DAY)


def sign_all(settings: Settings) -> None:
    for path in settings.assets.glob("*.yaml"):
        sign(path)


def test_an_approval_is_written_into_the_file_and_nothing_else_changes(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    before = load_yaml(path, Plan)
    sign(path)
    after = load_yaml(path, Plan)
    assert objection(after, "the plan", DAY) is None
    assert (after.digest, after.least, after.approved_by) == (before.digest, 5, "Ada Example")
    lines = path.read_text().splitlines()
    assert [line for line in lines if not line.startswith("approved_")] == [
        line for line in PLAN.splitlines() if not line.startswith("approved_")
    ]
    assert [line.partition("#")[2] for line in lines] == [line.partition("#")[2] for line in PLAN.splitlines()]
    sign(path)  # again
    assert load_yaml(path, Plan) == after


@given(name=st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1))
def test_any_name_reads_back(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    path = tmp_path_factory.mktemp("plans") / "plan.yaml"
    path.write_text(PLAN)
    if not name.strip():
        with pytest.raises(ValueError, match="needs a name"):
            approve(path, 3, "a" * 64, name, DAY)
        return
    approve(path, 3, "a" * 64, name, DAY)
    approve(path, 3, "b" * 64, name, DAY)
    assert yaml.safe_load(path.read_text())["approved_by"] == name.strip()
    assert load_yaml(path, Plan).approved_digest == "b" * 64


def test_a_file_without_the_fields_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("version: 1\nleast: 2\n")
    with pytest.raises(ValueError, match="no line `approved_by:`"):
        approve(path, 1, "a" * 64, "Ada", DAY)
    assert path.read_text() == "version: 1\nleast: 2\n"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"least": 6}, "has changed since version 3 was approved"),
        ({"version": 4}, "Version 4 of the plan is not approved; version 3 was"),
        ({"version": 4, "least": 6}, "Version 4 of the plan is not approved"),
        ({"approved_by": None}, "Nobody has approved version 3 of the plan"),
        ({"approved_digest": None}, "Nobody has approved"),
        ({"valid_until": date(2026, 11, 26), "approved_on": date(2026, 11, 27)}, "valid_until is before approved_on"),
        ({"approved_on": date(2026, 11, 27)}, "begins on 2026-11-27"),
        ({"approved_on": date(2026, 1, 1), "valid_until": date(2026, 11, 25)}, "ended on 2026-11-25"),
        ({"valid_until": date(2026, 11, 26)}, None),
    ],
)
def test_only_what_was_approved_may_be_relied_on(edit: dict, said: str | None) -> None:
    plan = Plan(version=3, least=5)
    signed = {"approved_by": "Ada", "approved_on": DAY, "approved_version": 3, "approved_digest": plan.digest}
    try:
        found = objection(Plan.model_validate(plan.model_dump() | signed | edit), "the plan", DAY)
    except ValueError as error:
        found = str(error)
    assert (found is None) == (said is None)
    assert said is None or said in str(found)


def test_training_begins_only_when_every_plan_is_approved(settings: Settings) -> None:
    with pytest.raises(InputError) as refused:
        readiness.require(settings, DAY)
    for name in readiness.REQUIRED:
        assert f"{name}: Nobody has approved version 3 of the {name}" in str(refused.value)
    assert "ddd-llm plans approve" in str(refused.value)
    sign_all(settings)
    rows = readiness.require(settings, DAY)
    assert [row.plan for row in rows] == list(readiness.REQUIRED)
    assert {row.approved_by for row in rows} == {"Ada Example"}


@pytest.mark.parametrize("name", readiness.REQUIRED)
@pytest.mark.parametrize("harm", ["gone", "changed", "broken", "unread", "empty"])
def test_one_plan_that_is_not_in_order_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str, harm: str
) -> None:
    sign_all(settings)
    path = settings.assets / (name.replace(" ", "-") + ".yaml")
    if harm == "gone":
        path.unlink()
    elif harm == "changed":
        path.write_text(path.read_text().replace("least: 5", "least: 4"))
    elif harm == "broken":
        path.write_text("version: [")
    elif harm == "unread":
        monkeypatch.delitem(readiness.PLANS, name)
    else:
        monkeypatch.setitem(readiness.PLANS, name, lambda settings: [])
    with pytest.raises(InputError) as refused:
        readiness.require(settings, DAY)
    named = [line for line in str(refused.value).splitlines() if line.startswith("  ")]
    assert len(named) == 1
    assert named[0].startswith(f"  {name}: ")


def test_a_plan_nobody_asks_for_cannot_be_added() -> None:
    with pytest.raises(ValueError, match="the plans are"):
        readiness.add_plan("wishes", lambda settings: [])
