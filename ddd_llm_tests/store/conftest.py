"""A fresh local store per test, and records made with few words."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from ddd_llm.store.artifact_store import ArtifactStore, open_store
from ddd_llm.store.records import Pin, Record


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return open_store(tmp_path / "store")


def make_record(
    store: ArtifactStore,
    asset: str = "documents",
    values: list[str] | None = None,
    inputs: tuple[Pin, ...] = (),
    run_id: str = "run",
    checks: tuple[str, ...] = (),
    partition: str | None = None,
) -> Record:
    """A record of one table with one text column."""
    rows = ["a", "b"] if values is None else values
    table = store.put_table([("all", pa.table({"id": pa.array(rows, pa.string())}))])
    return Record(
        asset=asset, partition=partition, tables={"documents": table}, inputs=inputs, fingerprint=f"{asset}{rows}",
        code_version="c", run_id=run_id, started="t", finished="t", required_checks=checks,
    )  # fmt: skip
