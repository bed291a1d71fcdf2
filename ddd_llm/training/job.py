"""The job a worker is given, as one JSON file.

Belongs here: the fields and the identity of a job. Does not: the settings inside (`recipe`) or doing it (`worker`).
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny

from ddd_llm.training.files import digest_of, file_sha256, folder_files
from ddd_llm.training.recipe import TrainingRecipe

ENTRY = r"^ddd_llm\.training(\.[a-z_]+)+$"
"""Modules that a job file may name: it must not make the worker import anything else."""
_LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "tokenizers")


class TrainingJob(BaseModel):
    """What to train, on what, how, and where to put it. Each kind of training has a subclass, `JOB` of its entry module.

    Attributes:
        entry: module of this package with `JOB` and `run(job, stop, report)`.
        base: folder of the base model, as `base_model.prepare` writes it.
        adapter: folder of the adapter to start from; None starts from the bare base.
        dataset: Parquet file of what to learn from.
        inputs: other files and folders it reads, by name.
        recipe: the settings.
        scratch: folder for checkpoints; it outlives a killed worker, and the next one resumes from it.
        output: folder that appears, whole, when training is done; replaced if it exists.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    entry: str = Field(pattern=ENTRY)
    base: Path
    adapter: Path | None = None
    dataset: Path
    inputs: dict[str, Path] = {}
    recipe: SerializeAsAny[TrainingRecipe]
    scratch: Path
    output: Path

    def digest(self, base_digest: str, resolved: dict[str, str | int]) -> str:
        """Identity of the computation: only a checkpoint with the same one may be resumed from.

        Args:
            base_digest: the base model's.
            resolved: what `auto` came to on this machine, and the number of processes.
        """
        here = Path(__file__).parent
        code = {path.relative_to(here).as_posix(): file_sha256(path) for path in sorted(here.rglob("*.py"))}
        inputs = {"adapter": self.adapter, **self.inputs}
        return digest_of(
            {
                "entry": self.entry,
                "base": base_digest,
                "inputs": {name: _content(path) for name, path in inputs.items() if path is not None},
                "dataset": file_sha256(self.dataset),
                "recipe": self.recipe.model_dump(mode="json"),
                "resolved": resolved,
                "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
                "code": code,
            }
        )


def _content(path: Path) -> str | dict[str, str]:
    return folder_files(path) if path.is_dir() else file_sha256(path)
