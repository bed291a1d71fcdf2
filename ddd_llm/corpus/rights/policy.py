"""The rights policy that compliance edits, `assets/policies/rights.yaml`: what is allowed, what must be said, who may opt out.

Belongs here: the file's model. Does not belong here: how a part of it is judged (the module of that name).
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ddd_llm.corpus.rights.licences import LicencePolicy
from ddd_llm.corpus.rights.provenance import FIELDS, WHERE_APPLICABLE
from ddd_llm.corpus.rights.text import Said


class ProvenancePolicy(BaseModel):
    """Which of the 22 fields a source may not leave open."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mandatory: list[str] = Field(default=[name for name in FIELDS if name not in WHERE_APPLICABLE])

    @field_validator("mandatory")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        unknown = [name for name in value if name not in FIELDS]
        if unknown:
            raise ValueError(f"no such field: {', '.join(unknown)} (there are {', '.join(FIELDS)})")
        return list(dict.fromkeys(value))


class OptOutPolicy(BaseModel):
    """Whose wish not to be learned from counts, beside the flags and files that a source itself has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user_agents: list[Said] = Field(
        default=["*"], min_length=1, description="robots.txt that shuts out any of these shuts out the document."
    )
    lists: list[Said] = Field(
        default_factory=list, description="Files of domains and addresses, relative to this one or absolute."
    )


class RightsPolicy(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    approved_by: str | None = None
    approved_on: date | None = None
    licences: LicencePolicy
    consents: Said = Field(default="consents.yaml", description="The register: YAML, or JSONL with one entry a line.")
    provenance: ProvenancePolicy = Field(default_factory=ProvenancePolicy)
    opt_out: OptOutPolicy = Field(default_factory=OptOutPolicy)
