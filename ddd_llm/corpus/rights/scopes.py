"""Which documents of a source a sentence speaks of: globs over locators.

Belongs here: matching, and finding the few globs of many that can match. Does not belong here: what is said of the documents.

`*` and `?` stay within one path segment, `**` crosses them; letters are compared as they are, in normal form NFC. A glob that
names a file speaks of every record in it, one that names an archive of every member, one that names a record also of later
records under the same name (`;2`): a withdrawal must not miss what it means.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Iterable
from functools import cache
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator

T = TypeVar("T", bound=Hashable)
_SAME_NAME = re.compile(r";\d+$")
_WILD = re.compile(r"[*?]")


def _checked(glob: str) -> str:
    glob = unicodedata.normalize("NFC", glob)
    if not glob or glob != glob.strip() or glob.startswith(("/", "./", "../")):
        raise ValueError("a glob over locators: a path inside the source, such as letters/*.md or ** for everything")
    return glob


Glob = Annotated[str, AfterValidator(_checked)]


def places(locator: str) -> list[str]:
    """Every name under which a glob may mean this document: itself, its file, the archives around it."""
    name = unicodedata.normalize("NFC", locator)
    found = [name, _SAME_NAME.sub("", name), name.partition("#")[0]]
    while "!" in found[-1]:
        found.append(found[-1].rpartition("!")[0])
    return list(dict.fromkeys(found))


@cache
def pattern(glob: str) -> re.Pattern[str]:
    """The regular expression of a glob."""
    out, index = "", 0
    while index < len(glob):
        if glob.startswith("**/", index) and (index == 0 or glob[index - 1] == "/"):
            out, index = out + "(?:.*/)?", index + 3
        elif glob.startswith("**", index):
            out, index = out + ".*", index + 2
        elif glob[index] in "*?":
            out, index = out + ("[^/]*" if glob[index] == "*" else "[^/]"), index + 1
        else:
            out, index = out + re.escape(glob[index]), index + 1
    return re.compile(out, re.DOTALL)


class Scopes(Generic[T]):
    """Many (glob, value) pairs; `of` finds the values whose globs match, without trying every glob.

    A glob is kept under the folder that its part before the first wildcard names, one without wildcards under itself.
    """

    def __init__(self, pairs: Iterable[tuple[str, T]]) -> None:
        self._exact: dict[str, list[tuple[int, T]]] = {}
        self._wild: dict[str, list[tuple[int, re.Pattern[str], T]]] = {}
        for order, (glob, value) in enumerate(pairs):
            wild = _WILD.search(glob)
            if wild is None:
                self._exact.setdefault(glob, []).append((order, value))
            else:
                folder = glob[: glob.rfind("/", 0, wild.start()) + 1]
                self._wild.setdefault(folder, []).append((order, pattern(glob), value))

    def __bool__(self) -> bool:
        return bool(self._exact or self._wild)

    def of(self, locator: str) -> tuple[T, ...]:
        """Values whose glob speaks of this document, each once, in the order they were given."""
        if not self:
            return ()
        found: list[tuple[int, T]] = []
        for place in places(locator):
            found += self._exact.get(place, [])
            for folder in _folders(place):
                found += [(order, value) for order, glob, value in self._wild.get(folder, []) if glob.fullmatch(place)]
        return tuple(dict.fromkeys(value for _, value in sorted(found, key=lambda pair: pair[0])))


def _folders(place: str) -> list[str]:
    return ["", *(place[: found.end()] for found in re.finditer("/", place))]
