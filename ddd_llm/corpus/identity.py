"""Keys, and the identity of a document.

Belongs here: making and reading key files, keyed document ids. Does not belong here: what a key is used for elsewhere
(`privacy`). Ids are keyed because a plain hash of a short text can be guessed after an erasure.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from hashlib import sha256
from pathlib import Path

KEY_BYTES = 32

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


class KeyFileError(RuntimeError):
    """A key file that cannot be trusted or used; the message names the cure."""


def load_key(folder: Path, name: str) -> bytes:
    """The key of that name, made at first use (32 random bytes, file mode 0600, folder mode 0700).

    Two processes that ask for the first time agree: the file is published whole, and by one of them only.

    Raises:
        KeyFileError: the file or folder is open to other users, is no key, or cannot be read or made.
        ValueError: a name that is no plain word.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"a key's name is a lower-case word, not {name!r}")
    path = folder / f"{name}.key"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o022:
            raise KeyFileError(f"{folder}: others may write here and could swap the keys; run: chmod 700 '{folder}'")
        if not path.exists():
            _publish(path, secrets.token_bytes(KEY_BYTES))
        return _read(path)
    except OSError as error:
        raise KeyFileError(f"{path}: the key cannot be read or made ({error.strerror})") from None


def _publish(path: Path, key: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)  # fails where the name exists: the first one wins, and is whole
        except FileExistsError:
            return
    finally:
        temporary.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise KeyFileError(f"{path}: other users may read this key; run: chmod 600 '{path}' (or make a new key)")
        key = file.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        raise KeyFileError(f"{path}: a key has {KEY_BYTES} bytes; restore the file from its backup")
    return key


def keyed_digest(key: bytes, kind: str, content: str) -> str:
    """Hex HMAC-SHA256 (RFC 2104) over a type tag and the UTF-8 bytes: digests of different kinds never coincide."""
    return hmac.new(key, f"ddd_llm/{kind}/1\0{content}".encode(), sha256).hexdigest()


def doc_id(key: bytes, text: str) -> str:
    """Identity of a document: 32 hex characters, the same for the same normalised text under the same key."""
    return keyed_digest(key, "document", text)[:32]
