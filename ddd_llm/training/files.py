"""Files whose bytes say only what they hold: canonical JSON, digests of files and folders, folders that appear whole.

Belongs here: reading and writing bytes for this stage. Does not: what the files mean.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys, two spaces of indent and a final newline; equal values give equal bytes.

    Raises:
        ValueError: NaN or infinity, which JSON cannot say.
        TypeError: a value that JSON does not know; sets, whose order is chance, are among them.
    """
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hex characters."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_files(folder: Path) -> dict[str, str]:
    """POSIX path inside the folder to SHA-256, for each regular file in it, in sorted order."""
    return {
        path.relative_to(folder).as_posix(): file_sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }


def digest_of(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and wait until the disk has it; the folder's entry is the caller's (`sync_folder`)."""
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader finds the old bytes or the new ones, never a part."""
    part = path.with_name(f".{path.name}.part")
    write_synced(part, data)
    part.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the folder's entries and the bytes of the files directly in it."""
    for path in sorted(folder.iterdir()):
        if path.is_file():
            _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fresh_folder(path: Path) -> Path:
    """An empty folder at this path; what was there is gone."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path
