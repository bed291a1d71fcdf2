"""Fixtures of the training tests: one tiny base model per session, and torch settings put back after each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ddd_llm_tests.training.tiny import tiny_model


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A canonical base model folder; read only."""
    folder = tmp_path_factory.mktemp("tiny") / "base"
    tiny_model(folder)
    return folder


@pytest.fixture
def root(tmp_path: Path, tiny_base: Path) -> Path:
    """A folder with a copy of the tiny base model in it, as `tiny_job` expects it."""
    shutil.copytree(tiny_base, tmp_path / "base")
    return tmp_path


@pytest.fixture(autouse=True)
def _settings_of_torch() -> Iterator[None]:
    """Training makes its process deterministic and sets its threads; other tests share this process."""
    import torch

    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(strict)
