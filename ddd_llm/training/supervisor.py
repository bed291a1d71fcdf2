"""Waits for a training run: passes a request to stop on to the workers, gives them time, and exits with their code.

    python -m ddd_llm.training.supervisor --outcome FILE -- COMMAND...

Belongs here: what `accelerate launch` does not do. It forwards no signals, it ends before its worker has written a
checkpoint, and it exits with 1 whatever the worker's exit code was. Does not: knowing anything about training.
Standard library only.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

from ddd_llm.platform.signals import adopt_orphans, terminate_with_parent

GRACE_SECONDS = 200.0
"""From a request to stop until what still runs is killed: a step, a checkpoint and some reserve."""

_DIED_OF = re.compile(rb"died with <Signals\.(SIG[A-Z0-9]+)|Signal \d+ \((SIG[A-Z0-9]+)\)")
_POLL_SECONDS = 0.05


def supervise(command: list[str], outcome: Path, grace: float = GRACE_SECONDS) -> int:
    """Run a command, wait for it and everything it leaves behind, and return the exit code of the work.

    Args:
        command: the launcher's command line.
        outcome: file that a worker leaves: JSON with `exit_code`. An old one is removed first.
        grace: seconds from SIGTERM or SIGINT until SIGKILL.

    Returns:
        The worker's own exit code if it left one; else 128 + the signal that killed it, or the launcher's code.
    """
    outcome.unlink(missing_ok=True)
    adopt_orphans()
    asked: list[float] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.append(time.monotonic()))
    launcher = subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=terminate_with_parent)
    tail = _Tail(launcher.stderr)
    told = False
    adopted: list[int] = []
    while _reap(launcher, adopted):
        if asked and not told:
            told = True
            _tell(launcher, command[-1], signal.SIGTERM)
        if asked and time.monotonic() - asked[0] > grace:
            for pid in _descendants():
                _kill(pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
    tail.join()
    return _exit_code(launcher, outcome, tail.text, adopted)


class _Tail(threading.Thread):
    """Passes the launcher's standard error on and keeps its end."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self.text = b""
        self.start()

    def run(self) -> None:
        assert self._stream is not None
        while chunk := os.read(self._stream.fileno(), 65536):
            self.text = (self.text + chunk)[-65536:]
            try:
                sys.stderr.buffer.write(chunk)
                sys.stderr.flush()
            except (OSError, ValueError):
                continue  # nobody reads it; the launcher must still be able to write


def _reap(launcher: subprocess.Popen[bytes], adopted: list[int]) -> bool:
    """Collect what has ended, adding exit codes of adopted processes; whether anything still runs."""
    running = launcher.poll() is None
    for pid in _descendants():
        if pid == launcher.pid:
            continue
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            continue  # a grandchild: its own parent waits for it
        if ended:
            code = os.waitstatus_to_exitcode(status)
            adopted.append(128 - code if code < 0 else code)
    return running or bool(_descendants())


def _descendants() -> list[int]:
    """Children of this process and, on Linux, theirs: after `adopt_orphans` all that the launcher left."""
    found: list[int] = []
    todo = [os.getpid()]
    while todo:
        pid = todo.pop()
        for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                children = [int(child) for child in tasks.read_text().split()]
            except OSError:
                continue  # it ended meanwhile
            found += children
            todo += children
    return found


def _tell(launcher: subprocess.Popen[bytes], job: str, number: int) -> None:
    """Ask the workers, which are known by their job, and not what started them: a launcher that dies before its workers can
    no longer collect what they say. Where there are none, the command itself is the worker."""
    workers = [pid for pid in _descendants() if pid != launcher.pid and _last_argument(pid) == job]
    for pid in workers or [launcher.pid]:
        _kill(pid, number)


def _last_argument(pid: int) -> str:
    try:
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").rpartition(b"\0")[2])
    except OSError:
        return ""  # it ended meanwhile


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it ended by itself


def _exit_code(launcher: subprocess.Popen[bytes], outcome: Path, stderr: bytes, adopted: list[int]) -> int:
    try:
        return int(json.loads(outcome.read_bytes())["exit_code"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no worker lived to write it: what the launcher says is all there is
    if any(adopted):
        return max(adopted)
    for match in reversed(list(_DIED_OF.finditer(stderr))):
        name = (match[1] or match[2]).decode()
        if name in signal.Signals.__members__:
            return 128 + signal.Signals[name]
    code = launcher.returncode
    if code < 0:
        return 128 - code
    return code or 70  # a launcher that is content although no worker finished


def main(arguments: list[str]) -> int:
    """Run from the command line."""
    if len(arguments) < 4 or arguments[0] != "--outcome" or arguments[2] != "--":
        print("usage: python -m ddd_llm.training.supervisor --outcome FILE -- COMMAND...", file=sys.stderr)
        return 64
    return supervise(arguments[3:], Path(arguments[1]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
