"""A tiny base model, a LoRA adapter that changes it, the probe of the two, and an MLflow on SQLite."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ddd_llm.release.registry import RegistryConfig, find


@dataclass(frozen=True)
class Trained:
    """Folders of one tiny trained model."""

    base: Path
    adapter: Path
    probe: Path

    def arguments(self, digest: str = "ab" * 32, **changes: Any) -> dict[str, Any]:
        """Keyword arguments of `register`."""
        given = {
            "adapter_dir": self.adapter,
            "base_dir": self.base,
            "base_identity": {"id": "tiny", "sha256": "0" * 64},
            "probe": self.probe,
            "model_digest": digest,
            "tags": {"record_digest": "cd" * 32},
            "metrics": {"score_tuned": 0.93},
            "params": {"learning_rate": 5e-4, "rank": 4},
        }
        return {**given, **changes}


def make_base(folder: Path, seed: int) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=96,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    return model


def make_adapter(base: Any, folder: Path, strength: float) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(7)
    model: Any = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")).eval()
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=strength)
    model.save_pretrained(folder)
    return model


def write_probe(model: Any, path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    tensors = {}
    for n, length in enumerate((5, 12, 9)):
        ids = torch.arange(n, n + length) * 7 % 96
        with torch.inference_mode():
            logits = model(input_ids=ids[None]).logits[0, -1].float()
        tensors |= {f"input_ids_{n}": ids, f"logits_{n}": logits.clone()}
    save_file(tensors, path)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A tiny Llama, its adapter and their probe."""
    root = tmp_path_factory.mktemp("trained")
    model = make_adapter(make_base(root / "base", 1), root / "adapter", 0.3)
    write_probe(model, root / "probe.safetensors")
    return Trained(root / "base", root / "adapter", root / "probe.safetensors")


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables, made once and copied."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    find(RegistryConfig(tracking_uri=f"sqlite:///{path}", artifact_root=str(path.parent), name="none"), "0")
    return path


@pytest.fixture
def config(tmp_path: Path, empty_database: Path) -> RegistryConfig:
    """A registry of its own for each test."""
    shutil.copyfile(empty_database, tmp_path / "mlflow.db")
    return RegistryConfig(
        tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}", artifact_root=str(tmp_path / "artifacts"), name="demo"
    )
