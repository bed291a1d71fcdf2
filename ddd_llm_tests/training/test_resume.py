"""Checkpoints are whole or not there, and a stopped run ends with the weights of one that was never stopped."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ddd_llm.platform.signals import StopRequest
from ddd_llm.training.errors import Preempted
from ddd_llm.training.resume import MANIFEST, BrokenCheckpoint, check, newest, rotate, seal
from ddd_llm.training.worker import run
from ddd_llm_tests.training.processes import in_child, results, send
from ddd_llm_tests.training.tiny import tiny_job

JOB = "a" * 64


def checkpoint(scratch: Path, step: int, job: str = JOB) -> Path:
    folder = scratch / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(b"weights" * step)
    (folder / "optimizer.pt").write_bytes(b"moments" * step)
    seal(folder, job)
    return folder


def _drop_manifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


def _half_manifest(folder: Path) -> None:
    os.truncate(folder / MANIFEST, 20)


def _cut(folder: Path) -> None:
    os.truncate(folder / "optimizer.pt", 3)


def _flip(folder: Path) -> None:
    data = bytearray((folder / "optimizer.pt").read_bytes())
    data[0] ^= 1
    (folder / "optimizer.pt").write_bytes(data)


def _drop_file(folder: Path) -> None:
    (folder / "optimizer.pt").unlink()


def _add_file(folder: Path) -> None:
    (folder / "extra.pt").write_bytes(b"x")


@pytest.mark.parametrize("spoil", [_drop_manifest, _half_manifest, _cut, _flip, _drop_file, _add_file])
def test_what_is_not_whole_is_discarded(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    older = checkpoint(tmp_path, 9)
    spoil(checkpoint(tmp_path, 10))
    found = newest(tmp_path, JOB)
    assert (found.folder, found.step) == (older, 9)
    assert [name for name, _ in found.discarded] == ["checkpoint-10"]
    assert not (tmp_path / "checkpoint-10").exists()


def test_another_job_or_step_is_discarded(tmp_path: Path) -> None:
    checkpoint(tmp_path, 4, job="b" * 64)
    checkpoint(tmp_path, 2).rename(tmp_path / "checkpoint-6")
    (tmp_path / "checkpoint-x").mkdir()
    found = newest(tmp_path, JOB)
    assert found.folder is None
    assert {reason for _, reason in found.discarded} == {"it belongs to another job", "its manifest names another step"}
    assert (tmp_path / "checkpoint-x").exists(), "what is no checkpoint is left alone"
    with pytest.raises(BrokenCheckpoint):
        check(tmp_path / "checkpoint-x", JOB)


def test_rotation_keeps_the_newest_by_step_whatever_the_clock_says(tmp_path: Path) -> None:
    for step in (2, 10, 4):
        checkpoint(tmp_path, step)
    os.utime(tmp_path / "checkpoint-10", (0, 0))
    rotate(tmp_path, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-4"]


@pytest.fixture(scope="module")
def undisturbed(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The results of a run that was never stopped."""
    root = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(tiny_base, root / "base")
    job = tiny_job(root)
    run(job, StopRequest(), lambda message: None)
    return results(job)


@pytest.mark.parametrize(("kind", "step"), [("step", 1), ("step", 3), ("checkpoint", 4), ("validation", 6)])
def test_kill_9_and_again(root: Path, undisturbed: dict[str, str], kind: str, step: int) -> None:
    job = tiny_job(root, "killed")
    assert in_child(job, send(signal.SIGKILL, kind, step)) == -signal.SIGKILL
    assert not job.output.exists()
    heard: list[dict[str, Any]] = []
    run(job, StopRequest(), heard.append)
    assert results(job) == undisturbed
    first = next(m["step"] for m in heard if m["kind"] == "step")
    assert first == {1: 1, 3: 3, 4: 5, 6: 5}[step], "it went on after the last whole checkpoint"


@pytest.mark.parametrize(("kind", "step"), [("phase", None), ("step", 1), ("step", 3), ("validation", 4)])
def test_sigterm_and_again(root: Path, undisturbed: dict[str, str], kind: str, step: int | None) -> None:
    job = tiny_job(root, "stopped")
    assert in_child(job, send(signal.SIGTERM, kind, step)) == Preempted.exit_code
    stopped_after = max(int(p.name.split("-")[1]) for p in job.scratch.glob("checkpoint-*"))
    assert stopped_after == {None: 1, 1: 2, 3: 4, 4: 4}[step]
    run(job, StopRequest(), lambda message: None)
    assert results(job) == undisturbed


def test_killed_while_a_checkpoint_is_written(
    root: Path, undisturbed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ddd_llm.training.trainer import ResponseTrainer

    job = tiny_job(root, "half")

    def die(self: ResponseTrainer, folder: str) -> None:
        if folder.endswith("checkpoint-4"):
            (Path(folder) / "optimizer.pt").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        honest(self, folder)

    honest = ResponseTrainer._save_optimizer_and_scheduler
    with monkeypatch.context() as patch:
        patch.setattr(ResponseTrainer, "_save_optimizer_and_scheduler", die)
        assert in_child(job, lambda message: None) == -signal.SIGKILL
    heard: list[dict[str, Any]] = []
    run(job, StopRequest(), heard.append)
    assert "checkpoint-4 was discarded: it was never finished" in [m.get("message") for m in heard]
    assert results(job) == undisturbed


def test_finished_training_whose_results_were_lost_is_not_repeated(root: Path, undisturbed: dict[str, str]) -> None:
    job = tiny_job(root, "lost")
    run(job, StopRequest(), lambda message: None)
    shutil.rmtree(job.output)
    heard: list[dict[str, Any]] = []
    run(job, StopRequest(), heard.append)
    assert not [m for m in heard if m["kind"] == "step"]
    assert results(job) == undisturbed


def test_checkpoint_of_other_settings_is_not_resumed(root: Path) -> None:
    run(tiny_job(root, "a"), StopRequest(), lambda message: None)
    heard: list[dict[str, Any]] = []
    run(tiny_job(root, "a", learning_rate=0.01), StopRequest(), heard.append)
    assert [m["step"] for m in heard if m["kind"] == "step"] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
@pytest.mark.parametrize("accumulation", [1, 3])
def test_killed_at_any_moment(root: Path, accumulation: int) -> None:
    whole = tiny_job(root, "whole", steps=12, gradient_accumulation=accumulation, save_every=3)
    started = time.monotonic()
    assert in_child(whole, lambda message: None) == 0
    span = time.monotonic() - started
    for part in range(12):
        job = tiny_job(root, f"part{part}", steps=12, gradient_accumulation=accumulation, save_every=3)
        pid = os.fork()
        if pid == 0:
            run(job, StopRequest(), lambda message: None)
            os._exit(0)
        time.sleep(span * (part + 0.5) / 12)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        run(job, StopRequest(), lambda message: None)
        assert results(job) == results(whole)
