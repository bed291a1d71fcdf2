"""Checkpoints in scratch space: whole or not there. A manifest, written last, says what a checkpoint holds and for
which job.

Belongs here: sealing, checking, choosing and rotating checkpoint folders. Does not: what the trainer puts into them.
Checkpoints hold torch files, so they are scratch and never an artifact; the trainer loads them with `weights_only`.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddd_llm.training.files import canonical_json, folder_files, sync_folder, write_atomic
from ddd_llm.training.reporting import Report

MANIFEST = "manifest.json"
_PREFIX = "checkpoint-"


class BrokenCheckpoint(ValueError):
    """A checkpoint is not whole, or belongs to another job. The argument says why."""


@dataclass(frozen=True)
class Found:
    """The checkpoint to resume from, and what was discarded on the way.

    Attributes:
        folder: the newest whole checkpoint of this job, or None.
        step: optimizer steps it holds; 0 without one.
        discarded: folder name and reason of each checkpoint that was removed.
    """

    folder: Path | None
    step: int
    discarded: tuple[tuple[str, str], ...]


def checkpoint_folder(scratch: Path, step: int) -> Path:
    """Where the checkpoint after so many steps lies; the trainer's own naming."""
    return scratch / f"{_PREFIX}{step}"


def seal(folder: Path, job_digest: str) -> None:
    """Declare a checkpoint whole: its files are on the disk, with these digests, for this job."""
    sync_folder(folder)
    files = {name: sha for name, sha in folder_files(folder).items() if name != MANIFEST}
    write_atomic(folder / MANIFEST, canonical_json({"job": job_digest, "step": _step(folder), "files": files}))


def check(folder: Path, job_digest: str) -> None:
    """Verify that a checkpoint is whole and of this job.

    Raises:
        BrokenCheckpoint: no manifest, another job's, a file too many, missing or changed.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        job, step, files = manifest["job"], manifest["step"], manifest["files"]
    except FileNotFoundError:
        raise BrokenCheckpoint("it was never finished") from None
    except (ValueError, KeyError, TypeError):
        raise BrokenCheckpoint("its manifest is broken") from None
    if job != job_digest:
        raise BrokenCheckpoint("it belongs to another job")
    if step != _step(folder):
        raise BrokenCheckpoint("its manifest names another step")
    if files != {name: sha for name, sha in folder_files(folder).items() if name != MANIFEST}:
        raise BrokenCheckpoint("its files are not those of its manifest")


def newest(scratch: Path, job_digest: str) -> Found:
    """The newest whole checkpoint of this job. Broken ones and those of other jobs are removed."""
    discarded: list[tuple[str, str]] = []
    chosen: Path | None = None
    for folder in sorted(_folders(scratch), key=_step, reverse=True):
        try:
            check(folder, job_digest)
        except BrokenCheckpoint as broken:
            discarded.append((folder.name, str(broken)))
            shutil.rmtree(folder)
            continue
        chosen = chosen or folder
    return Found(chosen, _step(chosen) if chosen else 0, tuple(discarded))


def find_checkpoint(scratch: Path, job_digest: str, trainer: Any, report: Report) -> Found:
    """The checkpoint that a trainer resumes from, told to whoever listens. Of several processes the first one looks."""
    with trainer.accelerator.main_process_first():  # it removes broken ones, the others then see the same
        found = newest(scratch, job_digest)
    for name, reason in found.discarded:
        report({"kind": "phase", "message": f"{name} was discarded: {reason}"})
    if found.folder:
        report({"kind": "phase", "message": f"resuming after step {found.step}"})
    return found


def rotate(scratch: Path, keep: int) -> None:
    """Remove all but the newest checkpoints, by step and not by time: clocks jump. Call it after `seal`."""
    for folder in sorted(_folders(scratch), key=_step, reverse=True)[keep:]:
        (folder / MANIFEST).unlink(missing_ok=True)  # first, so that a kill in between leaves nothing that looks whole
        shutil.rmtree(folder)


def _folders(scratch: Path) -> list[Path]:
    return [path for path in scratch.glob(f"{_PREFIX}*") if path.is_dir() and path.name.removeprefix(_PREFIX).isdigit()]


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix(_PREFIX))
