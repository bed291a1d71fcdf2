"""Typed records of `assets/sources.yaml`: what is read, and how.

Belongs here: the models of the kinds of source. Does not belong here: what a source says of the right to use it
(`rights.records`), reading the YAML file (`platform.inputs`), or the decision to hold a source back (`rights.permissions`).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from ddd_llm.corpus.rights.records import Rights
from ddd_llm.corpus.rights.text import Said, SourceName

_MODULE = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"

ModuleName = Annotated[str, StringConstraints(pattern=_MODULE)]


class Governed(Rights):
    """A source: its name, and (`rights.records`) who owns it and on what ground it may be used."""

    name: SourceName = Field(description="Names the source in every table.")


class PythonPackage(Governed):
    """Docstrings of one installed distribution, pinned to a version."""

    kind: Literal["python_package"]
    package: Said = Field(description="Distribution name, as on the package index.")
    version: Said = Field(description="Exact version; a local part such as +cpu is not compared.")
    modules: list[ModuleName] = Field(min_length=1, description="Import roots to read, dotted names allowed.")
    exclude: list[ModuleName] = Field(default_factory=list, description="Import roots below those to leave out.")


class Records(Governed):
    """A source whose files hold records with named fields."""

    text_field: Said = Field(default="text", description="JSONL key or Parquet or CSV column that holds the text.")
    id_field: Said | None = Field(default=None, description="Key or column that names a record; else its position.")
    title_field: Said | None = None
    date_field: Said | None = Field(default=None, description="Key or column with the document's ISO 8601 date.")
    quality_field: Said | None = Field(default=None, description="Key or column with a finite score; higher is better.")


class Files(Records):
    """A source of files of any supported format, chosen by suffix."""

    include: list[Said] = Field(default=["**/*"], min_length=1, description="Globs relative to the folder or prefix.")
    html: Literal["main", "all"] = Field(default="main", description="Main text without boilerplate, or all visible.")


class Folder(Files):
    """Files below one folder; the format follows the file's suffix."""

    kind: Literal["folder"]
    path: Said = Field(description="Absolute, or relative to the sources file.")


class Bucket(Files):
    """Objects below one prefix of an S3 bucket. Credentials come from the standard AWS environment or profile only."""

    kind: Literal["s3"]
    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    prefix: str = Field(default="", max_length=1024, description="Begin of the keys to read, such as docs/.")
    endpoint_url: str | None = Field(
        default=None,
        pattern=r"^https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._/-]*)?$",
        description="Address of a server other than AWS; it may hold no user, password or query.",
    )


class HfDataset(Records):
    """A folder that Hugging Face `datasets` saved (`save_to_disk`), or a folder of Parquet shards."""

    kind: Literal["hf_dataset"]
    path: Said = Field(description="Absolute, or relative to the sources file.")
    splits: list[ModuleName] | None = Field(default=None, min_length=1, description="Splits to read; null for all.")


Source = Annotated[PythonPackage | Folder | Bucket | HfDataset, Field(discriminator="kind")]


S = TypeVar("S", bound=Governed)


def names_differ(sources: list[S]) -> list[S]:
    """The sources. Raises ValueError: two share a name."""
    twice = sorted(name for name, count in Counter(source.name for source in sources).items() if count > 1)
    if twice:
        raise ValueError(f"two sources share the name {', '.join(twice)}: every source needs its own")
    return sources


class SourcesFile(BaseModel):
    """The whole of `sources.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    sources: list[Source]

    _differ = field_validator("sources")(names_differ)


def resolve_root(source: Source, sources_file: Path) -> Path:
    """Folder a source is read from: a relative path counts from the sources file.

    A package is found through the running interpreter, a bucket over the network; their root is the sources file's
    folder and is not looked at.
    """
    home = sources_file.resolve().parent
    return home / Path(source.path).expanduser() if isinstance(source, Folder | HfDataset) else home
