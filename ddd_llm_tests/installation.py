"""An installation of its own for tests of the whole graph: sources, recipe, keys, and a tiny model made on the spot.

Belongs here: making one, and the commands people give it. Does not: what must come out (`test_whole_lineage`).
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from ddd_llm.platform.settings import CHECKOUT
from ddd_llm.store.artifact_store import ArtifactStore, open_store
from ddd_llm.training.base_model import model_digest
from ddd_llm_tests.training.tiny import tiny_model

PACKAGE = "networkx"
MODULES = ["networkx.algorithms"]


@dataclass
class Installation:
    """A home with its own sources, recipe and keys."""

    root: Path

    @property
    def environ(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DDD_LLM_", "MLFLOW_", "DAGSTER_"))}
        return {
            **kept,
            "DDD_LLM_HOME": str(self.root / "home"),
            "DDD_LLM_KEYS": str(self.root / "keys"),
            "DDD_LLM_SOURCES": str(self.root / "sources.yaml"),
            "DDD_LLM_RECIPE": str(self.root / "recipe.yaml"),
            "DDD_LLM_ASSETS": str(self.root / "assets"),
        }

    @property
    def store(self) -> ArtifactStore:
        return open_store(self.root / "home" / "store")

    def refresh(self) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ddd_llm.automation.refresh"]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, check=False, cwd=self.root)

    def copied(self, root: Path) -> Installation:
        """The same files and keys in another home, nothing of them made yet."""
        for name in ("notes", "base", "keys", "assets"):
            shutil.copytree(self.root / name, root / name)
        shutil.copyfile(self.root / "sources.yaml", root / "sources.yaml")
        recipe = yaml.safe_load((self.root / "recipe.yaml").read_text())
        recipe["base_model"]["location"] = str(root / "base")
        (root / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        return Installation(root)

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from ddd_llm.cli import main; main()", *words]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, check=False)

    def audit(self, *words: str) -> tuple[int, dict]:
        done = self.call("audit", *words, "--json")
        return done.returncode, json.loads(done.stdout)


def _sources() -> dict:
    common = {"owner": "NetworkX Developers", "purpose": ["training"], "collected": "2026-01-01"}
    package = {
        "name": PACKAGE, "kind": "python_package", "package": PACKAGE, "version": importlib.metadata.version(PACKAGE),
        "modules": MODULES, "licence": "BSD-3-Clause", "licence_evidence": "LICENSE.txt", "legal_basis": "licence",
    }  # fmt: skip
    folder = {"name": "unlicensed-notes", "kind": "folder", "path": "notes"}
    return {"version": 1, "sources": [{**package, **common}, {**folder, **common}]}


def install(root: Path) -> Installation:
    """Everything a refresh reads, in a folder, with steps and sizes that take seconds."""
    (root / "notes").mkdir()
    (root / "notes" / "note.md").write_text(
        "# A note\n\nWritten by somebody@example.org, of whose licence nothing is known.\n"
    )
    (root / "sources.yaml").write_text(yaml.safe_dump(_sources()))
    tiny_model(root / "base", seed=1)
    recipe = yaml.safe_load((CHECKOUT / "assets" / "recipes" / "demo.yaml").read_text())
    pin = model_digest(root / "base")
    recipe["base_model"] = {
        "id": "tiny",
        "kind": "folder",
        "location": str(root / "base"),
        "sha256": pin,
        "licence": "MIT",
    }
    recipe["sft"] |= {
        "steps": 6,
        "save_every": 2,
        "eval_every": 0,
        "eval_examples": 4,
        "max_length": 2048,
        "threads": 1,
    }
    recipe["dpo"] |= {
        "steps": 3,
        "warmup_steps": 0,
        "save_every": 1,
        "max_length": 2048,
        "batch_size": 2,
        "held_out_pairs": 6,
        "threads": 1,
    }
    recipe["reward_models"] |= {
        "steps": 3,
        "save_every": 3,
        "max_length": 2048,
        "batch_size": 2,
        "held_out_items": 8,
        "threads": 1,
        "layers": 1,
    }
    recipe["rlhf"] |= {
        "steps": 4,
        "prompts": 2,
        "samples": 2,
        "batch_size": 4,
        "max_length": 2048,
        "max_new_tokens": 6,
        "critic_layers": 1,
        "held_out_prompts": 4,
        "threads": 1,
    }
    recipe["dataset"] |= {"train_size": 200, "validation_size": 20, "test_size": 200, "package_share": 1.0}
    recipe["evaluation"] = {
        "suite": {"open_book_items": 120},
        "generation": {"max_new_tokens": 4, "max_prompt_tokens": 4096},
        "memorisation": {"examples": 8, "max_length": 4096},
    }
    recipe["synthetic"] |= {"documents": 8, "answer_tokens": 8}
    recipe["learning_curve"] = {"fractions": [0.5], "held_out": 8}
    recipe["feedback"] |= {"prompts": 6, "max_new_tokens": 4, "max_length": 2048, "threads": 1}
    (root / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    shutil.copytree(CHECKOUT / "assets", root / "assets")
    plan = root / "assets" / "policies" / "alignment.yaml"
    plan.write_text(plan.read_text().replace("version: 1\n", "version: 2\n", 1).replace("kind: none", "kind: local"))
    made = Installation(root)
    approved = made.call("plans", "approve", str(plan), "--by", "the tests")
    assert approved.returncode == 0, approved.stderr
    return made
