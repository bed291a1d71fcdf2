"""What several corpus tests need: reading a folder, and sources made from a few words."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from ddd_llm.corpus.ingest import read_source
from ddd_llm.corpus.readers.items import DEFAULT_LIMITS, Limits
from ddd_llm.corpus.sources import Folder, PythonPackage

KEY = b"0123456789abcdef0123456789abcdef"
RIGHTS: dict[str, Any] = {
    "owner": "An owner",
    "licence": "MIT",
    "licence_evidence": "LICENSE",
    "legal_basis": "licence",
    "purpose": ["training"],
    "collected": date(2026, 11, 22),
}


def folder_source(name: str = "notes", **fields: Any) -> Folder:
    return Folder(**{"name": name, "kind": "folder", "path": ".", **RIGHTS, **fields})


def package_source(name: str = "pkg", **fields: Any) -> PythonPackage:
    given = {"name": name, "kind": "python_package", "package": "pkg", "version": "1.0", "modules": ["pkg"]}
    return PythonPackage(**{**given, **RIGHTS, **fields})


def read_folder(root: Path, limits: Limits = DEFAULT_LIMITS, **fields: Any) -> tuple[pa.Table, pa.Table]:
    reading = read_source(folder_source(**fields), root, KEY, limits=limits)
    return reading.documents, reading.quarantine


def texts(documents: pa.Table) -> dict[str, str]:
    return dict(zip(documents["locator"].to_pylist(), documents["text"].to_pylist(), strict=True))


def reasons(quarantine: pa.Table) -> list[tuple[str, str]]:
    return list(zip(quarantine["locator"].to_pylist(), quarantine["reason"].to_pylist(), strict=True))
