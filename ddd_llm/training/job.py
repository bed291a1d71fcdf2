"""The job a worker is given, as one JSON file.

Belongs here: the fields and the identity of a job. Does not: the settings inside (`recipe`) or doing it (`worker`).
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ddd_llm.training.files import digest_of, file_sha256
from ddd_llm.training.recipe import SftRecipe

_LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "tokenizers")


class TrainingJob(BaseModel):
    """What to train, on what, how, and where to put it.

    Attributes:
        kind: `sft`, supervised fine-tuning.
        base: folder of the base model, as `base_model.prepare` writes it.
        dataset: Parquet file of instruction examples.
        recipe: the settings.
        scratch: folder for checkpoints; it outlives a killed worker, and the next one resumes from it.
        output: folder that appears, whole, when training is done; replaced if it exists.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sft"] = "sft"
    base: Path
    dataset: Path
    recipe: SftRecipe = SftRecipe()
    scratch: Path
    output: Path

    def digest(self, base_digest: str, resolved: dict[str, str | int]) -> str:
        """Identity of the computation: only a checkpoint with the same one may be resumed from.

        Args:
            base_digest: the base model's.
            resolved: what `auto` came to on this machine, and the number of processes.
        """
        code = {path.name: file_sha256(path) for path in sorted(Path(__file__).parent.glob("*.py"))}
        return digest_of(
            {
                "kind": self.kind,
                "base": base_digest,
                "dataset": file_sha256(self.dataset),
                "recipe": self.recipe.model_dump(mode="json"),
                "resolved": resolved,
                "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
                "code": code,
            }
        )
