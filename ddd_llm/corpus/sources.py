"""Typed records of `assets/sources.yaml`: what is read, who owns it and on what grounds it may be used.

Belongs here: the models and what makes them well formed. Does not belong here: reading the YAML file
(`platform.inputs`) or the decision to hold a source back (`governance`): a source without licence or legal basis is a
valid record.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from license_expression import ExpressionError, Licensing, get_spdx_licensing
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

_LICENCE_REF = re.compile(r"(DocumentRef-[A-Za-z0-9.-]+:)?LicenseRef-[A-Za-z0-9.-]+")
_MODULE = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"

Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
ModuleName = Annotated[str, StringConstraints(pattern=_MODULE)]


class LegalBasis(StrEnum):
    """Ground on which the documents of a source may be processed."""

    LICENCE = "licence"
    CONSENT = "consent"
    CONTRACT = "contract"
    LEGITIMATE_INTEREST = "legitimate_interest"
    PUBLIC_DOMAIN = "public_domain"
    OWN_WORK = "own_work"


class Purpose(StrEnum):
    """Use that the legal basis covers. Only `training` lets a document into the corpus."""

    TRAINING = "training"
    EVALUATION = "evaluation"
    RETRIEVAL = "retrieval"
    RESEARCH = "research"


class Governed(BaseModel):
    """What every source says of itself. A null licence, evidence or legal basis is legal here and quarantined later."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="Names the source in every table.")
    owner: Said = Field(description="Person or body that holds the rights.")
    licence: str | None = Field(default=None, description="SPDX licence expression, or null when it is not known.")
    licence_evidence: Said | None = Field(default=None, description="File, address or metadata field that says so.")
    legal_basis: LegalBasis | None = None
    purpose: list[Purpose] = Field(description="Uses the legal basis covers.")
    collected: date = Field(description="Day on which the documents were collected.")

    @field_validator("licence")
    @classmethod
    def _licence_is_spdx(cls, value: str | None) -> str | None:
        return None if value is None else canonical_licence(value)


class PythonPackage(Governed):
    """Docstrings of one installed distribution, pinned to a version."""

    kind: Literal["python_package"]
    package: Said = Field(description="Distribution name, as on the package index.")
    version: Said = Field(description="Exact version; a local part such as +cpu is not compared.")
    modules: list[ModuleName] = Field(min_length=1, description="Import roots to read, dotted names allowed.")
    exclude: list[ModuleName] = Field(default_factory=list, description="Import roots below those to leave out.")


class Folder(Governed):
    """Files below one folder; the format follows the file's suffix."""

    kind: Literal["folder"]
    path: Said = Field(description="Absolute, or relative to the sources file.")
    include: list[Said] = Field(default=["**/*"], min_length=1, description="Globs relative to the folder.")
    text_field: Said = Field(default="text", description="JSONL key or Parquet column that holds the text.")
    id_field: Said | None = Field(default=None, description="Key or column that names a record; else its position.")
    title_field: Said | None = None


Source = Annotated[PythonPackage | Folder, Field(discriminator="kind")]


class SourcesFile(BaseModel):
    """The whole of `sources.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    sources: list[Source]

    @field_validator("sources")
    @classmethod
    def _names_differ(cls, value: list[PythonPackage | Folder]) -> list[PythonPackage | Folder]:
        twice = sorted(name for name, count in Counter(source.name for source in value).items() if count > 1)
        if twice:
            raise ValueError(f"two sources share the name {', '.join(twice)}: every source needs its own")
        return value


def canonical_licence(expression: str) -> str:
    """The SPDX expression in canonical spelling (`apache-2.0` becomes `Apache-2.0`).

    Raises:
        ValueError: not an SPDX expression, or a licence that SPDX does not list (`LicenseRef-...` names one's own).
    """
    licensing = _licensing()
    try:
        parsed = licensing.parse(expression, strict=True)
    except ExpressionError as error:
        raise ValueError(f"not an SPDX licence expression: {error}") from None
    if parsed is None:
        raise ValueError("not an SPDX licence expression: it is empty (write null for a licence that is not known)")
    unknown = [key for key in licensing.unknown_license_keys(parsed) if not _LICENCE_REF.fullmatch(key)]
    if unknown:
        raise ValueError(
            f"SPDX lists no licence {', '.join(unknown)}: use an identifier from spdx.org/licenses, "
            "LicenseRef-NAME for a licence of your own, or null when it is not known"
        )
    return str(parsed)


@cache
def _licensing() -> Licensing:
    return get_spdx_licensing()


def resolve_root(source: PythonPackage | Folder, sources_file: Path) -> Path:
    """Folder a source is read from: a relative path counts from the sources file.

    A package is found through the running interpreter; its root is the sources file's folder and is not looked at.
    """
    home = sources_file.resolve().parent
    return home if isinstance(source, PythonPackage) else home / Path(source.path).expanduser()
