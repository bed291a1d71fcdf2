"""The artifact store: objects, records, attestations, heads; every read verified, every write whole or absent.

Knows nothing of stages. Runs read through a `Session` (one consistent snapshot); tools read through this class.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from ddd_llm.store import canonical
from ddd_llm.store.backend import Backend, LocalBackend
from ddd_llm.store.errors import Corrupt, NotFound, StoreError
from ddd_llm.store.log import UNPARTITIONED, Entry, Log, safe_name
from ddd_llm.store.records import ObjectRef, Record, Segment, TableRef

PARQUET = "application/vnd.apache.parquet"


def object_key(digest: str) -> str:
    """The key of an object."""
    return f"objects/{digest[:2]}/{digest}"


def record_key(digest: str) -> str:
    """The key of a record."""
    return f"records/{digest[:2]}/{digest}.json"


def now() -> str:
    """UTC time as ISO 8601, for records and entries (never inside objects)."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def open_store(uri: str | Path) -> ArtifactStore:
    """The store at a folder path or `file://` URI.

    Raises:
        StoreError: a URI scheme this build has no backend for.
    """
    text = str(uri)
    scheme, found, rest = text.partition("://")
    if not found:
        return ArtifactStore(LocalBackend(Path(text)))
    if scheme == "file":
        return ArtifactStore(LocalBackend(Path(unquote(rest))))
    raise StoreError(f"no backend for {scheme}:// stores in this version: use a local folder")


class ArtifactStore:
    """Content-addressed artifacts over any `Backend`."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    # objects ---------------------------------------------------------------------------------------------------

    def put_bytes(self, data: bytes, media_type: str) -> ObjectRef:
        """Store bytes; the same bytes are stored once, and a damaged copy is replaced."""
        return self._put(data, canonical.digest(data), len(data), media_type)

    def put_file(self, path: Path, media_type: str = "application/octet-stream") -> ObjectRef:
        """Store a file's bytes without holding them in memory."""
        digest, size = canonical.file_digest(path)
        return self._put(path, digest, size, media_type)

    def _put(self, data: bytes | Path, digest: str, size: int, media_type: str) -> ObjectRef:
        key = object_key(digest)
        if not self.backend.create(key, data):
            try:
                with self.backend.open(key) as stream:
                    intact = canonical.stream_digest(stream)[0] == digest
                self.backend.touch(key)
            except NotFound:
                # Garbage collection removed it between our two looks.
                intact = False
            if not intact:
                self.backend.replace(key, data)
        return ObjectRef(digest=digest, size=size, media_type=media_type)

    def put_segment(self, name: str, table: pa.Table, derived_from: str | None = None) -> Segment:
        """Store one segment of a table as deterministic Parquet."""
        ref = self.put_bytes(canonical.parquet_bytes(table), PARQUET)
        return Segment(name=name, object=ref, rows=table.num_rows, derived_from=derived_from)

    def put_table(self, segments: Iterable[tuple[str, pa.Table]]) -> TableRef:
        """Store a table as named segments of one schema; an empty table is one segment without rows.

        Raises:
            StoreError: no segment at all, or segments whose columns differ.
        """
        stored: list[Segment] = []
        columns: dict[str, str] | None = None
        for name, table in segments:
            if columns is not None and canonical.schema_of(table) != columns:
                raise StoreError(f"segment {name}: its columns {canonical.schema_of(table)} are not {columns}")
            columns = canonical.schema_of(table)
            stored.append(self.put_segment(name, table))
        if columns is None:
            raise StoreError("a table needs at least one segment")
        return TableRef(columns=columns, segments=tuple(stored))

    def read_bytes(self, ref: ObjectRef) -> bytes:
        """An object's bytes, checked against its digest. Raises NotFound, Corrupt."""
        data = self.backend.read(object_key(ref.digest))
        if canonical.digest(data) != ref.digest:
            raise Corrupt(f"object {ref.digest}: stored bytes do not match the digest")
        return data

    def fetch(self, ref: ObjectRef, target: Path) -> None:
        """Copy an object to a file and check the copy. Raises NotFound, Corrupt (and leaves no file)."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with self.backend.open(object_key(ref.digest)) as source, target.open("wb") as out:
            while piece := source.read(canonical.CHUNK):
                out.write(piece)
        if canonical.file_digest(target)[0] != ref.digest:
            target.unlink()
            raise Corrupt(f"object {ref.digest}: stored bytes do not match the digest")

    def checkout(self, record: Record, prefix: str, target: Path) -> Path:
        """Copy a record's files under `prefix` (e.g. "model/") into a folder, verified. Returns the folder."""
        chosen = {name: ref for name, ref in record.files.items() if name.startswith(prefix)}
        if not chosen:
            raise NotFound(f"{record.asset} holds no files under {prefix}")
        for name, ref in chosen.items():
            self.fetch(ref, target / name.removeprefix(prefix))
        return target

    def read_table(self, table: TableRef, columns: Iterable[str] | None = None) -> pa.Table:
        """All segments of a table as one, each verified."""
        wanted = list(columns) if columns is not None else None
        parts = [self.read_segment(segment, wanted) for segment in table.segments]
        return pa.concat_tables(parts, promote_options="default")  # a column may be newer than some segments

    def read_segment(self, segment: Segment, columns: Iterable[str] | None = None) -> pa.Table:
        """One segment of a table, verified."""
        return canonical.read_parquet(self.read_bytes(segment.object), columns)

    def peek_rows(self, segment: Segment, rows: Sequence[int], columns: Iterable[str]) -> pa.Table:
        """A few rows of a segment, in the order asked, without reading it whole and so **without verifying it**.

        The caller must be able to tell right bytes from wrong ones by other means. Raises NotFound, Corrupt.
        """
        groups = sorted({row // canonical.ROW_GROUP for row in rows})
        place = {group: number for number, group in enumerate(groups)}
        try:
            with self.backend.open(object_key(segment.object.digest)) as stream:
                found = pq.ParquetFile(stream).read_row_groups(groups, columns=list(columns))
            size = canonical.ROW_GROUP
            return found.take(pa.array([place[row // size] * size + row % size for row in rows], pa.int64()))
        except pa.ArrowException as error:
            raise Corrupt(f"object {segment.object.digest}: {error}") from None

    # records ---------------------------------------------------------------------------------------------------

    def put_record(self, record: Record) -> str:
        """Store a record and return its digest. Raises NotFound when an object or input it names is absent."""
        for name, ref in record.objects().items():
            try:
                self.backend.touch(object_key(ref.digest))
            except NotFound:
                raise NotFound(f"{record.asset}: object {ref.digest} ({name}) is not in the store") from None
        for pin in record.inputs:
            self.backend.touch(record_key(pin.record))
        data = canonical.canonical_json(record.model_dump(mode="json"))
        digest = canonical.digest(data)
        if not self.backend.create(record_key(digest), data) and self._record_bytes_differ(digest):
            self.backend.replace(record_key(digest), data)
        return digest

    def _record_bytes_differ(self, digest: str) -> bool:
        return canonical.digest(self.backend.read(record_key(digest))) != digest

    def get_record(self, digest: str) -> Record:
        """A record, checked against its digest. Raises NotFound, Corrupt."""
        data = self.backend.read(record_key(digest))
        if canonical.digest(data) != digest:
            raise Corrupt(f"record {digest}: stored bytes do not match the digest")
        try:
            return Record.model_validate(json.loads(data))
        except (ValueError, ValidationError) as error:
            raise Corrupt(f"record {digest}: {error}") from None

    def record_digests(self) -> Iterator[str]:
        """The digests of all records."""
        for key in self.backend.keys("records"):
            yield key.rpartition("/")[2].removesuffix(".json")

    # heads -----------------------------------------------------------------------------------------------------

    def head_log(self, asset: str, partition: str | None = None) -> Log:
        """The numbered history of an asset partition's head."""
        part = UNPARTITIONED if partition is None else safe_name(partition)
        return Log(self.backend, f"heads/{safe_name(asset)}/{part}")

    def head_numbers(self) -> dict[tuple[str, str | None], int]:
        """The last number of every head: a snapshot of the whole store in one listing."""
        found: dict[tuple[str, str | None], int] = {}
        for key in self.backend.keys("heads"):
            parts = key.split("/")
            stem = parts[-1].removesuffix(".json")
            if len(parts) == 4 and stem.isdigit():
                name = (unquote(parts[1]), None if parts[2] == UNPARTITIONED else unquote(parts[2]))
                found[name] = max(found.get(name, 0), int(stem))
        return found

    def move_head(self, record_digest: str, record: Record, expected: int | None = None) -> Entry:
        """Make a record the head of its asset partition. Raises HeadMoved when `expected` is no longer the last."""
        body = {
            "asset": record.asset,
            "partition": record.partition,
            "record": record_digest,
            "run_id": record.run_id,
            "at": now(),
        }
        return self.head_log(record.asset, record.partition).append(body, expected)

    def partitions(self, asset: str) -> list[str]:
        """The partitions of an asset that have a head, sorted by name."""
        return sorted(p for name, p in self.head_numbers() if name == asset and p is not None)

    # attestations ----------------------------------------------------------------------------------------------

    def attestation_log(self, record_digest: str) -> Log:
        """The statements about a record, oldest first."""
        return Log(self.backend, f"attestations/{record_digest[:2]}/{record_digest}")

    def attest(self, record_digest: str, kind: str, name: str, passed: bool, detail: dict[str, Any], by: str) -> Entry:
        """Append a statement (kind: check, registered, approval, quarantine, erasure) about a record."""
        self.backend.touch(record_key(record_digest))
        body = {"record": record_digest, "kind": kind, "name": name, "passed": passed}
        return self.attestation_log(record_digest).append(body | {"detail": detail, "by": by, "at": now()})

    def verdicts(self, record_digest: str) -> dict[str, bool]:
        """The latest verdict of each check that was made on a record."""
        return {
            e.body["name"]: bool(e.body["passed"])
            for e in self.attestation_log(record_digest).entries()
            if e.body["kind"] in ("check", "registered")
        }

    def attestations(self, record_digest: str, kind: str) -> list[dict[str, Any]]:
        """The bodies of all statements of one kind about a record, oldest first."""
        return [e.body for e in self.attestation_log(record_digest).entries() if e.body["kind"] == kind]
