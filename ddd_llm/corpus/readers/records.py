"""Records with named fields, as JSONL, Parquet, Arrow and CSV have them: which fields are read, and what they must be.

Belongs here: text, name, title, date and quality of one record. Does not belong here: any format.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from ddd_llm.corpus.readers.items import Item, Refusal
from ddd_llm.corpus.readers.locators import Register, escape
from ddd_llm.corpus.readers.strict_json import BadRecord


@dataclass(frozen=True, slots=True)
class Fields:
    """Keys (columns) that hold a record's text, name, title, date and quality score."""

    text: str = "text"
    id: str | None = None
    title: str | None = None
    date: str | None = None
    quality: str | None = None

    def columns(self) -> list[str]:
        """The names in use, each once."""
        named = (self.text, self.id, self.title, self.date, self.quality)
        return list(dict.fromkeys(name for name in named if name))


@dataclass(frozen=True, slots=True)
class Record:
    """One record's fields; `key` is its name, None where the file names none."""

    key: str | None
    title: str | None
    text: str
    date: str | None
    quality: float | None


def pick(record: Any, fields: Fields) -> Record:
    """The fields of a record.

    Raises:
        BadRecord: `not_an_object`, `missing_text`, `text_not_a_string`, `missing_id`, `id_not_usable`,
            `title_not_a_string`, `quality_not_a_number`, `quality_not_finite`.
    """
    if not isinstance(record, Mapping):
        raise BadRecord("not_an_object", "the record is not an object")
    text = record.get(fields.text)
    if text is None:
        raise BadRecord("missing_text", f"the record has no {fields.text}")
    if not isinstance(text, str):
        raise BadRecord("text_not_a_string", f"{fields.text} is not a string")
    title = record.get(fields.title) if fields.title else None
    if title is not None and not isinstance(title, str):
        raise BadRecord("title_not_a_string", f"{fields.title} is not a string")
    day = iso_date(record.get(fields.date)) if fields.date else None
    quality = _quality(record.get(fields.quality), fields.quality) if fields.quality else None
    if fields.id is None:
        return Record(None, title, text, day, quality)
    key = record.get(fields.id)
    if key is None or key == "":
        raise BadRecord("missing_id", f"the record has no {fields.id}")
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise BadRecord("id_not_usable", f"{fields.id} is neither a string nor an integer")
    return Record(str(key), title, text, day, quality)


def admitted(
    name: str, position: str, record: Record, register: Register, offset: int | None
) -> Iterator[Item | Refusal]:
    """The item of a record (if it stays) and what is to be reported of it.

    Args:
        name: locator of the file.
        position: what a record without a name of its own is told apart by, such as `line=3`.
    """
    locator: str | None = f"{name}#{position}"
    report = None
    if record.key is not None:
        locator, report = register.admit(
            f"{name}#id={escape(record.key)}", f"{record.title or ''}\0{record.text}", offset
        )
    if locator is not None:
        yield Item(locator, record.title or locator, record.text, "text/plain", record.date, record.quality)
    if report is not None:
        yield report


def iso_date(value: object) -> str | None:
    """The day of an ISO 8601 date or time as YYYY-MM-DD, null where there is none or it is not valid.

    A time with an offset keeps the day that it was at its place.
    """
    if isinstance(value, datetime | date):
        return f"{value.year:04d}-{value.month:02d}-{value.day:02d}"
    if not isinstance(value, str) or not 8 <= len(value.strip()) <= 40:
        return None
    try:
        return datetime.fromisoformat(value.strip()).date().isoformat()
    except ValueError:
        return None


def _quality(value: object, field: str) -> float | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):  # a CSV cell
        try:
            value = float(value)
        except ValueError:
            raise BadRecord("quality_not_a_number", f"{field} is not a number") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRecord("quality_not_a_number", f"{field} is not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadRecord("quality_not_finite", f"{field} is not finite")
    return number
