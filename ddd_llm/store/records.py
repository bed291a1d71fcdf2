"""What one write of one asset leaves behind: the record, the commit of everything it names.

Belongs here: the record's shape and what follows from it alone. Does not belong here: reading or writing it.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ddd_llm.store.canonical import digest_value

# Part of every fingerprint: raise it when the way tables become bytes changes.
STORE_FORMAT = 2
REPORT = "report/"


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ObjectRef(Frozen):
    """An immutable file: SHA-256 of its bytes, size in bytes, media type."""

    digest: str
    size: int
    media_type: str


class Segment(Frozen):
    """One part of a table, normally one corpus batch, so that a change costs what changed.

    `derived_from` names the digest of the input segment it was computed from, when it depends on nothing else but
    config and code.
    """

    name: str
    object: ObjectRef
    rows: int
    derived_from: str | None = None


class TableRef(Frozen):
    """A table: column names and Arrow types, and its segments in order."""

    columns: dict[str, str]
    segments: tuple[Segment, ...]

    @property
    def rows(self) -> int:
        """Rows over all segments."""
        return sum(segment.rows for segment in self.segments)


class Pin(Frozen):
    """An input as it was read: which record, and the digest of the data it held."""

    role: str
    asset: str
    partition: str | None
    record: str
    content: str


class Record(Frozen):
    """One write of one asset (partition). Immutable; named by the SHA-256 of its canonical JSON."""

    format: int = STORE_FORMAT
    asset: str
    partition: str | None = None
    tables: dict[str, TableRef] = Field(default_factory=dict)
    main_table: str | None = None
    files: dict[str, ObjectRef] = Field(default_factory=dict)
    inputs: tuple[Pin, ...] = ()
    fingerprint: str
    code_version: str
    config: dict[str, Any] = Field(default_factory=dict)
    required_checks: tuple[str, ...] = ()
    sources: tuple[dict[str, Any], ...] = ()
    summary: dict[str, Any] = Field(default_factory=dict)
    timings: dict[str, float] = Field(default_factory=dict)
    libraries: dict[str, str] = Field(default_factory=dict)
    hardware: dict[str, Any] = Field(default_factory=dict)
    run_id: str
    started: str
    finished: str

    @property
    def label(self) -> str:
        """What people call it: `asset`, or `asset[partition]`."""
        return self.asset if self.partition is None else f"{self.asset}[{self.partition}]"

    @property
    def rows(self) -> int:
        """Rows of the main table; over all tables where none is the main one."""
        if self.main_table is not None:
            return self.tables[self.main_table].rows
        return sum(table.rows for table in self.tables.values())

    @property
    def data_version(self) -> str:
        """Digest over all of the record's objects: equal bytes, equal version, whenever and wherever made."""
        return digest_value([self._content(), self._named_files(report=True)])

    @property
    def content(self) -> str:
        """Digest over the objects that downstream assets compute from: all but the report pages."""
        return digest_value(self._content())

    def _content(self) -> list[Any]:
        # A batch that brought no rows leaves the data what it was: its empty segment counts only where there is nothing else.
        tables = {
            name: [[s.name, s.object.digest] for s in table.segments if s.rows] or table.columns
            for name, table in sorted(self.tables.items())
        }
        return [tables, self._named_files(report=False)]

    def _named_files(self, report: bool) -> dict[str, str]:
        return {name: ref.digest for name, ref in self.files.items() if name.startswith(REPORT) == report}

    def objects(self) -> dict[str, ObjectRef]:
        """Every object the record names, keyed by a readable name."""
        named = {
            f"{name}/{segment.name}": segment.object
            for name, table in self.tables.items()
            for segment in table.segments
        }
        return named | dict(self.files)

    def pin(self, role: str, digest: str) -> Pin:
        """The pin with which a reader of this record (named `digest`) holds on to it."""
        return Pin(role=role, asset=self.asset, partition=self.partition, record=digest, content=self.content)


def fingerprint(asset: str, partition: str | None, inputs: list[Pin], config: dict[str, Any], code_version: str) -> str:
    """Whether two writes would do the same work: same input data, config and code."""
    pins = sorted([p.role, p.asset, p.partition or "", p.content] for p in inputs)
    return digest_value([STORE_FORMAT, asset, partition, pins, config, code_version])
