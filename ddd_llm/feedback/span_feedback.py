"""Span feedback as rewards are learnt from it: for each granularity, which segments of an answer are in error.

Belongs here: the table of span feedback and labels per segment. Does not: cutting texts (`segments`), nor models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from ddd_llm.feedback.constructed import Planted
from ddd_llm.feedback.labels import Item, SpansValue
from ddd_llm.feedback.preferences.pairs import prompt_of
from ddd_llm.feedback.segments import Range, segmenter
from ddd_llm.feedback.splits import Splits
from ddd_llm.store.canonical import canonical_json, digest

SPAN_FEEDBACK_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("prompt", pa.string()),  # messages as JSON
        ("response", pa.string()),
        ("value", pa.string()),  # SpansValue as JSON
        ("origin", pa.string()),  # people, demo, constructed
        ("error", pa.string()),  # planted error of a constructed one; null for the right answer beside it
        ("annotators", pa.list_(pa.string())),
        ("label_ids", pa.list_(pa.string())),
        ("item_id", pa.string()),
        ("source_ids", pa.list_(pa.string())),
        ("component", pa.string()),
        ("split", pa.string()),  # train, held_out
    ]
)


class Granularity(BaseModel):
    """What one reward looks at: how texts are cut, and which errors count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    segmenter: str
    error_types: tuple[str, ...] = ()
    missing_types: tuple[str, ...] = ()
    touched_from: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of a segment or of the span that must be marked for the segment to be in error.",
    )


RELEVANCE = Granularity(segmenter="sub_sentence", error_types=("irrelevant", "redundant", "incoherent"))
FACTUALITY = Granularity(segmenter="sentence", error_types=("wrong-grounding", "unverifiable"))
COMPLETENESS = Granularity(
    segmenter="sequence", missing_types=("missing-answer", "missing-major-auxiliary", "missing-minor-auxiliary")
)


def segment_labels(text: str, value: SpansValue, of: Granularity) -> list[tuple[Range, bool]]:
    """Segments of an answer, and whether each is in error.

    A segment is in error when a counted span covers at least `touched_from` of it, or lies in it with at least that share of
    itself (a wrong name in a long sentence). Of a whole sequence also when a counted type of information is missing.
    """
    missing = any(gap.type in of.missing_types for gap in value.missing)
    labels = []
    for start, end in segmenter(of.segmenter)(text):
        wrong = missing and of.segmenter == "sequence"
        for span in value.spans:
            if span.type in of.error_types:
                shared = min(end, span.end) - max(start, span.start)
                smaller = min(end - start, span.end - span.start)
                wrong = wrong or (shared > 0 and shared >= of.touched_from * smaller)
        labels.append(((start, end), wrong))
    return labels


def from_people(adjudicated: pa.Table, items: Mapping[str, Item], splits: Splits) -> list[dict[str, Any]]:
    """Rows of settled span labels. Rows of other kinds are passed over."""
    rows = []
    for row in adjudicated.to_pylist():
        if row["kind"] != "spans":
            continue
        item = items[row["item_id"]]
        component, split = splits.of(item)
        rows.append(
            _row(
                prompt_of(item.passage, item.prompt),
                item.responses[0],
                row["value"],
                origin=row["origin"],
                annotators=row["annotators"],
                label_ids=row["label_ids"],
                item_id=row["item_id"],
                source_ids=sorted(item.source_ids),
                component=component,
                split=split,
            )
        )
    return rows


def from_constructed(planted: Iterable[Planted]) -> list[dict[str, Any]]:
    """Two rows for each: the harmed answer with its error, and the right one without."""
    rows = []
    for p in planted:
        about = {
            "source_ids": sorted(p.source_ids),
            "component": p.component,
            "split": p.split,
            "origin": "constructed",
        }
        harmed = canonical_json(p.value.model_dump(mode="json")).decode()
        right = canonical_json(SpansValue().model_dump(mode="json")).decode()
        rows.append(_row(p.prompt, p.harmed, harmed, error=p.error, **about))
        rows.append(_row(p.prompt, p.right, right, **about))
    return rows


def _row(prompt: str, response: str, value: str, **more: Any) -> dict[str, Any]:
    empty = {"annotators": [], "label_ids": [], "source_ids": []}
    identity = digest(canonical_json([prompt, response, value]))
    said = {"id": identity, "prompt": prompt, "response": response, "value": value}
    return {**dict.fromkeys(SPAN_FEEDBACK_SCHEMA.names), **empty, **said, **more}


def span_table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    """SPAN_FEEDBACK_SCHEMA, by id; of equal rows one stays."""
    by_id = {row["id"]: row for row in rows}
    return pa.Table.from_pylist([by_id[key] for key in sorted(by_id)], schema=SPAN_FEEDBACK_SCHEMA)


def error_counts(table: pa.Table, kinds: Mapping[str, Granularity]) -> dict[str, tuple[int, int]]:
    """For each kind: segments, and those in error."""
    counts: dict[str, tuple[int, int]] = {}
    values: Sequence[tuple[str, SpansValue]] = [
        (row["response"], SpansValue.model_validate_json(row["value"]))
        for row in table.select(["response", "value"]).to_pylist()
    ]
    for name, kind in kinds.items():
        labels = [wrong for text, value in values for _, wrong in segment_labels(text, value, kind)]
        counts[name] = (len(labels), sum(labels))
    return counts
