"""The supervisor with small programs in place of launcher and worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

WORKER = """
import signal, sys, time
from pathlib import Path
from ddd_llm.platform.signals import StopRequest, terminate_with_parent
stop = StopRequest(); stop.listen(); terminate_with_parent()
Path(sys.argv[1], "ready").touch()
while not stop.requested: time.sleep(0.01)
time.sleep(0.3)
Path(sys.argv[1], "saved").touch()
Path(sys.argv[1], "outcome.json").write_text('{"exit_code": 143}')
sys.exit(143)
"""
LAUNCHER = """
import subprocess, sys
code = subprocess.run([sys.executable, "-c", *sys.argv[1:]]).returncode
sys.exit(1 if code else 0)
"""


def start(folder: Path, *command: str) -> subprocess.Popen[bytes]:
    supervisor = [sys.executable, "-m", "ddd_llm.training.supervisor", "--outcome", str(folder / "outcome.json"), "--"]
    return subprocess.Popen([*supervisor, *command], stderr=subprocess.PIPE)


def start_worker(folder: Path) -> subprocess.Popen[bytes]:
    process = start(folder, sys.executable, "-c", LAUNCHER, WORKER, str(folder))
    wait_for(folder / "ready")
    return process


def wait_for(path: Path, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} never came"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_request_to_stop_reaches_the_worker_which_gets_its_time(tmp_path: Path, number: int) -> None:
    process = start_worker(tmp_path)
    process.send_signal(number)
    assert process.wait(30) == 143
    assert (tmp_path / "saved").exists()


def test_killed_supervisor_leaves_no_orphan(tmp_path: Path) -> None:
    process = start_worker(tmp_path)
    process.kill()
    process.wait(30)
    wait_for(tmp_path / "saved")


def test_killed_launcher_is_outlived_by_supervisor_and_worker(tmp_path: Path) -> None:
    process = start_worker(tmp_path)
    launcher = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
    os.kill(launcher, signal.SIGKILL)
    assert process.wait(30) == 143
    assert (tmp_path / "saved").exists()


def test_exit_code_is_the_workers_own(tmp_path: Path) -> None:
    worker = "import sys; open(sys.argv[1] + '/outcome.json', 'w').write('{\"exit_code\": 65}'); sys.exit(65)"
    assert start(tmp_path, sys.executable, "-c", LAUNCHER, worker, str(tmp_path)).wait(30) == 65


def test_outcome_of_an_earlier_run_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "outcome.json").write_text(json.dumps({"exit_code": 0}))
    assert start(tmp_path, sys.executable, "-c", "import sys; sys.exit(3)").wait(30) == 3


def test_worker_that_died_of_a_signal(tmp_path: Path) -> None:
    launcher = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"
    process = start(tmp_path, sys.executable, "-c", launcher, "import os; os.kill(os.getpid(), 9)")
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 137
    assert b"SIGKILL" in stderr, "what the launcher says is passed on"


def test_launcher_that_is_content_without_work(tmp_path: Path) -> None:
    assert start(tmp_path, sys.executable, "-c", "pass").wait(30) == 70


def test_worker_that_does_not_stop_is_killed_after_the_grace(tmp_path: Path) -> None:
    stubborn = (
        "import signal, sys, time; from pathlib import Path; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "Path(sys.argv[1], 'ready').touch(); time.sleep(600)"
    )
    code = (
        "import sys; from pathlib import Path; from ddd_llm.training.supervisor import supervise; "
        "sys.exit(supervise(sys.argv[2:], Path(sys.argv[1], 'outcome.json'), grace=0.3))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), sys.executable, "-c", LAUNCHER, stubborn, str(tmp_path)]
    )
    wait_for(tmp_path / "ready")
    process.terminate()
    assert process.wait(30) == 137


def test_wrong_use() -> None:
    from ddd_llm.training.supervisor import main

    assert main(["--outcome", "x"]) == 64
