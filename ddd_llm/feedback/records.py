"""Feedback as lines of JSON: items, labels and adjudications, one object a line with one key that says which.

    {"item": {...}}   {"label": {...}}   {"adjudication": {...}}

Belongs here: one line to an object and back. Does not: files (`reading`, `journal`) or Label Studio's form (`label_studio`).
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ddd_llm.corpus.readers.strict_json import BadRecord, loads
from ddd_llm.feedback.labels import Item, Kind, Label, LabelError, Name, Time, Value, parse_value
from ddd_llm.store.canonical import canonical_json

MOST_BYTES = 1 << 20
_DEPTH = 20
_LABEL_ONLY = ("choice", "preference", "spans")


class Adjudication(BaseModel):
    """What somebody who labelled nothing of an item decides about it, and why. Raw labels stay as they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item_id: str
    guideline: Name
    guideline_version: str = Field(min_length=1)
    kind: Kind
    adjudicator: str = Field(min_length=1, max_length=200)
    value: Value
    rationale: str
    decided_at: Time | None = None
    origin: Literal["people", "demo"] = "people"

    def as_label(self) -> Label:
        """What was decided, as if the adjudicator had labelled: for the rules that hold for both."""
        shared = {"item_id", "guideline", "guideline_version", "kind", "value", "origin"}
        shown = "first_second" if self.kind == "preference" else None
        return Label(**{name: getattr(self, name) for name in shared}, annotator=self.adjudicator, shown=shown)

    @field_validator("rationale")
    @classmethod
    def _says_why(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("a decision needs its reason")
        return value


Entry = Item | Label | Adjudication
_KINDS: dict[str, type[Item] | type[Label] | type[Adjudication]] = {
    "item": Item,
    "label": Label,
    "adjudication": Adjudication,
}


def line_of(entry: Entry) -> bytes:
    """The entry as one line, with its line break."""
    name = next(name for name, kind in _KINDS.items() if isinstance(entry, kind))
    return canonical_json({name: entry.model_dump(mode="json")}) + b"\n"


def entry_of(line: bytes) -> Entry:
    """An entry from its line.

    Raises:
        LabelError: not JSON, an unknown key, a field that is missing or wrong; the message quotes no text.
    """
    if len(line) > MOST_BYTES:
        raise LabelError("line_too_long", f"longer than {MOST_BYTES:,} bytes")
    if not line.strip():
        raise LabelError("empty_line", "holds no JSON value")
    try:
        found = loads(line, _DEPTH)
    except BadRecord as error:
        raise LabelError(error.reason, error.detail) from None
    if not isinstance(found, dict) or len(found) != 1 or next(iter(found)) not in _KINDS:
        raise LabelError("wrong_shape", f"expected an object with one key of {', '.join(_KINDS)}")
    ((name, body),) = found.items()
    return checked(_KINDS[name], body)


def checked(kind: type[Any], body: Any) -> Any:
    """A model from plain data. Raises LabelError `invalid_ITEM|LABEL|ADJUDICATION` with the first fault's place, and
    `lone_surrogate`."""
    try:
        json.dumps(body, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:  # which JSON can write, and no file or table can hold
        raise LabelError("lone_surrogate", "holds half of a surrogate pair") from None
    if isinstance(body, dict) and body.get("kind") in _LABEL_ONLY and isinstance(body.get("value"), dict):
        # By its kind, so that a fault is told of the form that was meant.
        body = {**body, "value": parse_value(body["kind"], canonical_json(body["value"]).decode())}
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise LabelError(f"invalid_{kind.__name__.lower()}", f"{place}: {fault['msg']}") from None
