"""Where bytes live: a flat key space with atomic create-if-absent, which is all the store builds on.

A local folder publishes with temp file + fsync + hard link; an object store does the same with a conditional
write (`If-None-Match: *`). Nothing here knows what the bytes mean.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from ddd_llm.store.errors import NotFound, StoreError


class Backend(Protocol):
    """The operations a storage service must offer. Keys are relative POSIX paths."""

    uri: str

    def read(self, key: str) -> bytes:
        """All bytes under a key. Raises NotFound."""
        ...

    def open(self, key: str) -> BinaryIO:
        """A stream over the bytes under a key. Raises NotFound."""
        ...

    def create(self, key: str, data: bytes | Path) -> bool:
        """Publish bytes (or a file's bytes) durably, whole or not at all, only if the key is absent. True if published."""
        ...

    def replace(self, key: str, data: bytes | Path) -> None:
        """Publish bytes durably, whole or not at all, over whatever is there."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """All keys under a folder prefix, in no order."""
        ...

    def age(self, key: str) -> float:
        """Seconds since the key was written or touched. Raises NotFound."""
        ...

    def touch(self, key: str) -> None:
        """Renew the age of a key. Raises NotFound."""
        ...

    def delete(self, key: str) -> None:
        """Remove a key; absent is fine."""
        ...

    def sweep(self) -> int:
        """Remove what dead writers left behind. Returns how many."""
        ...


class LocalBackend:
    """A folder. Survives kill -9 at any moment: a key is absent or whole."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uri = root.as_uri() if root.is_absolute() else str(root)
        self._tmp = root / "tmp"

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
            raise StoreError(f"not a store key: {key!r}")
        return self.root.joinpath(*parts)

    def read(self, key: str) -> bytes:
        with self.open(key) as stream:
            return stream.read()

    def open(self, key: str) -> BinaryIO:
        try:
            return self._path(key).open("rb")
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"not in the store: {key}") from None

    def _stage(self, data: bytes | Path) -> Path:
        self._tmp.mkdir(parents=True, exist_ok=True)
        temp = self._tmp / f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}"
        try:
            with temp.open("xb") as out:
                if isinstance(data, Path):
                    with data.open("rb") as source:
                        shutil.copyfileobj(source, out, 1 << 20)
                else:
                    out.write(data)
                out.flush()
                os.fsync(out.fileno())
        except BaseException:
            temp.unlink(missing_ok=True)
            raise
        return temp

    def create(self, key: str, data: bytes | Path) -> bool:
        target = self._path(key)
        if target.exists():
            return False
        temp = self._stage(data)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(temp, target)
        except FileExistsError:
            return False
        finally:
            temp.unlink(missing_ok=True)
        _fsync_folder(target.parent, self.root)
        return True

    def replace(self, key: str, data: bytes | Path) -> None:
        target = self._path(key)
        temp = self._stage(data)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(temp, target)
        finally:
            temp.unlink(missing_ok=True)
        _fsync_folder(target.parent, self.root)

    def keys(self, prefix: str) -> Iterator[str]:
        top = self._path(prefix.rstrip("/"))
        for folder, _, names in os.walk(top):
            base = Path(folder).relative_to(self.root).as_posix()
            yield from (f"{base}/{name}" for name in names)

    def age(self, key: str) -> float:
        try:
            return max(0.0, time.time() - self._path(key).stat().st_mtime)
        except FileNotFoundError:
            raise NotFound(f"not in the store: {key}") from None

    def touch(self, key: str) -> None:
        try:
            os.utime(self._path(key))
        except FileNotFoundError:
            raise NotFound(f"not in the store: {key}") from None

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def sweep(self) -> int:
        swept = 0
        for path in self._tmp.glob("*"):
            host, _, rest = path.name.rpartition("-")[0].rpartition("-")
            if host == socket.gethostname() and rest.isdigit() and not pid_alive(int(rest)):
                path.unlink(missing_ok=True)
                swept += 1
        return swept


def pid_alive(pid: int) -> bool:
    """Whether a process of this machine with that id runs (a zombie does not)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True


def _fsync_folder(folder: Path, root: Path) -> None:
    """Make a new name durable, and the names of folders that had to be made for it."""
    while True:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        if folder == root or root not in folder.parents:
            return
        folder = folder.parent
