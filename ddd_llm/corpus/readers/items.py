"""What every reader yields, and the limits it keeps.

Belongs here: `Item`, `Refusal`, `FileFault`, `Limits`. Does not belong here: anything that knows a format.

A reader yields an `Item` for each document and a `Refusal` for whatever it does not take. A refusal whose `whole_file`
is set withdraws every item of that file that came before it: a file cut off at its end gives no rows at all.
"""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Item:
    """One document as its file has it; `locator` is unique within the source and data only, never opened as a path."""

    locator: str
    title: str
    text: str
    media_type: str


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
    """One JSONL line, one Parquet cell, or one whole Markdown, HTML or text file."""
    total: int = 4096 * MIB
    """All bytes one compressed file may expand to."""
    ratio: int = 200
    """Expanded size over stored size, looked at once more than 1 MiB came out."""
    json_depth: int = 100
    html_depth: int = 5000
    folder_depth: int = 32
    files: int = 1_000_000


DEFAULT_LIMITS = Limits()
