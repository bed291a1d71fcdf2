"""Guidelines, items and labels that tests build their cases from, and hypothesis strategies for them. No assertion."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from ddd_llm.feedback.guidelines import Guideline
from ddd_llm.feedback.label_rules import splits_character
from ddd_llm.feedback.labels import Item, Label, LabelSchema
from ddd_llm.feedback.records import checked

SCHEMAS = {
    "choice": LabelSchema(kind="choice", choices=("right", "wrong", "refused")),
    "preference": LabelSchema(kind="preference", rubrics=("safety", "tone")),
    "spans": LabelSchema(
        kind="spans", error_types=("irrelevant", "wrong-grounding"), missing_types=("missing-answer", "missing-minor")
    ),
}
SECTIONS = [
    {"id": name, "title": name.title(), "text": f"On {name}."}
    for name in ("definitions", "examples", "counter-examples", "edge-cases")
]


def guideline(kind: str = "choice", version: int = 1, **changes: Any) -> Guideline:
    """A guideline named `by-KIND`, with Olga as its adjudicator."""
    content = {
        "name": f"by-{kind}",
        "version": version,
        "title": "How to label",
        "domain": "tests",
        "label_schema": SCHEMAS[kind],
        "adjudicators": ("olga",),
        "sections": SECTIONS,
    }
    return Guideline.model_validate(content | changes)


VERSIONS = {(f"by-{kind}", 1): guideline(kind) for kind in SCHEMAS}


def item(kind: str = "choice", **changes: Any) -> Item:
    """An item of a kind."""
    responses = ("Yes, it is.", "No.") if kind == "preference" else ("Yes, it is. So I think.",)
    content = {"guideline": f"by-{kind}", "kind": kind, "prompt": "Is it?", "passage": "It is.", "responses": responses}
    return Item.model_validate(content | changes)


VALUES: dict[str, dict[str, Any]] = {
    "choice": {"choice": "right"},
    "preference": {"preferred": "first", "rubrics": {"safety": [5, 4], "tone": [3, 2]}},
    "spans": {"spans": [{"start": 12, "end": 23, "type": "irrelevant"}], "missing": [], "corrected": "Yes, it is."},
}


def label(of: Item, annotator: str = "ada", value: dict[str, Any] | None = None, **changes: Any) -> Label:
    """A valid label of an item."""
    content = {
        "item_id": of.id,
        "guideline": of.guideline,
        "guideline_version": "1",
        "kind": of.kind,
        "annotator": annotator,
        "value": value or VALUES[of.kind],
        "shown": "first_second" if of.kind == "preference" else None,
    }
    return checked(Label, content | changes)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cs",)), max_size=30)
names = st.sampled_from(["ada", "ben", "cyd", "Zoë 👩🏽‍🔬"])
optional = st.one_of(st.none(), texts)


@st.composite
def items(draw: st.DrawFn, kinds: tuple[str, ...] = tuple(SCHEMAS)) -> Item:
    """Any item: hostile texts, emojis, marks."""
    kind = draw(st.sampled_from(kinds))
    return item(
        kind,
        prompt=draw(texts),
        passage=draw(optional),
        responses=tuple(draw(texts) for _ in range(2 if kind == "preference" else 1)),
        slice=draw(texts),
        source_ids=tuple(draw(st.lists(texts, max_size=2))),
        gold=draw(st.one_of(st.none(), st.just(json.dumps(VALUES[kind])))),
    )


def _cuts(text: str) -> list[int]:
    return [at for at in range(len(text) + 1) if not splits_character(text, at)]


@st.composite
def values(draw: st.DrawFn, of: Item) -> dict[str, Any]:
    """Any valid value for an item, as plain data."""
    if of.kind == "choice":
        return {"choice": draw(st.sampled_from(SCHEMAS["choice"].choices))}
    if of.kind == "preference":
        scores = st.tuples(st.integers(1, 5), st.integers(1, 5))
        preferred = draw(st.sampled_from(["first", "second", "tie"]))
        return {"preferred": preferred, "rubrics": {name: draw(scores) for name in SCHEMAS["preference"].rubrics}}
    spans = []
    for kind in SCHEMAS["spans"].error_types:
        cuts = sorted(draw(st.lists(st.sampled_from(_cuts(of.responses[0])), unique=True, max_size=4)))
        pairs = zip(cuts[::2], cuts[1::2], strict=False)
        spans += [{"start": a, "end": b, "type": kind, "note": draw(texts)} for a, b in pairs]
    missing = []
    for kind in draw(st.lists(st.sampled_from(SCHEMAS["spans"].missing_types), max_size=2)):
        where = None
        if of.passage and draw(st.booleans()):
            start = draw(st.integers(0, len(of.passage) - 1))
            where = (start, draw(st.integers(start + 1, len(of.passage))))
        missing.append({"type": kind, "text": draw(texts), "where": where})
    # Label Studio keeps regions and whole-text results apart, so those with a place come first.
    missing.sort(key=lambda m: (m["where"] is None, SCHEMAS["spans"].missing_types.index(m["type"])))
    return {"spans": spans, "missing": missing, "corrected": draw(optional)}


@st.composite
def labels(draw: st.DrawFn, of: Item) -> Label:
    """Any valid label of an item."""
    shown = draw(st.sampled_from(["first_second", "second_first"])) if of.kind == "preference" else None
    return label(
        of,
        draw(names),
        draw(values(of)),
        sections=tuple(draw(st.lists(st.sampled_from(["examples", "edge-cases"]), unique=True))),
        rationale=draw(optional),
        seconds=draw(st.one_of(st.none(), st.floats(0, 1e6))),
        shown=shown,
        labelled_at=draw(st.one_of(st.none(), st.just("2026-11-26T10:00:00+00:00"))),
        origin=draw(st.sampled_from(["people", "demo"])),
    )
