"""Arrow schemas of the tables that ingest and governance write.

Belongs here: column names, types and their meaning. Does not belong here: the tables of deduplication and curation.
"""

from __future__ import annotations

import pyarrow as pa

CURRENT = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("locator", pa.string(), nullable=False),
        pa.field("title", pa.string()),
        pa.field("media_type", pa.string()),
        pa.field("language", pa.string()),
        pa.field("date", pa.string()),
        pa.field("quality", pa.float64()),
        pa.field("text", pa.string()),
        pa.field("bytes", pa.int64()),
    ]
)
"""A document of a source as it stands now. `date` is the ISO 8601 day that the document gives itself, `quality` a finite
score that came with it, both null where there is none; `bytes` is the UTF-8 length of `text`."""

RAW = pa.schema([*list(CURRENT)[:3], pa.field("op", pa.string(), nullable=False), *list(CURRENT)[3:]])
"""One batch: what changed. `op` is add, update or delete; a delete carries the id it removes and nulls after `op`."""

GOVERNED = pa.schema(
    [
        *list(RAW)[:9],
        pa.field("licence", pa.string()),
        pa.field("text", pa.string()),
        pa.field("identifiers", pa.int32(), nullable=False),
    ]
)
"""One batch after governance: `licence` is an SPDX expression, `identifiers` counts what became a pseudonym."""

QUARANTINE = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("locator", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("offset", pa.int64()),
    ]
)
"""What was held back, and notices. `detail` never holds document text; `offset` is in bytes."""
