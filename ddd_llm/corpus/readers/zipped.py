"""What must hold of a zip file before anything is expanded: its end is there, it is no bomb, nothing in it is hidden.

Belongs here: checks that need the directory alone, for archives and for DOCX files. Does not belong here: what the
members are.
"""

from __future__ import annotations

import struct
import zipfile
from typing import BinaryIO

from ddd_llm.corpus.readers.items import MIB, FileFault, Limits

_END = b"PK\x05\x06"
_END64 = b"PK\x06\x06"
_LOCATOR64 = b"PK\x06\x07"
_MOST_DIRECTORY = 16 * MIB
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others cannot be expanded in bounded steps


def open_zip(raw: BinaryIO, size: int, limits: Limits) -> zipfile.ZipFile:
    """The zip file, its directory read, nothing expanded.

    Raises:
        FileFault: `empty_file`, `corrupt_archive`, `truncated` (no directory: offset where the file ends),
            `too_many_members`, `decompression_bomb` (by the sizes that the directory names, which reading enforces).
    """
    if size == 0:
        raise FileFault("empty_file", "the file has 0 bytes", 0)
    _check_directory(raw, size, limits)
    try:
        raw.seek(0)
        archive = zipfile.ZipFile(raw)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeDecodeError, struct.error, EOFError):
        raise FileFault("corrupt_archive", "the directory of the archive is damaged", None) from None
    members = archive.infolist()
    if len(members) > limits.members:
        raise FileFault("too_many_members", f"more than {limits.members} entries; split the archive")
    total = sum(member.file_size for member in members)
    if total > limits.total or (total > MIB and total > limits.ratio * size):
        detail = f"expands beyond {limits.ratio} times its size or {limits.total} bytes; raise the limit if right"
        raise FileFault("decompression_bomb", detail)
    return archive


def objection(member: zipfile.ZipInfo) -> tuple[str, str] | None:
    """Why a member is not expanded (reason, sentence)."""
    if member.flag_bits & 0x2041:
        return "encrypted", "the member is encrypted; decrypt it first"
    if member.compress_type not in _METHODS:
        return "unsupported_compression", "the member is neither stored nor deflated; pack it again"
    return None


def _check_directory(raw: BinaryIO, size: int, limits: Limits) -> None:
    """Bound the directory before `zipfile` takes all of it into memory."""
    raw.seek(max(0, size - 65_557))
    tail = raw.read(65_557)
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < 22:
        raw.seek(0)
        if raw.read(4) in (b"PK\x03\x04", _END):
            raise FileFault("truncated", "the archive ends before its directory", size)
        raise FileFault("corrupt_archive", "the file does not begin as zip", 0)
    count, directory = struct.unpack_from("<HI", tail, at + 10)
    if at >= 20 and tail[at - 20 : at - 16] == _LOCATOR64:
        (where,) = struct.unpack_from("<Q", tail, at - 12)
        raw.seek(min(where, size))
        end = raw.read(56)
        if len(end) < 56 or not end.startswith(_END64):
            raise FileFault("corrupt_archive", "the directory of the archive is damaged", min(where, size))
        count, directory = struct.unpack_from("<QQ", end, 32)
    if count > limits.members or directory > _MOST_DIRECTORY:
        raise FileFault("too_many_members", f"more than {limits.members} entries, or names too long; split the archive")
