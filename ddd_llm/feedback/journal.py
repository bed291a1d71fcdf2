"""An append-only file of entries: what the annotation page writes at each answer.

A line counts once it is on disk with its line break. After a crash the file may end in half a line: the next append sets a line
break after it, so that it is one damaged line, which reading quarantines, and nothing after it is lost.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ddd_llm.feedback.records import Entry, line_of


def append(path: Path, entry: Entry) -> None:
    """Write an entry and wait until it is on disk. Several processes may append to one file at once.

    Raises:
        OSError: the disk is full or the folder cannot be written; the entry is then not in the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    line = line_of(entry)
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            line = b"\n" + line
        try:
            written = 0
            while written < len(line):
                written += os.write(handle, line[written:])
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)
    if new:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
