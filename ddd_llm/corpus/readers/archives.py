"""tar and zip archives: their members, one after the other, each in bounded blocks.

Belongs here: walking an archive, its limits, and which members are refused. Does not belong here: what a member is
(`dispatch`). Nothing is ever written under a member's name: a name is data.

Members are read in the archive's order. Hidden ones (a part that begins with a dot, and `__MACOSX`) are left out, as
in a folder. An archive that was cut off or damaged is withdrawn as a whole.
"""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from ddd_llm.corpus.readers import zipped
from ddd_llm.corpus.readers.items import BLOCK, MIB, FileFault, Limits, Refusal
from ddd_llm.corpus.readers.locators import member

_LONGEST_HEADER = MIB  # of a tar's extended header, which is held in memory
_EXTENDED = frozenset(
    [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK]
)
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeError)


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its locator, its bytes (to be read before the next one is asked for), and how many there are."""

    locator: str
    raw: BinaryIO
    size: int


def zip_members(name: str, raw: BinaryIO, size: int, limits: Limits) -> Iterator[Member | Refusal]:
    """Regular members of a zip file; `raw` is seekable.

    Refusals: `unsafe_member_path`, `not_a_regular_file`, `encrypted`, `unsupported_compression`; the notice
    `duplicate_member`.

    Raises:
        FileFault: those of `zipped.open_zip`; `corrupt_archive` with the offset of the member.
    """
    names = _Names(name)
    with zipped.open_zip(raw, size, limits) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            locator, report = names.admit(info.orig_filename)
            if locator is None:
                if report is not None:
                    yield report
                continue
            mode = info.external_attr >> 16
            if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                yield Refusal(locator, "not_a_regular_file", "a link, pipe or device is not read", info.header_offset)
                continue
            against = zipped.objection(info)
            if against is not None:
                yield Refusal(locator, *against, info.header_offset, whole_file=True)
                continue
            if report is not None:
                yield report
            try:
                with archive.open(info) as stream:
                    yield Member(
                        locator, cast(BinaryIO, _Guarded(stream, name, info.header_offset, size)), info.file_size
                    )
            except _DAMAGE as error:
                raise _fault(error, info.header_offset, size) from None


def tar_members(name: str, blocks: Iterable[bytes], size: int, limits: Limits) -> Iterator[Member | Refusal]:
    """Regular members of a tar stream.

    Args:
        blocks: the expanded bytes, whose own limits hold against bombs.
        size: stored size of the archive, the offset that a cut is reported at.

    Refusals: `unsafe_member_path`, `not_a_regular_file`, `sparse_member`; the notice `duplicate_member`.

    Raises:
        FileFault: `truncated`, `corrupt_archive`, `too_many_members`; those of `blocks`.
    """
    names, count = _Names(name), 0
    source = _Blocks(blocks)
    try:
        with tarfile.open(fileobj=cast(BinaryIO, source), mode="r|", tarinfo=_Header, encoding="utf-8") as archive:
            while (info := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # tarfile keeps them all
                count += 1
                if count > limits.members:
                    raise FileFault("too_many_members", f"more than {limits.members} entries; split the archive")
                if info.isdir():
                    continue
                locator, report = names.admit(info.name)
                if locator is None:
                    if report is not None:
                        yield report
                    continue
                if not info.isreg():
                    yield Refusal(locator, "not_a_regular_file", "a link, pipe or device is not read", info.offset)
                    continue
                if info.issparse():
                    yield Refusal(locator, "sparse_member", "a member with holes is not read", info.offset)
                    continue
                stream = archive.extractfile(info)
                if report is not None:
                    yield report
                if stream is not None:
                    yield Member(locator, cast(BinaryIO, _Guarded(stream, name, info.offset, size)), info.size)
        while source.read(BLOCK):  # to the end, where a compressed stream proves itself
            pass
    except _Cut:
        raise FileFault("truncated", f"the archive ends before its end mark, after {count} entries", size) from None
    except _DAMAGE as error:
        raise _fault(error, source.came, size) from None


class _Cut(Exception):
    """A tar stream that ends where an entry should begin."""


class _Header(tarfile.TarInfo):
    """tarfile takes a missing end mark and a damaged header for the end of the archive; this does not."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> tarfile.TarInfo:
        if len(buf) < tarfile.BLOCKSIZE:
            raise _Cut
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError:
            raise FileFault("corrupt_archive", "a header of the archive is damaged") from None
        if header.size < 0 or (header.type in _EXTENDED and header.size > _LONGEST_HEADER):
            raise FileFault("corrupt_archive", "a header of the archive names an impossible size")
        return header

    def _proc_gnusparse_10(self, *_: Any) -> None:
        # tarfile would hold the whole list of holes, which can be as long as the archive.
        raise FileFault("sparse_member", "an archive with sparse members is not read; pack it again without")


class _Blocks(io.RawIOBase):
    """A stream of blocks as a file to read on from; for the bytes of a tar."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._held = b""
        self.came = 0
        self.ended = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, wanted = [], size
        while wanted > 0:
            if not self._held:
                self._held = next(self._blocks, b"")
                if not self._held:
                    self.ended = True
                    break
            parts.append(self._held[:wanted])
            self._held = self._held[wanted:]
            wanted -= len(parts[-1])
        data = b"".join(parts)
        self.came += len(data)
        return data


class _Guarded:
    """A member's bytes; damage of the archive met while reading them withdraws the archive, not the member."""

    def __init__(self, stream: Any, archive: str, offset: int, size: int) -> None:
        self._stream = stream
        self._archive = archive
        self._offset = offset
        self._size = size
        self._came = 0

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._stream.read(size)
        except _DAMAGE as error:
            raise ArchiveFault(self._archive, _fault(error, self._offset, self._size)) from None
        except FileFault as fault:  # of the compressed stream around a tar
            raise ArchiveFault(self._archive, fault) from None
        self._came += len(data)
        return data

    def tell(self) -> int:
        return self._came

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    @property
    def closed(self) -> bool:
        return False

    def close(self) -> None:
        """The archive closes its members."""


class ArchiveFault(Exception):
    """`archive` (its locator) is itself damaged, cut off or a bomb where a member's bytes should be: `fault`."""

    def __init__(self, archive: str, fault: FileFault) -> None:
        super().__init__(str(fault))
        self.archive = archive
        self.fault = fault


def _fault(error: BaseException, offset: int, size: int) -> FileFault:
    if isinstance(error, EOFError) or "unexpected end" in str(error):
        return FileFault("truncated", "the archive ends inside a member", size)
    return FileFault("corrupt_archive", "a member of the archive is damaged", offset)


class _Names:
    """Locators of an archive's members: safe paths only, told apart where a path comes twice."""

    def __init__(self, archive: str) -> None:
        self._archive = archive
        self._seen: dict[str, int] = {}

    def admit(self, path: str) -> tuple[str | None, Refusal | None]:
        """The locator (None: leave the member out) and what to report, if anything."""
        plain = path.removeprefix("./") if path.startswith("./") else path
        parts = plain.split("/")
        locator = member(self._archive, plain)
        if not plain or plain.startswith("/") or "\\" in plain or ".." in parts or (plain[1:2] == ":") or "\0" in plain:
            return None, Refusal(
                locator, "unsafe_member_path", "the path is absolute, leaves the archive or is no path"
            )
        if any(part.startswith(".") or part == "__MACOSX" for part in parts):
            return None, None
        count = self._seen[plain] = self._seen.get(plain, 0) + 1
        if count == 1:
            return locator, None
        locator = f"{locator};{count}"
        return locator, Refusal(locator, "duplicate_member", f"the path comes for the {count}. time; all are read")
