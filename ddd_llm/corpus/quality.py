"""Curation: which documents are worth learning from, by an approved policy.

Here: the policy applied to a table, what each rule measured, which documents are borderline, and keep rates. Not here: the
rules themselves (`filters/`), their thresholds (`assets/policies/curation.yaml`).
"""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.corpus.filters.document import Document
from ddd_llm.corpus.filters.policy import CurationPolicy
from ddd_llm.platform.cores import over_rows
from ddd_llm.platform.settings import CHECKOUT

DECISIONS = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("locator", pa.string()),
        ("batch", pa.string()),
        ("verdict", pa.string()),
        ("reason", pa.string()),
        ("kept_id", pa.string()),
        ("jaccard", pa.float64()),
    ]
)

BORDERLINE = pa.schema(
    [
        ("id", pa.string()),
        ("batch", pa.string()),
        ("rule", pa.string()),
        ("passed", pa.bool_()),
        ("value", pa.float64()),
        ("limit", pa.float64()),
    ]
)
"""Answers within the policy's margin of their limit, on either side of it."""

ASSETS = CHECKOUT / "assets"

Near: TypeAlias = tuple[int, str, bool, float, float]
"""A borderline answer: row, rule, whether it passed, value, limit."""


@dataclass(frozen=True)
class Judgement:
    """What curation decided and on what grounds.

    `kept` has columns and order of the input, `decisions` (`DECISIONS`) a row per row of the input, in its order. `measures`
    has the same rows: `id`, `batch`, and per rule the value it measured (float64; null where the rule was not reached or had
    nothing to say). `borderline` as `BORDERLINE`, in the input's order.
    """

    kept: pa.Table
    decisions: pa.Table
    measures: pa.Table
    borderline: pa.Table


def judge(documents: pa.Table, policy: CurationPolicy, assets: Path = ASSETS) -> Judgement:
    """Ask every document the policy's rules, in their order, up to the first that it breaks.

    Args:
        documents: columns `id, source, locator, batch, media_type, language, text` and any others, which pass through.
        policy: see `CurationPolicy`.
        assets: where a model file stands that a rule names by a relative path.

    Raises:
        ValueError: a column is missing, or a text is null.
        InputError: a classifier's model is missing or not what the policy says.
    """
    for column in ("id", "source", "locator", "batch", "media_type", "language", "text"):
        if column not in documents.column_names:
            raise ValueError(f"documents have no column {column!r}")
    if documents["text"].null_count:
        raise ValueError(f"{documents['text'].null_count} documents have no text")
    parts = over_rows(partial(_ask, policy=policy, assets=assets), documents.select(["text", "media_type", "language"]))
    reasons: list[str | None] = []
    near: list[Near] = []
    values: list[npt.NDArray[np.float64]] = []
    for part in parts:
        before = len(reasons)
        near += [(before + row, rule, passed, value, limit) for row, rule, passed, value, limit in part.near]
        reasons += part.reasons
        values.append(part.values)
    kept, decisions = _decided(documents, pa.array(reasons, pa.string()))
    measures = {"id": documents["id"], "batch": documents["batch"]}
    for number, column in enumerate(np.concatenate(values, axis=1)):
        measures[policy.rules[number].rule] = pa.array(column, from_pandas=True)
    return Judgement(kept, decisions, pa.table(measures), _borderline(documents, near))


class _Answers(NamedTuple):
    """What the rules said of some rows: why each is dropped, borderline answers (the row first), and what was measured:
    (rules, rows), NaN where a rule was not asked or had nothing to say."""

    reasons: list[str | None]
    near: list[Near]
    values: npt.NDArray[np.float64]


def _ask(documents: pa.Table, policy: CurationPolicy, assets: Path) -> _Answers:
    questions = [(rule.rule, rule.open(assets)) for rule in policy.rules]
    values = np.full((len(questions), len(documents)), np.nan)
    reasons: list[str | None] = []
    near: list[Near] = []
    for row, said in enumerate(zip(*(column.to_pylist() for column in documents.columns), strict=True)):
        text, media_type, language = said
        document = Document(text, media_type or "text/plain", language or "und", policy.code)
        reason: str | None = None
        for number, (name, ask) in enumerate(questions):
            found = ask(document)
            if found is None:
                continue
            values[number, row] = found.value
            if found.near(policy.borderline.margin):
                near.append((row, name, not found.broken, found.value, found.limit))
            if found.broken:
                reason = name
                break
        reasons.append(reason)
    return _Answers(reasons, near, values)


def curate(documents: pa.Table, policy: CurationPolicy) -> tuple[pa.Table, pa.Table]:
    """`kept` and `decisions` of `judge`, for who needs no grounds."""
    found = judge(documents, policy)
    return found.kept, found.decisions


def _decided(documents: pa.Table, reason: pa.Array) -> tuple[pa.Table, pa.Table]:
    columns = {name: documents[name] for name in ("id", "source", "locator", "batch")}
    columns["verdict"] = pc.if_else(pc.is_null(reason), "kept", "dropped")
    columns["reason"] = reason
    columns["kept_id"] = pa.nulls(len(reason), pa.string())
    columns["jaccard"] = pa.nulls(len(reason), pa.float64())
    return documents.filter(pc.is_null(reason)), pa.table(columns).cast(DECISIONS)


def _borderline(documents: pa.Table, near: list[Near]) -> pa.Table:
    rows, *columns = zip(*near, strict=True) if near else ([], [], [], [], [])
    places = documents.select(["id", "batch"]).take(pa.array(rows, pa.int64()))
    names = ("rule", "passed", "value", "limit")
    made = {name: pa.array(column, BORDERLINE.field(name).type) for name, column in zip(names, columns, strict=True)}
    return pa.table({"id": places["id"], "batch": places["batch"], **made}).cast(BORDERLINE)


def keep_rates(decisions: pa.Table) -> pa.Table:
    """How much each rule drops of each source.

    Args:
        decisions: as `judge` (or deduplication) returns them.

    Returns:
        `rule`, `source`, `dropped` (int64), `share` of the source's documents (float64), for each pair of a rule and a source it
        dropped something of; by rule, then source.
    """
    totals = decisions.group_by("source").aggregate([([], "count_all")])
    dropped = decisions.filter(pc.equal(decisions["verdict"], "dropped"))
    counts = dropped.group_by(["reason", "source"]).aggregate([([], "count_all")])
    counts = counts.sort_by([("reason", "ascending"), ("source", "ascending")])
    of_source = totals["count_all"].take(pc.index_in(counts["source"], value_set=totals["source"]))
    share = np.asarray(counts["count_all"]) / np.asarray(of_source) if len(counts) else np.zeros(0)
    return pa.table(
        {"rule": counts["reason"], "source": counts["source"], "dropped": counts["count_all"], "share": share}
    )
