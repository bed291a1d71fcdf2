"""What every reader yields, and the limits it keeps.

Belongs here: `Item`, `Refusal`, `FileFault`, `Limits`. Does not belong here: anything that knows a format.

A reader yields an `Item` for each document and a `Refusal` for whatever it does not take. A refusal whose `whole_file`
is set withdraws every item of that file that came before it: a file cut off at its end gives no rows at all.
"""

from __future__ import annotations

import errno
import tempfile
from dataclasses import dataclass
from typing import BinaryIO, cast

MIB = 1 << 20
BLOCK = MIB // 4


@dataclass(frozen=True, slots=True)
class Item:
    """One document as its file has it; `locator` is unique within the source and data only, never opened as a path."""

    locator: str
    title: str
    text: str
    media_type: str
    date: str | None = None
    """ISO 8601 day that the document gives itself."""
    quality: float | None = None
    """Score that came with the document; finite."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing not taken (or a notice): a snake_case reason, a sentence without document text, a byte offset.

    `offset` counts in the stored file for faults of the file or its compression, in the decoded stream for records.
    """

    locator: str
    reason: str
    detail: str
    offset: int | None = None
    whole_file: bool = False


class FileFault(Exception):
    """A fault that makes one file unusable as a whole."""

    def __init__(self, reason: str, detail: str, offset: int | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.offset = offset

    def refusal(self, locator: str) -> Refusal:
        """The refusal that withdraws the file named by `locator`."""
        return Refusal(locator, self.reason, self.detail, self.offset, whole_file=True)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that keep memory and time in hand whatever a file holds. Sizes in bytes."""

    record: int = 8 * MIB
    """One JSONL line, CSV row or Parquet cell, or the text of one Markdown, HTML, text, PDF or DOCX file."""
    binary: int = 64 * MIB
    """One PDF or DOCX file as it is stored, and all parts of a DOCX file expanded."""
    xml: int = 16 * MIB
    """All XML parts of a DOCX file expanded."""
    main_text: int = MIB
    """Markup up to which an HTML page's main text is looked for; of a larger page all visible text is taken."""
    total: int = 4096 * MIB
    """All bytes one compressed file or archive may expand to, and one object of a bucket."""
    ratio: int = 200
    """Expanded size over stored size, looked at once more than 1 MiB came out."""
    json_depth: int = 100
    html_depth: int = 5000
    folder_depth: int = 32
    files: int = 1_000_000
    members: int = 100_000
    """Entries of one archive."""
    archive_depth: int = 1
    """How many archives may lie inside each other below the outermost one."""
    pages: int = 10_000
    bad_records: int = 50_000
    """Refused records of one file; a file with more is no such file and is refused as a whole."""


DEFAULT_LIMITS = Limits()


def spooled() -> BinaryIO:
    """A private file without a name that stays in memory up to 16 MiB; gone when closed."""
    return cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=16 * MIB))


def own_disk_full(error: OSError) -> bool:
    """Whether our own disk, not the file that is read, is at fault."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def unreadable(locator: str, error: OSError) -> Refusal:
    """The refusal of a file that the operating system does not give."""
    detail = f"the file cannot be read ({error.strerror or type(error).__name__})"
    return Refusal(locator, "unreadable", detail, whole_file=True)
