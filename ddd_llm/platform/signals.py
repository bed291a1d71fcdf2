"""Being told to stop: a SIGTERM remembered until the step's end, and one sent by the kernel when the launcher dies.

Belongs here: signal handlers and prctl, standard library only. Does not: what is done about it (`trainer` saves,
`worker` exits).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from types import FrameType

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class StopRequest:
    """Whether SIGTERM or SIGINT arrived. Python runs handlers between bytecodes, so a handler only remembers."""

    def __init__(self) -> None:
        self.requested = False

    def listen(self) -> None:
        """Take over SIGTERM and SIGINT for this process; main thread only."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.requested = True


def terminate_with_parent(parent: int | None = None) -> None:
    """Ask the kernel to send SIGTERM to this process when its parent dies; on other systems than Linux nothing happens.

    `accelerate launch` does not forward signals: without this, a killed launcher leaves a trainer behind.

    Args:
        parent: who started this process, where that one may have died before the call; else whoever is the parent now.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = parent or os.getppid()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died just before the call
        os.kill(os.getpid(), signal.SIGTERM)


def adopt_orphans() -> None:
    """Make this process the parent of its descendants whose own parent dies, so that it can wait for them (Linux)."""
    if sys.platform.startswith("linux"):
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
