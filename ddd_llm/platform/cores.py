"""One function over many parts on all cores of this machine, the results in the order of the parts.

Belongs here: processes, and cutting a table into parts for them. Does not: what is computed. Numeric kernels have threads of
their own (numba, torch); this is for work that is Python, which takes one core however many threads it has.
"""

from __future__ import annotations

import math
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from ddd_llm.platform.signals import terminate_with_parent

T = TypeVar("T")
R = TypeVar("R")

ROWS = 1024
"""Rows of a part: enough that sending them costs little beside the work on them."""

CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")

_FEWEST = 12
"""Parts from which on starting processes (some seconds of imports) is worth it."""

_mine = threading.local()  # processes end with the thread that started them


def cores() -> int:
    """Cores that this process may use: its affinity, or fewer where its container's limit or `DDD_LLM_CORES` says so."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(mine, _container_limit() or mine, int(os.environ.get("DDD_LLM_CORES") or mine)))


def _container_limit() -> int | None:
    # Control groups, version 2: microseconds of all cores, and the period that they are for.
    try:
        quota, period = CPU_LIMIT.read_text().split()
        return None if quota == "max" else math.ceil(int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return None  # no container, or another system


def over_cores(work: Callable[[T], R], parts: Iterable[T], count: int, fewest: int = _FEWEST) -> Iterator[R]:
    """`work` of each part, in their order: the same results on one core as on many.

    Processes stay for the next call until `release`.

    Args:
        work: a function of a module, or a `partial` of one: it is sent to the processes, as are parts and results.
        parts: read as they are needed, a few ahead of the results.
        count: how many parts there are.
        fewest: below so many, no process is started.

    Raises:
        Whatever `work` raises, from the first part that does.
    """
    if cores() == 1 or count < fewest:
        yield from map(work, parts)
        return
    pool, ahead = _pool(), deque[Future[R]]()
    try:
        for part in parts:
            ahead.append(pool.submit(work, part))
            if len(ahead) > 2 * cores():
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    except BrokenProcessPool:
        release()
        raise
    finally:
        for one in ahead:
            one.cancel()


def release() -> None:
    """End the processes of this thread, if there are any."""
    pool: ProcessPoolExecutor | None = _mine.__dict__.pop("pool", None)
    if pool is not None:
        pool.shutdown(cancel_futures=True)


def _pool() -> ProcessPoolExecutor:
    if "pool" not in _mine.__dict__:
        _mine.pool = ProcessPoolExecutor(cores(), get_context("spawn"), _end_with, (os.getpid(),))
    return _mine.pool


def _end_with(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends these
    terminate_with_parent(parent)


def over_rows(work: Callable[[pa.Table], R], table: pa.Table, fewest: int = _FEWEST) -> Iterator[R]:
    """`work` of each run of `ROWS` rows, as `over_cores`; of the empty table itself where there are none."""
    starts = range(0, max(1, len(table)), ROWS)
    return over_cores(work, (_cut(table, start) for start in starts), len(starts), fewest)


def _cut(table: pa.Table, start: int) -> pa.Table:
    # A slice is sent with all that it is a slice of; what was taken is not.
    part = table.slice(start, ROWS)
    return part if len(part) == len(table) else part.take(pa.array(range(len(part))))
