"""What is labelled and what a label says: items, labels, and the schema a guideline gives them.

Belongs here: the forms. Does not: what makes a label valid for its item (`label_rules`), reading files (`label_studio`,
`records`), the guideline's text (`guidelines`), or measuring labels (`agreement`).

Positions in a text are Python's: code points, end exclusive. Preferences name responses by their place in the item
(`first`, `second`), whatever order a person saw them in; that order is `shown`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ddd_llm.store.canonical import canonical_json, digest

Kind = Literal["choice", "preference", "spans"]
Origin = Literal["people", "demo"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


def moment(time: str | None) -> datetime:
    """A time as it compares with others: without offset it is UTC's, and an unknown one is before all. Raises ValueError."""
    if time is None:
        return datetime.min.replace(tzinfo=UTC)
    found = datetime.fromisoformat(time)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _time(text: str) -> str:
    try:
        moment(text)
    except ValueError:
        raise ValueError("is no time in ISO 8601") from None
    return text


Time = Annotated[str, AfterValidator(_time)]
"""ISO 8601, kept as it was written; `moment` compares."""

ITEMS_SCHEMA = pa.schema(
    [
        ("id", pa.string()),  # digest of everything shown
        ("guideline", pa.string()),
        ("kind", pa.string()),
        ("slice", pa.string()),
        ("prompt", pa.string()),
        ("passage", pa.string()),  # what the answer must rest on; null where nothing is given
        ("responses", pa.list_(pa.string())),
        ("source_ids", pa.list_(pa.string())),  # documents shown
        ("gold", pa.string()),  # right value as JSON, on gold questions only
    ]
)
LABELS_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("item_id", pa.string()),
        ("guideline", pa.string()),
        ("guideline_version", pa.string()),
        ("kind", pa.string()),
        ("annotator", pa.string()),
        ("value", pa.string()),  # canonical JSON of a ChoiceValue, PreferenceValue or SpansValue
        ("sections", pa.list_(pa.string())),  # guideline sections the annotator rested on
        ("rationale", pa.string()),
        ("seconds", pa.float64()),  # time spent; null where unknown
        ("shown", pa.string()),  # first_second or second_first; null where one response was shown
        ("labelled_at", pa.string()),  # ISO 8601 with offset; null where unknown
        ("origin", pa.string()),  # people, or demo: written by this project's authors for the demonstration
    ]
)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LabelSchema(_Strict):
    """Which answers a guideline allows.

    Attributes:
        kind: choice (one answer, one class), preference (two answers compared), spans (errors marked in one answer).
        choices: classes of a choice.
        rubrics: what each response of a preference is scored on, 1 (bad) to 5 (good).
        error_types: types of spans.
        missing_types: types of missing information.
        ordinal: the choices are in order of size.
    """

    kind: Kind
    choices: tuple[Name, ...] = ()
    rubrics: tuple[Name, ...] = ()
    error_types: tuple[Name, ...] = ()
    missing_types: tuple[Name, ...] = ()
    ordinal: bool = False

    @model_validator(mode="after")
    def _fits_its_kind(self) -> LabelSchema:
        needed = {"choice": self.choices, "preference": ("any",), "spans": self.error_types}[self.kind]
        if not needed:
            raise ValueError(
                f"a guideline of kind {self.kind} names its {'choices' if self.kind == 'choice' else 'error_types'}"
            )
        for names in (self.choices, self.rubrics, self.error_types, self.missing_types):
            if len(set(names)) != len(names):
                raise ValueError(f"a name stands twice in {list(names)}")
        return self


class ChoiceValue(_Strict):
    """One class."""

    choice: str


class PreferenceValue(_Strict):
    """Which response is better, and the scores of both on each rubric: {rubric: (first, second)}."""

    preferred: Literal["first", "second", "tie"]
    rubrics: dict[str, tuple[int, int]] = {}


class Span(_Strict):
    """Code points `start` to `end` (exclusive) of the response, in error as `type` says."""

    start: int
    end: int
    type: str
    note: str = ""


class Missing(_Strict):
    """Information the response should have held. `where` cites the passage, as (first, last + 1) code points of it."""

    type: str
    text: str = ""
    where: tuple[int, int] | None = None


class SpansValue(_Strict):
    """Errors marked in a response, what it misses, and how it should have read (null: not written)."""

    spans: tuple[Span, ...] = ()
    missing: tuple[Missing, ...] = ()
    corrected: str | None = None


Value = ChoiceValue | PreferenceValue | SpansValue
VALUES: dict[str, type[ChoiceValue] | type[PreferenceValue] | type[SpansValue]] = {
    "choice": ChoiceValue,
    "preference": PreferenceValue,
    "spans": SpansValue,
}


class LabelError(ValueError):
    """A label that cannot be kept. `reason` is snake_case, for counting; the message quotes no text of the item."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Item(_Strict):
    """What a person sees. Two items that show the same under one guideline are one item."""

    guideline: Name
    kind: Kind
    slice: str = ""
    prompt: str
    passage: str | None = None
    responses: tuple[str, ...]
    source_ids: tuple[str, ...] = ()
    gold: str | None = None

    @model_validator(mode="after")
    def _shows_enough(self) -> Item:
        wanted = 2 if self.kind == "preference" else 1
        if len(self.responses) != wanted:
            raise ValueError(f"an item of kind {self.kind} shows {wanted} response(s), not {len(self.responses)}")
        return self

    @model_validator(mode="after")
    def _gold_is_an_answer(self) -> Item:
        if self.gold is not None:
            try:
                parse_value(self.kind, self.gold)
            except LabelError as error:
                raise ValueError(f"gold is no answer of kind {self.kind} as JSON: {error}") from None
        return self

    @property
    def known(self) -> Value | None:
        """The right answer of a gold question; None of others."""
        return None if self.gold is None else parse_value(self.kind, self.gold)

    @property
    def id(self) -> str:
        """Digest of what is shown and under which guideline; gold, slice and sources do not count."""
        shown = [self.guideline, self.kind, self.prompt, self.passage, list(self.responses)]
        return digest(canonical_json(shown))

    def row(self) -> dict[str, Any]:
        """As a row of ITEMS_SCHEMA."""
        return {"id": self.id, **self.model_dump(mode="python")}


class Label(_Strict):
    """One person's answer to one item."""

    item_id: str
    guideline: Name
    guideline_version: str = Field(min_length=1)
    kind: Kind
    annotator: str = Field(min_length=1, max_length=200)
    value: Value
    sections: tuple[str, ...] = ()
    rationale: str | None = None
    seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    shown: Literal["first_second", "second_first"] | None = None
    labelled_at: Time | None = None
    origin: Origin = "people"

    @property
    def id(self) -> str:
        """Digest of everything the label says."""
        return digest(canonical_json(self.model_dump(mode="json")))

    def row(self) -> dict[str, Any]:
        """As a row of LABELS_SCHEMA."""
        plain = self.model_dump(mode="python")
        return {**plain, "id": self.id, "value": canonical_json(self.value.model_dump(mode="json")).decode()}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Label:
        """Back from a row of LABELS_SCHEMA. Raises LabelError."""
        plain = {name: value for name, value in row.items() if name != "id"}
        plain["sections"] = tuple(plain.get("sections") or ())
        plain["value"] = parse_value(str(row["kind"]), str(row["value"]))
        try:
            return cls.model_validate(plain)
        except ValueError as error:
            raise LabelError("invalid_label", _first(error)) from None


def parse_value(kind: str, text: str) -> Value:
    """A value from its JSON. Raises LabelError: unknown_kind, invalid_value."""
    if kind not in VALUES:
        raise LabelError("unknown_kind", f"kind must be one of {', '.join(VALUES)}")
    try:
        return VALUES[kind].model_validate(json.loads(text))
    except ValueError as error:
        raise LabelError("invalid_value", _first(error)) from None


def _first(error: ValueError) -> str:
    # Pydantic's message quotes the input, which may be a person's text: place and kind of the first fault are enough.
    errors = getattr(error, "errors", None)
    if errors is None:
        return "not valid JSON"
    fault = errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
