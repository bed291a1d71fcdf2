"""What makes a label a possible answer to its item under a guideline.

Belongs here: these rules. Does not: the forms (`labels`), nor where labels come from.
"""

from __future__ import annotations

import itertools
import math
import unicodedata

from ddd_llm.feedback.labels import ChoiceValue, Item, Label, LabelError, LabelSchema, PreferenceValue, SpansValue


def check_label(label: Label, item: Item, schema: LabelSchema) -> None:
    """Is the label a possible answer to the item under the guideline's schema?

    Raises:
        LabelError: wrong_item, wrong_kind, unknown_choice, unknown_rubric, missing_rubric, score_out_of_range,
            unknown_error_type, unknown_missing_type, span_outside_text, span_empty, span_splits_character,
            spans_overlap, passage_span_outside_text, missing_order, invalid_time.
    """
    if label.item_id != item.id:
        raise LabelError("wrong_item", "the label names another item")
    if not (label.kind == item.kind == schema.kind):
        raise LabelError("wrong_kind", f"label {label.kind}, item {item.kind}, guideline {schema.kind}")
    if label.seconds is not None and not math.isfinite(label.seconds):
        raise LabelError("invalid_time", "time spent is no number")
    value = label.value
    if isinstance(value, ChoiceValue):
        if value.choice not in schema.choices:
            raise LabelError("unknown_choice", f"choices are {', '.join(schema.choices)}")
    elif isinstance(value, PreferenceValue):
        _check_preference(value, schema, label.shown)
    else:
        _check_spans(value, item, schema)


def _check_preference(value: PreferenceValue, schema: LabelSchema, shown: str | None) -> None:
    if shown is None:
        raise LabelError("missing_order", "a preference records in which order the responses were shown")
    if unknown := sorted(set(value.rubrics) - set(schema.rubrics)):
        raise LabelError("unknown_rubric", f"unknown rubrics {unknown}; known: {', '.join(schema.rubrics) or 'none'}")
    if absent := sorted(set(schema.rubrics) - set(value.rubrics)):
        raise LabelError("missing_rubric", f"no scores on {absent}")
    if any(not 1 <= score <= 5 for pair in value.rubrics.values() for score in pair):
        raise LabelError("score_out_of_range", "rubric scores are 1 to 5")


def _check_spans(value: SpansValue, item: Item, schema: LabelSchema) -> None:
    text = item.responses[0]
    for span in value.spans:
        if span.type not in schema.error_types:
            raise LabelError("unknown_error_type", f"error types are {', '.join(schema.error_types)}")
        if not 0 <= span.start <= len(text) or not 0 <= span.end <= len(text):
            raise LabelError("span_outside_text", f"span {span.start}..{span.end} of {len(text)} characters")
        if span.start >= span.end:
            raise LabelError("span_empty", f"span {span.start}..{span.end}")
        if splits_character(text, span.start) or splits_character(text, span.end):
            raise LabelError("span_splits_character", f"span {span.start}..{span.end} cuts a character from its marks")
    ordered = sorted(value.spans, key=lambda span: (span.type, span.start))
    for one, two in itertools.pairwise(ordered):
        if one.type == two.type and two.start < one.end:
            raise LabelError("spans_overlap", f"two spans of type {one.type} overlap at {two.start}")
    for missing in value.missing:
        if missing.type not in schema.missing_types:
            raise LabelError("unknown_missing_type", f"types of missing information: {', '.join(schema.missing_types)}")
        if missing.where is not None:
            start, end = missing.where
            if item.passage is None or not 0 <= start < end <= len(item.passage):
                raise LabelError("passage_span_outside_text", f"passage {start}..{end}")


def splits_character(text: str, at: int) -> bool:
    """Would a cut before position `at` part a character from a mark, joiner, variation selector or skin tone on it?"""
    if not 0 < at < len(text):
        return False
    after, before = text[at], text[at - 1]
    if unicodedata.combining(after) or unicodedata.category(after) in ("Mn", "Me", "Mc"):
        return True
    joined = "\u200d" in (after, before) or "\U0001f3fb" <= after <= "\U0001f3ff"
    return joined or (before == "\r" and after == "\n")
