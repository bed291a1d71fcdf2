"""Runs of the worker in a forked process that a test may stop or kill. No assertion."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ddd_llm.platform.signals import StopRequest
from ddd_llm.training.errors import Preempted
from ddd_llm.training.files import folder_files
from ddd_llm.training.job import TrainingJob
from ddd_llm.training.worker import run


def results(job: TrainingJob) -> dict[str, str]:
    """Digests of everything a run left but its times."""
    return {name: sha for name, sha in folder_files(job.output).items() if name != "timings.json"}


def in_child(job: TrainingJob, at: Callable[[dict[str, Any]], None], stop: StopRequest | None = None) -> int:
    """Run a job in a forked process, which `at` may kill; its wait status as an exit code."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            request = stop or StopRequest()
            request.listen()
            run(job, request, at)
            code = 0
        except Preempted as error:
            code = error.exit_code
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def send(number: int, kind: str, step: int | None) -> Callable[[dict[str, Any]], None]:
    """A report that signals its own process when it hears of something."""

    def at(message: dict[str, Any]) -> None:
        if message["kind"] == kind and message.get("step") == step:
            os.kill(os.getpid(), number)

    return at


def running(pid: int) -> bool:
    """Whether a process lives; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False
