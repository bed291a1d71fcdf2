"""Plans that somebody must stand behind: which version of a file was approved, by whom, and whether it still says the same.

Belongs here: the fields of an approval, the judgement on it, and writing it into a file. Does not: any plan's content.
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ddd_llm.store.canonical import digest_value

FIELDS = ("approved_by", "approved_on", "approved_version", "approved_digest", "valid_until")


class Approvable(BaseModel):
    """A file with a version and the name of who answers for it. What is approved is `digest`, not the file's bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(ge=1, description="Goes up with every change of what `digest` covers.")
    approved_by: str | None = Field(
        default=None, min_length=1, description="Who answers for this version; null: nobody yet."
    )
    approved_on: date | None = None
    approved_version: int | None = Field(default=None, ge=1, description="The version that was approved.")
    approved_digest: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="The `digest` that was approved."
    )
    valid_until: date | None = Field(default=None, description="Last day of the approval; null: it does not expire.")

    @model_validator(mode="after")
    def _ends_after_it_began(self) -> Approvable:
        if self.approved_on and self.valid_until and self.valid_until < self.approved_on:
            raise ValueError("valid_until is before approved_on")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of what an approval covers: everything but the approval itself and the version."""
        return digest_value(self.model_dump(mode="json", exclude={*FIELDS, "version"}))


def objection(plan: Approvable, what: str, today: date | None = None) -> str | None:
    """Why a plan may not be relied on, in a sentence that begins with the fault; None when it may.

    Args:
        plan: as it stands now.
        what: its name in the sentence.
        today: the day on which it is relied on; None leaves its expiry out.
    """
    approved = plan.approved_version
    if None in (plan.approved_by, plan.approved_on, approved, plan.approved_digest):
        return f"Nobody has approved version {plan.version} of {what}."
    if plan.approved_digest != plan.digest and plan.version == approved:
        return (
            f"{what[:1].upper()}{what[1:]} has changed since version {approved} was approved, but the version has not: "
            "raise it and have it approved."
        )
    if plan.version != approved or plan.approved_digest != plan.digest:
        return f"Version {plan.version} of {what} is not approved; version {approved} was."
    if today is not None and plan.approved_on is not None and today < plan.approved_on:
        return f"The approval of {what} begins on {plan.approved_on}."
    if today is not None and plan.valid_until is not None and today > plan.valid_until:
        return f"The approval of {what} ended on {plan.valid_until}."
    return None


def approve(path: Path, version: int, digest: str, by: str, on: date) -> None:
    """Write the approval of a version and its digest into a plan's file; comments and everything else stay.

    The fields must be there already, one a line at the left margin, as in the files that come with the project.

    Raises:
        ValueError: a field is not there, or `by` is empty.
    """
    if not by.strip():
        raise ValueError("an approval needs a name")
    text = path.read_text(encoding="utf-8")
    values = {
        "approved_by": '"' + by.strip().replace("\\", "\\\\").replace('"', '\\"') + '"',
        "approved_on": on.isoformat(),
        "approved_version": str(version),
        "approved_digest": digest,
    }
    for name, value in values.items():
        text, count = re.subn(
            rf"^({name}:)[ \t]*(\"(?:[^\"\\]|\\.)*\"|[^#\n\"]*?)([ \t]*#[^\n]*)?$",
            lambda found, value=value: f"{found[1]} {value}{found[3] or ''}",
            text,
            count=1,
            flags=re.MULTILINE,
        )
        if not count:
            raise ValueError(f"{path}: no line `{name}:` to write the approval into")
    path.write_text(text, encoding="utf-8")
