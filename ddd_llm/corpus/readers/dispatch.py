"""One file's bytes to the reader that its name asks for.

Belongs here: suffixes, compression, archives within the depth allowed. Does not belong here: where files come from
(`folder`, `bucket`), any format.

An archive may hold archives down to `Limits.archive_depth` (one); one that lies deeper is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import BinaryIO

from ddd_llm.corpus.readers import (
    archives,
    compression,
    delimited,
    docx,
    encoding,
    html,
    jsonl,
    markdown,
    parquet,
    pdf,
    text,
)
from ddd_llm.corpus.readers.items import BLOCK, FileFault, Item, Limits, Refusal, own_disk_full, spooled, unreadable
from ddd_llm.corpus.readers.records import Fields

READER = "files/2"
"""Changes when the same bytes under the same name would give other documents."""

FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".csv": "delimited",
    ".tsv": "delimited",
    ".tab": "delimited",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".txt": "text",
    ".text": "text",
    ".pdf": "pdf",
    ".docx": "docx",
    ".zip": "zip",
    ".tar": "tar",
}
_SHORT = {".tgz": (".tar", "gzip"), ".tzst": (".tar", "zstd")}
_BINARY = frozenset(["parquet", "pdf", "docx", "zip"])  # compressed on their own; `.gz` around them is not read
_SEEKING = frozenset(["parquet", "zip"])


@dataclass(frozen=True, slots=True)
class Options:
    """How the files of a source are read."""

    fields: Fields = field(default_factory=Fields)
    html: html.Extraction = "main"


def read_file(
    name: str, raw: BinaryIO, size: int, options: Options, limits: Limits, depth: int = 0
) -> Iterator[Item | Refusal]:
    """Documents of one file.

    A fault of the file becomes one refusal with `whole_file` set, which withdraws the items that came before.

    Args:
        name: locator of the file; its last suffixes choose the reader.
        raw: its bytes, at their start; seekable for the outermost file (`depth` 0).
        size: how many there are.

    Raises:
        OSError: our own disk is full.
    """
    refused = 0
    try:
        for one in _read(name, raw, size, options, limits, depth):
            if depth == 0 and isinstance(one, Refusal) and "#" in one.locator:
                refused += 1
                if refused > limits.bad_records:
                    detail = f"more than {limits.bad_records} bad records: the file is not what its name says"
                    raise FileFault("too_many_bad_records", detail, one.offset)
            yield one
    except FileFault as fault:
        yield fault.refusal(name)
    except archives.ArchiveFault as fault:  # met while a member was read
        if fault.archive != name:
            raise
        yield fault.fault.refusal(name)
    except OSError as error:
        if own_disk_full(error):
            raise
        yield unreadable(name, error)


def _read(
    name: str, raw: BinaryIO, size: int, options: Options, limits: Limits, depth: int
) -> Iterator[Item | Refusal]:
    kind, suffix, codec = _kind(name)
    if kind in ("zip", "tar"):
        yield from _archive(name, kind, raw, size, codec, options, limits, depth)
    elif kind in ("pdf", "docx"):
        data = encoding.whole(compression.blocks(raw, size, None, limits), limits.binary)
        yield from (pdf if kind == "pdf" else docx).read(name, data, limits)
    elif kind == "parquet":
        with _seekable(raw, depth) as file:
            yield from parquet.read(name, file, size, options.fields, limits)
    else:
        source = encoding.Text(compression.blocks(raw, size, codec, limits))
        if kind == "jsonl":
            yield from jsonl.read(name, source.records(), options.fields, limits)
        elif kind == "delimited":
            mark = delimited.DELIMITERS[suffix]
            yield from delimited.read(name, source.records(), options.fields, mark, limits)
        elif kind == "markdown":
            yield from markdown.read(name, source, limits)
        elif kind == "html":
            yield from html.read(name, source, limits, options.html)
        else:
            yield from text.read(name, source, limits)
        yield from source.notice(name)


def _kind(name: str) -> tuple[str, str, str | None]:
    """(kind, suffix, codec) that a file's name asks for."""
    path = PurePosixPath(name.rpartition("!")[2].partition(";")[0])
    suffix = path.suffix.lower()
    if suffix in _SHORT:
        suffix, codec = _SHORT[suffix]
        return FORMATS[suffix], suffix, codec
    codec = compression.CODECS.get(suffix)
    if codec:
        suffix = PurePosixPath(path.stem).suffix.lower()
        if suffix in compression.CODECS or suffix in _SHORT:
            raise FileFault("nested_compression", "compressed more than once; expand it by hand")
    kind = FORMATS.get(suffix)
    if kind is None or (codec and kind in _BINARY):
        known = " ".join(sorted([*FORMATS, *_SHORT]))
        raise FileFault("unsupported_format", f"no reader for this suffix; there are {known}, text also as .gz or .zst")
    return kind, suffix, codec


def _archive(
    name: str, kind: str, raw: BinaryIO, size: int, codec: str | None, options: Options, limits: Limits, depth: int
) -> Iterator[Item | Refusal]:
    if depth > limits.archive_depth:
        raise FileFault("nested_archive", f"an archive more than {limits.archive_depth} deep in others; unpack it")
    if kind == "zip":
        with _seekable(raw, depth) as file:
            yield from _members(archives.zip_members(name, file, size, limits), options, limits, depth)
    else:
        blocks = compression.blocks(raw, size, codec, limits)
        yield from _members(archives.tar_members(name, blocks, size, limits), options, limits, depth)


def _members(
    found: Iterator[archives.Member | Refusal], options: Options, limits: Limits, depth: int
) -> Iterator[Item | Refusal]:
    came = False
    for one in found:
        came = True
        if isinstance(one, Refusal):
            yield one
        else:
            yield from read_file(one.locator, one.raw, one.size, options, limits, depth + 1)
    if not came:
        raise FileFault("empty_file", "the archive holds nothing to read", 0)


def _seekable(raw: BinaryIO, depth: int) -> AbstractContextManager[BinaryIO]:
    """The file itself, or a private copy of an archive's member, which can be read only once and forwards."""
    if depth == 0:
        return nullcontext(raw)
    copy = spooled()
    while block := raw.read(BLOCK):
        copy.write(block)
    copy.seek(0)
    return copy
