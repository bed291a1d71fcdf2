"""Guidelines: reading them, what a change of one concerns, and those that come with the project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ddd_llm.feedback.guidelines import changes, load_guideline, load_guidelines, load_versions, state_of
from ddd_llm.platform.inputs import InputError
from ddd_llm.platform.settings import CHECKOUT
from ddd_llm_tests.feedback.samples import SECTIONS, guideline, item, label

FILE = """---
name: by-choice
version: 2
title: Right or wrong
domain: arithmetic
label_schema:
  kind: choice
  choices: [right, wrong]
adjudicators: [olga]
approved_by: null
approved_on: null
approved_version: null
approved_digest: null
---
# Right or wrong

An introduction.

## Definitions {#definitions}
Right is what is so.

### Rounding {#rounding concerns=right}
To two places.

## Examples {#examples}
1 + 1 = 2 is right.
## Counter-examples {#counter-examples}
1 + 1 = 3 is not.
## Edge cases {#edge-cases}
Infinity.
"""


def write(folder: Path, text: str = FILE, name: str = "by-choice.md") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_guideline_is_read_with_its_sections(tmp_path: Path) -> None:
    found = load_guideline(write(tmp_path))
    assert [s.id for s in found.sections] == ["definitions", "rounding", "examples", "counter-examples", "edge-cases"]
    assert found.sections[1].concerns == ("right",)
    assert found.sections[0].text == "Right is what is so."
    assert found.label_schema.choices == ("right", "wrong")


def test_approving_it_does_not_change_what_was_approved(tmp_path: Path) -> None:
    before = load_guideline(write(tmp_path))
    after = load_guideline(write(tmp_path, FILE.replace("approved_by: null", "approved_by: Ada")))
    assert before.digest == after.digest
    assert before.digest != load_guideline(write(tmp_path, FILE.replace("Infinity.", "Zero."))).digest


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("---\nname", "name", ":1: the file must begin with YAML"),
        ("version: 2", "version: two", ":3: version"),
        ("  kind: choice", "  kind: essay", ":7: label_schema.kind"),
        ("## Edge cases {#edge-cases}", "## Edge cases", "a heading needs an id"),
        ("## Edge cases {#edge-cases}\nInfinity.", "", "no section with the id edge-cases"),
        ("{#edge-cases}", "{#examples}", "two sections have the id examples"),
        ("concerns=right", "concerns=left", "sections concern left"),
        ("domain: arithmetic", "domian: arithmetic", "domian"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in FILE
    with pytest.raises(InputError) as refused:
        load_guideline(write(tmp_path, FILE.replace(old, new)))
    assert said in str(refused.value)
    assert "by-choice.md" in str(refused.value)


def test_files_are_named_after_their_guideline_and_versions_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path / "earlier", FILE.replace("version: 2", "version: 1"), "by-choice.v1.md")
    assert list(load_guidelines(tmp_path)) == ["by-choice"]
    assert set(load_versions(tmp_path)) == {("by-choice", 1), ("by-choice", 2)}
    write(tmp_path / "earlier", FILE, "by-choice.v2.md")
    with pytest.raises(InputError, match="stands in another file"):
        load_versions(tmp_path)
    write(tmp_path, FILE, "other.md")
    with pytest.raises(InputError, match=r"must be by-choice\.md"):
        load_guidelines(tmp_path)


def reworded(name: str, **more: Any) -> list[Any]:
    return [{**s, **({"text": "Said otherwise."} if s["id"] == name else {}), **more} for s in SECTIONS]


def border(text: str, *concerns: str) -> list[Any]:
    return [*SECTIONS, {"id": "border", "title": "Border", "text": text, "concerns": concerns}]


def test_a_label_is_stale_when_what_changed_concerns_it() -> None:
    made = label(item(), sections=("examples",))
    one = guideline()
    assert state_of(made, {("by-choice", 1): one}) == ("current", ())

    def after(**content: Any) -> tuple[str, tuple[str, ...]]:
        return state_of(made, {("by-choice", 1): one, ("by-choice", 2): guideline(version=2, **content)})

    assert after() == ("current", ())
    assert after(title="Another title", adjudicators=("nina",)) == ("current", ())
    assert after(sections=reworded("definitions")) == ("stale", ("#definitions",))
    assert after(sections=border("New.", "wrong")) == ("current", ())
    assert after(sections=border("New.", "right", "wrong")) == ("stale", ("#border",))
    assert after(sections=border("New.")) == ("stale", ("#border",))
    assert after(label_schema={"kind": "choice", "choices": ["wrong", "refused"]}) == ("stale", ("right",))
    assert after(label_schema={"kind": "choice", "choices": ["right", "wrong", "refused", "odd"]})[0] == "current"


def test_a_section_that_the_annotator_rested_on_concerns_him_whatever_it_is_about() -> None:
    old = guideline(sections=border("Old.", "wrong"))
    new = guideline(version=2, sections=border("New.", "wrong"))
    versions = {("by-choice", 1): old, ("by-choice", 2): new}
    assert state_of(label(item(), sections=("border",)), versions) == ("stale", ("#border",))
    assert state_of(label(item()), versions)[0] == "current"


def test_white_space_is_no_change_and_a_section_that_is_gone_is_one() -> None:
    wrapped = [{**s, "text": f"  {s['text'].replace(' ', chr(10))}\n"} for s in SECTIONS]
    assert changes(guideline(), guideline(version=2, sections=wrapped)).sections == {}
    assert changes(guideline(sections=border("x", "right")), guideline(version=2)).sections == {"border": ("right",)}


def test_a_version_nobody_knows_is_told_apart() -> None:
    made = label(item(), guideline_version="7")
    assert state_of(made, {("by-choice", 1): guideline()}) == ("unknown_version", ())
    assert state_of(label(item(), guideline_version="draft"), {})[0] == "unknown_version"


def test_the_guidelines_that_come_with_the_project() -> None:
    found = load_guidelines(CHECKOUT / "assets" / "guidelines")
    assert {g.label_schema.kind for g in found.values()} == {"choice", "preference", "spans"}
    for one in found.values():
        for section in one.sections:
            assert len(section.text) > 40, f"{one.name}#{section.id}"
        concerned = {name for section in one.sections for name in section.concerns}
        schema = one.label_schema
        for name in (*schema.choices, *schema.error_types, *schema.missing_types, *schema.rubrics):
            assert name in concerned, f"{one.name}: no section draws the border of {name}"
