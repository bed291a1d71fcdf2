"""What an asset's function works with: verified inputs, its config, progress, and a place to put what it makes.

Belongs here: everything between a store session and one record. Knows no Dagster (any logger will do), so that a stage can
be run from a test or a notebook.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from ddd_llm.platform.environment import hardware, library_versions
from ddd_llm.platform.nodes import Expected, Node
from ddd_llm.platform.settings import Settings
from ddd_llm.store.artifact_store import ArtifactStore, now
from ddd_llm.store.canonical import canonical_json, schema_of
from ddd_llm.store.records import REPORT, STORE_FORMAT, ObjectRef, Record, Segment, TableRef
from ddd_llm.store.session import Held, Session

MEDIA = {
    ".json": "application/json", ".html": "text/html", ".png": "image/png", ".safetensors": "application/octet-stream",
    ".parquet": "application/vnd.apache.parquet", ".txt": "text/plain", ".md": "text/markdown",
}  # fmt: skip
REFUSED = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")
QUIET_SECONDS = 5.0


class Progress:
    """Says how far long work is, at most once in five seconds, and nothing about work that is over sooner."""

    def __init__(self, log: logging.Logger, what: str, said: list[float]) -> None:
        self._log, self._what = log, what
        # When this step last said anything, shared with everything else that speaks for it.
        self._said = said
        self._start = self._said[0] = time.monotonic()

    def __call__(self, done: int, total: int | None = None, note: str = "") -> None:
        moment = time.monotonic()
        if moment - self._said[0] >= QUIET_SECONDS:
            self._said[0] = moment
            of = f" of {total:,}" if total else ""
            rate = done / max(moment - self._start, 1e-9)
            self._log.info(f"{self._what}: {done:,}{of} ({rate:,.0f}/s){' ' + note if note else ''}")


class Step:
    """One materialisation in progress."""

    def __init__(
        self,
        session: Session,
        node: Node,
        settings: Settings,
        expected: Expected,
        partition: str | None,
        log: logging.Logger,
    ) -> None:
        self.session = session
        self.store: ArtifactStore = session.store
        self.node = node
        self.settings = settings
        self.partition = partition
        self.log = log
        self.config = expected.config
        self.summary: dict[str, Any] = {}
        self.sources: list[dict[str, Any]] = []
        self.pictures: dict[str, bytes] = {}
        self.timings: dict[str, float] = {}
        self._expected = expected
        self._tables: dict[str, TableRef] = {}
        self._files: dict[str, ObjectRef] = {}
        self._started = now()
        self._said = [0.0]
        self._scratch: Path | None = None

    # inputs ----------------------------------------------------------------------------------------------------

    def held(self, asset: str) -> Held:
        """The one input record of an upstream asset."""
        (only,) = self._expected.held[asset]
        return only

    def inputs(self, asset: str) -> list[Held]:
        """All input records of an upstream asset, in partition order."""
        return self._expected.held[asset]

    def table(self, asset: str, name: str = "documents", columns: Iterable[str] | None = None) -> pa.Table:
        """A table of an upstream asset (all its input partitions as one), verified."""
        tables = [self.store.read_table(h.record.tables[name], columns) for h in self._expected.held[asset]]
        return pa.concat_tables(tables, promote_options="default")

    def segments(self, asset: str, name: str = "documents") -> Iterator[tuple[str, pa.Table, str]]:
        """(segment name, rows, digest) of a table of an upstream asset, one segment in memory at a time."""
        for held in self._expected.held[asset]:
            for segment in held.record.tables[name].segments:
                yield segment.name, self.store.read_segment(segment), segment.object.digest

    def checkout(self, held: Held, prefix: str, name: str) -> Path:
        """A folder of an upstream asset's files in scratch space, verified."""
        return self.store.checkout(held.record, prefix, self.scratch() / name)

    def scratch(self) -> Path:
        """A folder of this step's own, removed when the step ends."""
        if self._scratch is None:
            self._scratch = self.settings.work / f"{self.node.name}-{self._expected.fingerprint[:16]}"
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch.mkdir(parents=True)
        return self._scratch

    def resumable(self) -> Path:
        """A folder that outlives a killed step and is found again by the next one with the same fingerprint."""
        self._resumable().mkdir(parents=True, exist_ok=True)
        return self._resumable()

    def _resumable(self) -> Path:
        return self.settings.work / "resume" / self._expected.fingerprint[:32]

    def previous(self) -> Held | None:
        """This asset's own head where the same code and config made it: work to take up, never a thing to depend on.

        What a step makes of it must be what it would make without it, so it is no input of the record.
        """
        held = self.session.head(self.node.name, self.partition)
        if held is None or held.record.format != STORE_FORMAT or held.record.config != self.config:
            return None
        return held if held.record.code_version == self._expected.code_version else None

    # saying ----------------------------------------------------------------------------------------------------

    def progress(self, what: str) -> Progress:
        """A callable `(done, total, note)` that reports long work in the run log."""
        return Progress(self.log, f"{self.node.name}: {what}", self._said)

    @contextmanager
    def timed(self, what: str, speaks: bool = False) -> Iterator[None]:
        """Measure a part of the step, in wall seconds, for the record's timings (never for its objects).

        Work that says nothing for a while is said to be still going on, unless it `speaks` for itself.
        """
        start = time.perf_counter()
        over = threading.Event()

        def still() -> None:
            while not over.wait(QUIET_SECONDS):
                if time.monotonic() - self._said[0] >= 2 * QUIET_SECONDS:
                    self._said[0] = time.monotonic()
                    self.log.info(f"{self.node.name}: {what}, {time.perf_counter() - start:.0f} s so far")

        self._said[0] = time.monotonic() - QUIET_SECONDS
        watch = threading.Thread(target=still, daemon=True)
        if speaks:
            over.set()
        watch.start()
        try:
            yield
        finally:
            over.set()
            watch.join()
            self.timings[what] = round(self.timings.get(what, 0.0) + time.perf_counter() - start, 3)

    # outputs ---------------------------------------------------------------------------------------------------

    def put_table(self, name: str, rows: pa.Table | Iterable[tuple[str, pa.Table]], segment: str = "all") -> None:
        """Store a table, whole or as (segment name, rows) pairs. The first one stored is the record's main table."""
        pairs = [(segment, rows)] if isinstance(rows, pa.Table) else rows
        self._tables[name] = self.store.put_table(pairs)

    def add_segment(self, name: str, segment: str, rows: pa.Table) -> None:
        """Append rows to a table as one more segment. Raises ValueError when its columns are not those before it."""
        self._append(name, schema_of(rows), self.store.put_segment(segment, rows))

    def keep_segment(self, name: str, table: TableRef, segment: Segment) -> None:
        """Append a segment that an earlier record's table holds already. Raises ValueError as `add_segment`."""
        self._append(name, table.columns, segment)

    def _append(self, name: str, columns: dict[str, str], segment: Segment) -> None:
        before = self._tables.get(name, TableRef(columns=columns, segments=()))
        if before.columns != columns:
            raise ValueError(f"{self.node.name}: segment {segment.name} of {name}: its columns are not those before it")
        self._tables[name] = TableRef(columns=columns, segments=(*before.segments, segment))

    def put_file(self, name: str, data: bytes | Path) -> None:
        """Store one file. Raises ValueError for a file type that can hold a pickle."""
        if name.endswith(REFUSED):
            raise ValueError(
                f"{self.node.name}: {name}: artifacts may not hold pickles (use safetensors, JSON or Parquet)"
            )
        media = MEDIA.get("." + name.rpartition(".")[2], "application/octet-stream")
        if isinstance(data, Path):
            self._files[name] = self.store.put_file(data, media)
        else:
            self._files[name] = self.store.put_bytes(data, media)

    def put_json(self, name: str, value: Any) -> None:
        """Store plain data as canonical JSON."""
        self.put_file(name, canonical_json(value))

    def put_folder(self, prefix: str, folder: Path) -> None:
        """Store every file below a folder as `prefix` + relative path."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put_file(prefix + path.relative_to(folder).as_posix(), path)

    def put_report(self, html: bytes | str) -> None:
        """Store the record's report page."""
        self.put_file(REPORT + "index.html", html.encode() if isinstance(html, str) else html)

    def put_picture(self, name: str, png: bytes) -> None:
        """Store a picture and show it in the asset's metadata."""
        self.put_file(f"{REPORT}{name}.png", png)
        self.pictures[name] = png

    def commit(self) -> Held:
        """Write the record. Raises Diamond, HeadMoved."""
        record = Record(
            asset=self.node.name,
            partition=self.partition,
            tables=self._tables,
            main_table=next(iter(self._tables), None),
            files=self._files,
            inputs=self._expected.pins,
            fingerprint=self._expected.fingerprint,
            code_version=self._expected.code_version,
            config=self._expected.config,
            required_checks=self.node.checks,
            sources=tuple(self.sources),
            summary=self.summary,
            timings=self.timings,
            libraries=library_versions(),
            hardware=hardware(),
            run_id=self.session.run_id,
            started=self._started,
            finished=now(),
        )
        held = self.session.commit(record)
        shutil.rmtree(self._resumable(), ignore_errors=True)
        return held

    def clean(self) -> None:
        """Remove the scratch folder."""
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
