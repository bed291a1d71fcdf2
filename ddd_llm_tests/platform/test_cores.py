"""Work spread over processes: what comes out is what one process gives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from ddd_llm.platform import cores
from ddd_llm.platform.cores import ROWS, over_cores, over_rows, release
from ddd_llm_tests.training.processes import running

TABLE = pa.table({"n": range(3 * ROWS + 5), "text": ["é" * (i % 7) for i in range(3 * ROWS + 5)]})


def doubled(table: pa.Table, factor: int) -> tuple[list[int], int]:
    return [n * factor for n in table["n"].to_pylist()], os.getpid()


def picky(number: int) -> int:
    if number == 5:
        raise ValueError("not five")
    return number


def deadly(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    yield
    release()


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})


@pytest.mark.usefixtures("two")
def test_rows_come_in_order_whatever_the_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    many = list(over_rows(partial(doubled, factor=2), TABLE, fewest=2))
    monkeypatch.setenv("DDD_LLM_CORES", "1")
    one = list(over_rows(partial(doubled, factor=2), TABLE, fewest=2))
    assert [values for values, _ in many] == [values for values, _ in one]
    assert [n for values, _ in many for n in values] == [2 * n for n in range(len(TABLE))]
    assert {pid for _, pid in one} == {os.getpid()}
    assert os.getpid() not in {pid for _, pid in many}


@pytest.mark.parametrize(
    ("limit", "named", "expected"),
    [("max 100000", "", 64), ("150000 100000", "", 2), ("400000 100000", "3", 3), ("", "", 64), ("max 100000", "0", 1)],
)
def test_a_containers_limit_counts(
    limit: str, named: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr(cores, "CPU_LIMIT", tmp_path / "cpu.max")
    monkeypatch.setenv("DDD_LLM_CORES", named)
    (tmp_path / "cpu.max").write_text(limit)
    assert cores.cores() == expected


@pytest.mark.usefixtures("two")
def test_little_work_starts_no_process() -> None:
    assert {pid for _, pid in over_rows(partial(doubled, factor=1), TABLE)} == {os.getpid()}
    assert [values for values, _ in over_rows(partial(doubled, factor=1), TABLE.slice(0, 0))] == [[]]
    assert not cores._mine.__dict__


@pytest.mark.usefixtures("two")
def test_an_error_is_the_first_parts_and_ends_nothing_else() -> None:
    found = over_cores(picky, range(40), 40)
    assert [next(found) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="not five"):
        next(found)
    assert list(over_cores(picky, [7, 8], 2, fewest=2)) == [7, 8]


@pytest.mark.usefixtures("two")
def test_a_killed_process_is_told_and_the_next_call_starts_anew() -> None:
    with pytest.raises(BrokenProcessPool):
        list(over_cores(deadly, range(4), 4, fewest=2))
    assert list(over_cores(picky, [1, 2], 2, fewest=2)) == [1, 2]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel tells children on Linux only")
def test_no_process_outlives_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from ddd_llm.platform.cores import over_cores\n"
        "os.sched_getaffinity = lambda _: {0, 1}\n"
        "if __name__ == '__main__':\n"
        "    list(over_cores(abs, range(4), 4, fewest=2))\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ready\n"
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    assert len(children) >= 2
    parent.kill()
    parent.wait()
    until = time.monotonic() + 30
    while any(running(int(pid)) for pid in children) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(running(int(pid)) for pid in children)
