"""Between what a page sends and a label's value. A page speaks of A and B, a label of the first and second response of its item.

Belongs here: form of answers, both ways. Does not: whether an answer is possible for its item (`labels.check_label`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ddd_llm.feedback.labels import Label, LabelError, PreferenceValue, Value, parse_value
from ddd_llm.feedback.records import checked
from ddd_llm.feedback.web.task import Shown
from ddd_llm.store.canonical import canonical_json

_SIDES: dict[Shown, dict[str, str]] = {
    "first_second": {"a": "first", "b": "second", "tie": "tie"},
    "second_first": {"a": "second", "b": "first", "tie": "tie"},
}


class Answer(BaseModel):
    """What a page sends.

    Attributes:
        annotator: whom the page was made for.
        value: as in a label; a preference is `a`, `b` or `tie`, with scores as [A, B].
        sections: ids of the guideline sections the person rested on.
        rationale: why, in the person's words.
        seconds: time for which the item could be seen since the page was opened.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    annotator: str
    value: dict[str, Any]
    sections: tuple[str, ...] = ()
    rationale: str | None = None
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Compared(BaseModel):
    """A preference as a page sends it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preferred: Literal["a", "b", "tie"]
    rubrics: dict[str, tuple[int, int]] = {}


def value_of(kind: str, sent: dict[str, Any], shown: Shown) -> Value:
    """A label's value from a page's. Raises LabelError."""
    if kind != "preference":
        return parse_value(kind, canonical_json(sent).decode())
    compared: Compared = checked(Compared, sent)
    turned = shown == "second_first"
    return PreferenceValue.model_validate(
        {
            "preferred": _SIDES[shown][compared.preferred],
            "rubrics": {name: pair[::-1] if turned else pair for name, pair in compared.rubrics.items()},
        }
    )


def sent_by(label: Label) -> dict[str, Any]:
    """What a page would send to give this label: value, sections and rationale, in the order in which it was shown."""
    value: dict[str, Any] = label.value.model_dump(mode="json")
    if isinstance(label.value, PreferenceValue):
        if label.shown is None:
            raise LabelError("missing_order", "a preference records in which order the responses were shown")
        names = {place: letter for letter, place in _SIDES[label.shown].items()}
        turned = label.shown == "second_first"
        value = {
            "preferred": names[label.value.preferred],
            "rubrics": {n: list(pair[::-1] if turned else pair) for n, pair in label.value.rubrics.items()},
        }
    return {"value": value, "sections": list(label.sections), "rationale": label.rationale}
