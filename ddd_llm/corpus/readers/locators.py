"""Locators: where in its source a document stands, as plain text that is safe to store and to show.

Belongs here: spelling of names, and telling records of one file apart. Does not belong here: opening anything; a
locator is never turned back into a path.
"""

from __future__ import annotations

import unicodedata
from hashlib import blake2b
from pathlib import PurePath

from ddd_llm.corpus.readers.items import Refusal

_RESERVED = frozenset("%#;!")
_DIGEST = 16


def escape(name: str) -> str:
    """A name with `%`, `#`, `;`, `!`, control, format and undecodable characters percent-encoded (UTF-8).

    Letters of any script stay readable; direction marks, NUL and escape codes cannot reach a terminal or a page.
    """
    if name.isascii() and name.isprintable() and not _RESERVED.intersection(name):
        return name
    return "".join(_escape_character(character) for character in name)


def _escape_character(character: str) -> str:
    if character in _RESERVED or (character != " " and unicodedata.category(character)[0] in "CZ"):
        return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
    return character


def of_file(relative: PurePath) -> str:
    """Locator of a file: its path relative to the source's folder, with forward slashes."""
    return "/".join(escape(part) for part in relative.parts)


def member(archive: str, path: str) -> str:
    """Locator of an archive's member: the archive's own, `!`, the path inside it."""
    return f"{archive}!{'/'.join(escape(part) for part in path.split('/'))}"


def file_of(locator: str) -> str:
    """The file (or member of an archive) that a document's locator stands in; a `#` in a name is escaped."""
    return locator.partition("#")[0]


def holders(file: str) -> list[str]:
    """A file's locator behind those of the archives it lies in, the outermost first."""
    return [file[:at] for at, character in enumerate(file) if character == "!"] + [file]


class Register:
    """Gives each named record of one file a locator of its own and reports names that come twice.

    Same name, same content: the record is left out and counted. Same name, other content: both stay, the later one
    under `name;2`, `name;3` ..., with a notice.
    """

    def __init__(self) -> None:
        # One digest per name; more only where contents differ, to keep a file of many names small.
        self._seen: dict[bytes, bytes] = {}

    def admit(self, locator: str, content: str, offset: int | None = None) -> tuple[str | None, Refusal | None]:
        """The locator to store the record under (None: leave it out) and what to report, if anything."""
        name, digest = _digest(locator), _digest(content)
        known = self._seen.get(name, b"")
        if any(digest == known[at : at + _DIGEST] for at in range(0, len(known), _DIGEST)):
            detail = "a record with this name and the same content came before; one is kept"
            return None, Refusal(locator, "duplicate_id_same_content", detail, offset)
        self._seen[name] = known + digest
        if not known:
            return locator, None
        number = len(known) // _DIGEST + 1
        mine = f"{locator};{number}"
        detail = f"a record with this name and other content came before; both stay, this one as number {number}"
        return mine, Refusal(mine, "duplicate_id_conflict", detail, offset)


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).digest()
