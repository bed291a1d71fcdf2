"""Curation: which documents are worth learning from, by an approved policy.

Here: the policy, its application to a table, and keep rates. Not here: the rules themselves (`quality_rules`,
`quality_shapes`), their thresholds (`assets/policies/curation.yaml`).
"""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from datetime import date
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ddd_llm.corpus.quality_document import Document
from ddd_llm.corpus.quality_rules import (
    Boilerplate,
    FewStopWords,
    Language,
    LoremIpsum,
    TooFewWords,
    TooManyWords,
    Undecoded,
    WebChrome,
)
from ddd_llm.corpus.quality_shapes import (
    EllipsisLines,
    FewLetters,
    RepeatedLines,
    RepeatedPhrases,
    Symbols,
    WordLength,
)

AnyRule = Annotated[
    Boilerplate
    | EllipsisLines
    | FewLetters
    | FewStopWords
    | Language
    | LoremIpsum
    | RepeatedLines
    | RepeatedPhrases
    | Symbols
    | TooFewWords
    | TooManyWords
    | Undecoded
    | WebChrome
    | WordLength,
    Field(discriminator="rule"),
]

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


class CurationPolicy(BaseModel):
    """Which rules a document must pass, and who answers for them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(ge=1, description="Goes up with every change.")
    approved_by: str | None = Field(
        default=None, min_length=1, description="Who answers for this version; null: nobody yet."
    )
    approved_on: date | None = None
    rules: tuple[AnyRule, ...] = Field(description="In the order of asking: the first rule broken is the reason.")

    @model_validator(mode="after")
    def _each_rule_once(self) -> "CurationPolicy":
        names = [rule.rule for rule in self.rules]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"rules named more than once: {', '.join(twice)}")
        return self

    def reason(self, document: Document) -> str | None:
        """The name of the first rule that the document breaks, or None."""
        for rule in self.rules:
            if rule.broken_by(document):
                return rule.rule
        return None


def curate(documents: pa.Table, policy: CurationPolicy) -> tuple[pa.Table, pa.Table]:
    """Ask every document the policy's rules.

    Args:
        documents: columns `id, source, locator, batch, media_type, language, text` and any others, which pass through.

    Returns:
        The documents kept (columns and order of the input), and a decision on each row of the input, in its order
        (`DECISIONS`): `verdict` kept or dropped, `reason` the rule's name.

    Raises:
        ValueError: a column is missing, or a text is null.
    """
    for column in ("id", "source", "locator", "batch", "media_type", "language", "text"):
        if column not in documents.column_names:
            raise ValueError(f"documents have no column {column!r}")
    if documents["text"].null_count:
        raise ValueError(f"{documents['text'].null_count} documents have no text")
    reasons: list[str | None] = []
    for rows in documents.select(["text", "media_type", "language"]).to_batches(max_chunksize=4096):
        for text, media_type, language in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            reasons.append(policy.reason(Document(text, media_type or "text/plain", language or "und")))
    reason = pa.array(reasons, pa.string())
    columns = {name: documents[name] for name in ("id", "source", "locator", "batch")}
    columns["verdict"] = pc.if_else(pc.is_null(reason), "kept", "dropped")
    columns["reason"] = reason
    columns["kept_id"] = pa.nulls(len(reason), pa.string())
    columns["jaccard"] = pa.nulls(len(reason), pa.float64())
    return documents.filter(pc.is_null(reason)), pa.table(columns).cast(DECISIONS)


def keep_rates(decisions: pa.Table) -> pa.Table:
    """How much each rule drops of each source.

    Args:
        decisions: as `curate` (or deduplication) returns them.

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
