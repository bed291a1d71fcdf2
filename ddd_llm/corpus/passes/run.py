"""The optional passes, one after the other.

Here: their order, and what they find put together. Not here: any pass.

Boilerplate, contamination and semantic duplicates may change or drop documents; tags and triggers describe what is left.
Documents in = documents kept + decisions, each document once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ddd_llm.corpus.passes import boilerplate, contamination, poisoning, semantic, tags
from ddd_llm.corpus.passes.outcome import Outcome
from ddd_llm.corpus.passes.policy import PassesPolicy
from ddd_llm.corpus.quality import DECISIONS

COLUMNS = ("id", "source", "locator", "batch", "media_type", "text")


@dataclass(frozen=True)
class PassResult:
    """What the passes left and found.

    `documents` have the input's columns and order, texts possibly cleaned (the id stays). `decisions` (`quality.DECISIONS`)
    has one row per dropped document, by pass, then order. The side tables: `cleaning` (boilerplate.CLEANING), `contamination`
    (contamination.CONTAMINATION), `semantic` (semantic.SEMANTIC), `tags` (tags.TAGS), `triggers` (poisoning.TRIGGERS). `summary`
    has figures per pass that ran.
    """

    documents: pa.Table
    decisions: pa.Table
    cleaning: pa.Table
    contamination: pa.Table
    semantic: pa.Table
    tags: pa.Table
    triggers: pa.Table
    summary: dict[str, dict[str, Any]]

    @property
    def tables(self) -> dict[str, pa.Table]:
        """The side tables by name."""
        return {name: getattr(self, name) for name in ("cleaning", "contamination", "semantic", "tags", "triggers")}


def apply_passes(
    documents: pa.Table, policy: PassesPolicy, assets: Path, progress: Callable[..., None] | None = None
) -> PassResult:
    """Run the passes that the policy enables.

    Args:
        documents: columns `COLUMNS` and any others, which pass through; after deduplication, in keep order.
        policy: see `PassesPolicy`.
        assets: folder below which evaluation sets lie.
        progress: called with (passes done, passes, note).

    Raises:
        ValueError: a column is missing, or an id or a text is null.
        InputError: an evaluation set cannot be read.
        MissingExtra: the semantic pass is enabled and its model not installed.
    """
    for column in COLUMNS:
        if column not in documents.column_names:
            raise ValueError(f"documents have no column {column!r}")
    for column in ("id", "source", "locator", "text"):
        if documents[column].null_count:
            raise ValueError(f"column {column!r} of documents holds {documents[column].null_count} nulls")
    passes: list[tuple[str, str, bool, pa.Schema, Callable[[pa.Table], Outcome]]] = [
        ("boilerplate", "cleaning", policy.boilerplate.enabled, boilerplate.CLEANING,
         lambda rows: boilerplate.remove_boilerplate(rows, policy.boilerplate)),
        ("contamination", "contamination", policy.contamination.enabled and bool(policy.contamination.sets),
         contamination.CONTAMINATION, lambda rows: contamination.find_contaminated(rows, policy.contamination, assets)),
        ("semantic", "semantic", policy.semantic.enabled, semantic.SEMANTIC,
         lambda rows: semantic.drop_semantic_duplicates(rows, policy.semantic)),
        ("tags", "tags", policy.tags.enabled, tags.TAGS, lambda rows: tags.tag_documents(rows, policy.tags)),
        ("poisoning", "triggers", policy.poisoning.enabled, poisoning.TRIGGERS,
         lambda rows: poisoning.find_triggers(rows, policy.poisoning)),
    ]  # fmt: skip
    decisions = [DECISIONS.empty_table()]
    found: dict[str, pa.Table] = {}
    summary: dict[str, dict[str, Any]] = {}
    for number, (name, table, enabled, schema, run) in enumerate(passes):
        if progress is not None:
            progress(number, len(passes), f"now {name}")
        found[table] = schema.empty_table()
        if enabled:
            outcome = run(documents)
            documents, found[table], summary[name] = outcome.documents, outcome.found, outcome.summary
            decisions.append(outcome.decisions)
    return PassResult(documents, pa.concat_tables(decisions), **found, summary=summary)
