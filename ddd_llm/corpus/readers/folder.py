"""A folder of files: which belong to the source.

Belongs here: walking, globs. Does not belong here: which reader takes a file (`dispatch`), any format.

Names that begin with a dot are left out unless a pattern says so, as in a shell. A symbolic link is followed only to a
regular file below the same root; links to folders are not followed (their target is walked where it stands).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from ddd_llm.corpus.readers.dispatch import Options, read_file
from ddd_llm.corpus.readers.items import DEFAULT_LIMITS, Item, Limits, Refusal, unreadable
from ddd_llm.corpus.readers.locators import of_file

READER = "folder/2"
"""Changes when the same folder would give other files."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One regular file of the source: its locator, and the path to open it by."""

    locator: str
    path: Path


def read(
    root: Path, include: Sequence[str], options: Options, limits: Limits = DEFAULT_LIMITS
) -> Iterator[Item | Refusal]:
    """Documents of all files below `root` that match a glob, in the order of their names.

    Refusals: those of `walk` and of `dispatch.read_file`; `unreadable`.
    """
    for entry in walk(root, include, limits):
        if isinstance(entry, Refusal):
            yield entry
        else:
            yield from read_path(entry, options, limits)


def read_path(entry: Entry, options: Options, limits: Limits) -> Iterator[Item | Refusal]:
    """Documents of one file on disk."""
    try:
        raw = entry.path.open("rb")
    except OSError as error:
        yield unreadable(entry.locator, error)
        return
    with raw:
        yield from read_file(entry.locator, raw, os.fstat(raw.fileno()).st_size, options, limits)


def walk(root: Path, include: Sequence[str], limits: Limits = DEFAULT_LIMITS) -> Iterator[Entry | Refusal]:
    """Regular files below `root` that match a glob, sorted by name within each folder.

    Refusals: `folder_missing` and `too_many_files` (for the source), `too_deep`, `unreadable`, `symlink_outside_root`,
    `broken_symlink`, `not_a_regular_file`.
    """
    real = Path(os.path.realpath(root))
    if not real.is_dir():
        detail = "the folder of this source does not exist or is no folder; mend the sources file"
        yield Refusal("", "folder_missing", detail)
        return
    patterns = [(pattern(glob), names_hidden(PurePosixPath(glob))) for glob in include]
    count = 0
    stack: list[PurePath] = [PurePath()]
    while stack:
        relative = stack.pop()
        locator = of_file(relative)
        try:
            with os.scandir(real / relative) as listing:
                entries = sorted(listing, key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            yield Refusal(locator, "unreadable", f"the folder cannot be listed ({error.strerror})")
            continue
        folders: list[PurePath] = []
        for entry in reversed(entries):
            here = relative / entry.name
            hidden = names_hidden(here)
            if hidden and not any(wanted for _, wanted in patterns):
                continue
            if entry.is_dir(follow_symlinks=False):
                if len(here.parts) > limits.folder_depth:
                    detail = f"folders nested deeper than {limits.folder_depth} levels are not entered"
                    yield Refusal(of_file(here), "too_deep", detail)
                else:
                    folders.append(here)
                continue
            linked_folder = entry.is_symlink() and os.path.isdir(entry.path)
            matches = any(
                wanted >= hidden and wanted_name.fullmatch(here.as_posix()) for wanted_name, wanted in patterns
            )
            if not matches and not linked_folder:
                continue
            count += 1
            if count > limits.files:
                detail = f"more than {limits.files} files; narrow the globs or raise the limit"
                yield Refusal("", "too_many_files", detail)
                return
            verdict = _verdict(entry, here, real)
            if verdict is not None:
                yield verdict
        stack.extend(reversed(folders))


def _verdict(entry: os.DirEntry[str], relative: PurePath, root: Path) -> Entry | Refusal | None:
    locator, path = of_file(relative), Path(entry.path)
    try:
        if entry.is_symlink():
            path = Path(os.path.realpath(path))
            if not path.exists():
                return Refusal(locator, "broken_symlink", "the link points nowhere")
            if not path.is_relative_to(root):
                return Refusal(locator, "symlink_outside_root", "the link leaves the folder of this source")
            if path.is_dir():
                return None
        if not stat.S_ISREG(path.stat().st_mode):
            return Refusal(locator, "not_a_regular_file", "a pipe, socket or device is not read")
    except OSError as error:
        return Refusal(locator, "unreadable", f"the file cannot be looked at ({error.strerror})")
    return Entry(locator, path)


def names_hidden(path: PurePath) -> bool:
    """Whether a part of the path begins with a dot."""
    return any(part.startswith(".") for part in path.parts)


def pattern(glob: str) -> re.Pattern[str]:
    """A glob as a pattern on whole relative paths: `*` and `?` stay within a name, `**/` spans folders."""
    out, index = "", 0
    while index < len(glob):
        if glob.startswith("**/", index):
            out, index = out + "(?:.*/)?", index + 3
        elif glob.startswith("**", index):
            out, index = out + ".*", index + 2
        elif glob[index] == "*":
            out, index = out + "[^/]*", index + 1
        elif glob[index] == "?":
            out, index = out + "[^/]", index + 1
        else:
            out, index = out + re.escape(glob[index]), index + 1
    return re.compile(out, re.DOTALL)
