"""What a pass gives back, and the decisions on documents it drops. Not here: any pass."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ddd_llm.corpus.quality import DECISIONS


@dataclass(frozen=True)
class Outcome:
    """`documents` kept (the input's columns and order), `decisions` on those dropped (`quality.DECISIONS`), the pass's own
    table of findings, and figures for the report."""

    documents: pa.Table
    decisions: pa.Table
    found: pa.Table
    summary: dict[str, Any] = field(default_factory=dict)


def drop(
    documents: pa.Table, dropped: npt.NDArray[np.bool_], reason: str, kept_ids: Sequence[str | None] | None = None
) -> tuple[pa.Table, pa.Table]:
    """The documents without those dropped, and the decisions on these.

    Args:
        documents: with at least `id, source, locator, batch`.
        dropped: per document.
        reason: one for all of them.
        kept_ids: per dropped document the id of the one kept in its place.
    """
    rows = documents.select(["id", "source", "locator", "batch"]).filter(pa.array(dropped))
    count = len(rows)
    columns = {name: rows[name] for name in rows.column_names}
    columns["verdict"] = pa.array(["dropped"] * count, pa.string())
    columns["reason"] = pa.array([reason] * count, pa.string())
    columns["kept_id"] = pa.array([None] * count if kept_ids is None else kept_ids, pa.string())
    columns["jaccard"] = pa.nulls(count, pa.float64())
    return documents.filter(pa.array(~dropped)), pa.table(columns).cast(DECISIONS)
