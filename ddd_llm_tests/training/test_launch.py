"""The real command: supervisor, launcher where there are several processes, worker, as an asset starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ddd_llm.platform.signals import StopRequest
from ddd_llm.training.errors import BadData, OutOfMemory, Preempted, classify
from ddd_llm.training.files import folder_files
from ddd_llm.training.job import TrainingJob
from ddd_llm.training.launch import command, environment, run_plain
from ddd_llm.training.resume import newest
from ddd_llm.training.worker import OUTCOME_FILE, run
from ddd_llm_tests.training.processes import running
from ddd_llm_tests.training.tiny import conversation, tiny_job


def results(job: TrainingJob) -> dict[str, str]:
    return {name: sha for name, sha in folder_files(job.output).items() if name != "timings.json"}


def descendants(pid: int) -> dict[int, str]:
    """Command lines of a process's descendants."""
    found: dict[int, str] = {}
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, tasks.read_text().split()):
            line = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            found |= {child: line, **descendants(child)}
    return found


def start(job: TrainingJob) -> subprocess.Popen[str]:
    job.scratch.mkdir()
    path = job.scratch / "job.json"
    path.write_text(job.model_dump_json())
    return subprocess.Popen(
        command(path, job.recipe),
        env=environment(job.recipe),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_line(process: subprocess.Popen[str], start_of_line: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(start_of_line):
            return
    raise AssertionError(f"no line {start_of_line!r}")


def test_command_and_environment_say_what_runs(root: Path) -> None:
    recipe = tiny_job(root, threads=3, processes=2).recipe
    line = command(Path("/x/job.json"), recipe.model_copy(update={"processes": 1}))
    assert line[:3] == [sys.executable, "-m", "ddd_llm.training.supervisor"]
    assert line[-4:] == [sys.executable, "-m", "ddd_llm.training.worker", "/x/job.json"]
    assert "accelerate.commands.launch" not in line, "it would start one process, after loading torch to do so"
    several = command(Path("/x/job.json"), recipe)
    assert several[several.index("--nproc_per_node") + 1] == "2"
    assert "torch.distributed.run" in several
    gpus = command(Path("/x/job.json"), recipe.model_copy(update={"device": "cuda"}))
    assert gpus[gpus.index("--num_processes") + 1] == "2"
    assert {"accelerate.commands.launch", "--multi_gpu"} <= set(gpus)
    values = environment(recipe)
    assert (values["OMP_NUM_THREADS"], values["HF_HUB_OFFLINE"], values["HF_HUB_DISABLE_TELEMETRY"]) == ("3", "1", "1")
    assert values["PATH"] == os.environ["PATH"]


def test_killed_supervisor_then_again_gives_the_weights_of_this_process(root: Path) -> None:
    here, there = tiny_job(root, "here", steps=40), tiny_job(root, "there", steps=40)
    run(here, StopRequest(), lambda message: None)
    process = start(there)
    wait_for_line(process, "step 2/")
    children = descendants(process.pid)
    process.kill()
    output, _ = process.communicate(timeout=120)  # until the last one that holds its output has ended
    outcome = json.loads((there.scratch / OUTCOME_FILE).read_text())
    assert outcome["exit_code"] == Preempted.exit_code, output
    assert not any(running(pid) for pid in children), "no orphan is left"
    last = max(there.scratch.glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]))
    job_digest = json.loads((last / "manifest.json").read_text())["job"]
    assert newest(there.scratch, job_digest).folder == last, "the checkpoint is whole"
    heard: list[dict[str, Any]] = []
    run(there, StopRequest(), heard.append)
    assert any("resuming after step" in m.get("message", "") for m in heard)
    assert results(there) == results(here)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_and_again(root: Path, number: int) -> None:
    here, there = tiny_job(root, "here", steps=40), tiny_job(root, "there", steps=40)
    run(here, StopRequest(), lambda message: None)
    process = start(there)
    wait_for_line(process, "step 2/")
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 143, output
    run_plain(there)
    assert results(there) == results(here)


@pytest.mark.slow
def test_failures_are_told_apart(root: Path) -> None:
    with pytest.raises(BadData, match="do not fill one batch"):
        run_plain(tiny_job(root, "few", rows=[{"id": "a", "split": "train", "messages": conversation("q", "a")}]))
    killed = tiny_job(root, "killed", steps=400)
    process = start(killed)
    wait_for_line(process, "step 2/")
    (worker,) = descendants(process.pid)
    os.kill(worker, signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert type(classify(process.returncode, output)) is OutOfMemory


@pytest.mark.slow
def test_two_processes_learn_together_and_resume(root: Path) -> None:
    whole, parts = (tiny_job(root, name, processes=2, steps=30) for name in ("whole", "parts"))
    run_plain(whole)
    metrics = json.loads((whole.output / "metrics.json").read_text())
    assert (metrics["processes"], metrics["examples_trained_on"]) == (2, 32)
    process = start(parts)
    wait_for_line(process, "step 2/")
    process.terminate()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 143, output
    run_plain(parts)
    assert results(parts) == results(whole)


@pytest.mark.slow
def test_hash_seed_and_working_directory_leave_no_trace(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [tiny_job(root, name) for name in ("a", "b")]
    for seed, job in zip(("1", "2"), jobs, strict=True):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        run_plain(job)
    assert results(jobs[0]) == results(jobs[1])


def test_messages_go_through_dagster_pipes(tmp_path: Path) -> None:
    import base64
    import zlib

    context, messages = tmp_path / "context.json", tmp_path / "messages.jsonl"
    fields = ("asset_keys", "code_version_by_asset_key", "provenance_by_asset_key", "partition_key")
    fields = (*fields, "partition_key_range", "partition_time_window", "job_name")
    context.write_text(json.dumps({**dict.fromkeys(fields), "run_id": "r", "retry_number": 0, "extras": {}}))

    def encoded(path: Path) -> str:
        return base64.b64encode(zlib.compress(json.dumps({"path": str(path)}).encode())).decode()

    code = (
        "from ddd_llm.training.reporting import reporting\n"
        "with reporting(1) as silent: silent({'kind': 'done'})\n"
        "with reporting(0) as report:\n"
        "    report({'kind': 'validation', 'step': 3, 'validation_loss': 1.5})\n"
    )
    pipes = {"DAGSTER_PIPES_CONTEXT": encoded(context), "DAGSTER_PIPES_MESSAGES": encoded(messages)}
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **pipes}, check=True)
    sent = [json.loads(line) for line in messages.read_text().splitlines()]
    assert [m["method"] for m in sent] == ["opened", "log", "report_custom_message", "closed"]
    assert sent[1]["params"]["message"] == "step 3: validation loss 1.5000"
    assert sent[2]["params"]["payload"] == {"kind": "validation", "step": 3, "validation_loss": 1.5}


def test_listener_that_went_away_does_not_stop_training(capfd: pytest.CaptureFixture[str]) -> None:
    code = (
        "import os, sys, time\nfrom ddd_llm.training.reporting import reporting\n"
        "with reporting(0) as report:\n"
        "    sys.stdin.readline()\n"
        "    for _ in range(3): report({'kind': 'phase', 'message': 'x'})\n"
        "print('lived', file=sys.stderr)\nos._exit(0)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdin is not None
    process.stdout.close()
    process.stdin.write(b"go\n")
    process.stdin.close()
    assert process.wait(30) == 0
    said = capfd.readouterr().err
    assert said.count("nobody listens any more") == 1
    assert "lived" in said
