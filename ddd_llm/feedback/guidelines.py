"""Annotation guidelines: versioned Markdown documents with a label schema, and which labels a change of one concerns.

Belongs here: reading a guideline, comparing two versions, judging a label by the comparison. Does not: labels' own form
(`labels`) or agreement on them (`agreement`).

A guideline is `assets/guidelines/NAME.md`; its earlier versions are kept as `assets/guidelines/earlier/NAME.vN.md`. Sections are
headings with an id, `## Edge cases {#edge-cases}`. One that draws the border of certain classes only says so, naming every class
on either side: `### No default {#no-default concerns=correct,wrong}`; one without `concerns` concerns every label.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ddd_llm.feedback.labels import ChoiceValue, Label, LabelSchema, Name, PreferenceValue
from ddd_llm.platform.approvals import Approvable
from ddd_llm.platform.inputs import InputError, load_front_matter
from ddd_llm.platform.settings import Settings

FOLDER = "guidelines"
EARLIER = "earlier"
REQUIRED = ("definitions", "examples", "counter-examples", "edge-cases")
_HEADING = re.compile(
    r"^(?P<level>#{2,4}) (?P<title>.+?) *\{#(?P<id>[a-z][a-z0-9-]*)(?: +concerns=(?P<concerns>[a-z0-9_,-]+))?\} *$"
)
_ANY_HEADING = re.compile(r"^#{2,4} ")

State = Literal["current", "stale", "unknown_version"]


class Section(BaseModel):
    """One headed part. `concerns` names the choices, rubrics or error types whose border it draws; empty: everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str
    concerns: tuple[str, ...] = ()
    text: str

    @property
    def said(self) -> tuple[str, tuple[str, ...], str]:
        """What counts as its content: line breaks and spaces do not."""
        return " ".join(self.title.split()), self.concerns, " ".join(self.text.split())


class Guideline(Approvable):
    """How to label, who may, and who decides when they disagree."""

    name: Name
    title: str = Field(min_length=1)
    domain: str = Field(min_length=1, description="What one must know to label by it.")
    label_schema: LabelSchema
    qualifications: tuple[str, ...] = Field(default=(), description="What an annotator must have shown.")
    adjudicators: tuple[str, ...] = Field(default=(), description="Who decides disputed items.")
    sections: tuple[Section, ...]

    @model_validator(mode="after")
    def _is_complete(self) -> Guideline:
        ids = [section.id for section in self.sections]
        if twice := sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"two sections have the id {', '.join(twice)}")
        if absent := [name for name in REQUIRED if name not in ids]:
            raise ValueError(f"no section with the id {', '.join(absent)}")
        schema = self.label_schema
        known = {*schema.choices, *schema.rubrics, *schema.error_types, *schema.missing_types}
        if unknown := sorted({name for s in self.sections for name in s.concerns} - known):
            raise ValueError(f"sections concern {', '.join(unknown)}, which the label schema does not have")
        return self


def load_guideline(path: Path) -> Guideline:
    """Read one guideline. Raises InputError."""
    body, make = load_front_matter(path)
    return make(Guideline, {"sections": _sections(path, body)})


def load_guidelines(folder: Path) -> dict[str, Guideline]:
    """The current guidelines by name. Raises InputError, also for a file not named after its guideline."""
    found = {path: load_guideline(path) for path in sorted(folder.glob("*.md")) if path.name != "README.md"}
    for path, guideline in found.items():
        if path.stem != guideline.name:
            raise InputError(f"{path}: name: is {guideline.name}, so the file must be {guideline.name}.md")
    return {guideline.name: guideline for guideline in found.values()}


def load_versions(folder: Path) -> dict[tuple[str, int], Guideline]:
    """Current and earlier guidelines by name and version. Raises InputError, also for a version that two files claim."""
    found = {(g.name, g.version): g for g in load_guidelines(folder).values()}
    for path in sorted((folder / EARLIER).glob("*.md")):
        guideline = load_guideline(path)
        if (guideline.name, guideline.version) in found:
            raise InputError(f"{path}: version: {guideline.version} of {guideline.name} stands in another file, too")
        found[guideline.name, guideline.version] = guideline
    return found


def guidelines_of(settings: Settings) -> dict[str, Guideline]:
    """The current guidelines of this installation. Raises InputError."""
    return load_guidelines(settings.assets / FOLDER)


def _sections(path: Path, body: str) -> list[Section]:
    found: list[tuple[re.Match[str], list[str]]] = []
    for line in body.splitlines():
        match = _HEADING.match(line)
        if match:
            found.append((match, []))
        elif _ANY_HEADING.match(line):
            raise InputError(f"{path}: {line.strip()}: a heading needs an id: `## Title {{#id}}`")
        elif found:
            found[-1][1].append(line)
    return [
        Section(
            id=match["id"],
            title=match["title"],
            concerns=tuple(sorted(set((match["concerns"] or "").split(",")) - {""})),
            text="\n".join(lines).strip(),
        )
        for match, lines in found
    ]


@dataclass(frozen=True)
class Changes:
    """What differs between two versions of a guideline.

    Attributes:
        sections: id -> what it concerns ((): everything), of sections reworded, new or gone.
        withdrawn: choices, rubrics and types that the later version no longer has.
        added: those it has and the earlier had not.
    """

    sections: dict[str, tuple[str, ...]]
    withdrawn: frozenset[str]
    added: frozenset[str]


def changes(earlier: Guideline, later: Guideline) -> Changes:
    """Compare two versions of one guideline."""
    before = {section.id: section for section in earlier.sections}
    after = {section.id: section for section in later.sections}
    touched: dict[str, tuple[str, ...]] = {}
    for name in sorted(before.keys() | after.keys()):
        one, two = before.get(name), after.get(name)
        if one is None or two is None or one.said != two.said:
            sides = [side.concerns for side in (one, two) if side is not None]
            touched[name] = () if () in sides else tuple(sorted({n for side in sides for n in side}))
    old, new = _vocabulary(earlier.label_schema), _vocabulary(later.label_schema)
    return Changes(touched, frozenset(old - new), frozenset(new - old))


def _vocabulary(schema: LabelSchema) -> set[str]:
    return {*schema.choices, *schema.rubrics, *schema.error_types, *schema.missing_types}


def vocabulary_of(label: Label) -> frozenset[str]:
    """The choices, rubrics or types that a label uses."""
    value = label.value
    if isinstance(value, ChoiceValue):
        return frozenset({value.choice})
    if isinstance(value, PreferenceValue):
        return frozenset(value.rubrics)
    return frozenset({s.type for s in value.spans} | {m.type for m in value.missing})


def state_of(label: Label, versions: Mapping[tuple[str, int], Guideline]) -> tuple[State, tuple[str, ...]]:
    """Whether a label still stands under the current version of its guideline.

    Args:
        label: the label.
        versions: current and earlier guidelines; the highest version of a name is the current one.

    Returns:
        The state, and the sections (`#id`) and words that make it stale.
    """
    numbers = [version for name, version in versions if name == label.guideline]
    made = int(label.guideline_version) if label.guideline_version.isdigit() else None
    if not numbers or made is None or (label.guideline, made) not in versions:
        return "unknown_version", ()
    if made == max(numbers):
        return "current", ()
    found = changes(versions[label.guideline, made], versions[label.guideline, max(numbers)])
    mine = vocabulary_of(label)
    reasons = [
        f"#{section}"
        for section, concerns in found.sections.items()
        if not concerns or section in label.sections or mine & set(concerns)
    ]
    reasons += sorted(mine & found.withdrawn)
    return ("stale", tuple(reasons)) if reasons else ("current", ())
