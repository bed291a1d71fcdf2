"""Label Studio's JSON: tasks with annotations, to items and labels and back.

Belongs here: that form alone. Does not: its users' screen (`label_studio_interface`).

A round trip loses nothing: what Label Studio has no place for (guideline version, order shown, sections, origin) travels in one
text result named `ddd_llm`, and the item in the task's `meta`. What its users make there without that result is read as well: the
version and order are then those of the task. A label that was changed there after its export counts as given when it was changed.

Label Studio counts code points in `start` and `end` since 1.5 and UTF-16 units before (its issues 1008, 1347); each region
repeats its text, so what was counted is seen from that, and a region whose text is found by neither count is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ddd_llm.feedback.labels import (
    ChoiceValue,
    Item,
    Label,
    LabelError,
    Missing,
    PreferenceValue,
    Span,
    SpansValue,
    Value,
)
from ddd_llm.feedback.records import checked
from ddd_llm.store.canonical import canonical_json, digest

EXTRAS = "ddd_llm"
_SIDES = {"first_second": ("first", "second"), "second_first": ("second", "first")}


@dataclass
class Imported:
    """What a Label Studio export holds. `refused`: (place, reason, sentence); `passed_over`: counts of what is no label."""

    items: list[Item] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    passed_over: dict[str, int] = field(default_factory=dict)

    def pass_over(self, what: str) -> None:
        """Count something that is no label."""
        self.passed_over[what] = self.passed_over.get(what, 0) + 1


def to_tasks(
    items: Iterable[Item], labels: Iterable[Label], versions: dict[str, str], swapped: frozenset[str] = frozenset()
) -> list[dict[str, Any]]:
    """Tasks for Label Studio's import.

    Args:
        items: what to label; gold answers travel in `meta`, which its interface does not show.
        labels: those there are already, as annotations.
        versions: current version of each guideline.
        swapped: ids of items whose second response is shown on the left.
    """
    by_item: dict[str, list[Label]] = {}
    for label in labels:
        by_item.setdefault(label.item_id, []).append(label)
    tasks = []
    for item in items:
        shown = "second_first" if item.id in swapped else "first_second"
        data = {"prompt": item.prompt, "passage": item.passage or ""}
        if item.kind == "preference":
            order = item.responses if shown == "first_second" else item.responses[::-1]
            data |= {"left": order[0], "right": order[1]}
        else:
            data |= {"response": item.responses[0]}
        meta = {"item": item.model_dump(mode="json"), "guideline_version": versions[item.guideline], "shown": shown}
        tasks.append(
            {
                "data": data,
                "meta": {EXTRAS: meta},
                "annotations": [_annotation(label, item, shown) for label in by_item.get(item.id, ())],
            }
        )
    return tasks


def _annotation(label: Label, item: Item, shown: str) -> dict[str, Any]:
    extras = label.model_dump(mode="json", exclude={"value", "kind", "item_id", "guideline", "annotator", "seconds"})
    extras |= {"said": digest(canonical_json(label.value.model_dump(mode="json")))}
    result = [*_results(label.value, item, shown), _text(EXTRAS, [canonical_json(extras).decode()])]
    return {
        "completed_by": {"email": label.annotator},
        "was_cancelled": False,
        "lead_time": label.seconds,
        "created_at": label.labelled_at,
        "result": result,
    }


def _results(value: Value, item: Item, shown: str) -> Iterator[dict[str, Any]]:
    if isinstance(value, ChoiceValue):
        yield _choices("choice", "response", value.choice)
    elif isinstance(value, PreferenceValue):
        sides = _SIDES[shown]
        chosen = "tie" if value.preferred == "tie" else ("left", "right")[sides.index(value.preferred)]
        yield _choices("preferred", "left", chosen)
        for rubric, scores in value.rubrics.items():
            by_name: dict[str, int] = dict(zip(("first", "second"), scores, strict=True))
            for side, name in zip(("left", "right"), sides, strict=True):
                rating = {"rating": by_name[name]}
                yield {"from_name": f"{rubric}-{side}", "to_name": side, "type": "rating", "value": rating}
    else:
        yield from _span_results(value, item)


def _span_results(value: SpansValue, item: Item) -> Iterator[dict[str, Any]]:
    for number, span in enumerate(value.spans):
        yield _region("error", "response", item.responses[0], span.start, span.end, span.type, f"e{number}")
        if span.note:
            yield {"id": f"e{number}", **_text("note", [span.note])}
    for number, missing in enumerate(value.missing):
        if missing.where is None:
            yield _text(f"missing-{missing.type}", [missing.text])
        else:
            start, end = missing.where
            yield _region("missing", "passage", item.passage or "", start, end, missing.type, f"m{number}")
            yield {"id": f"m{number}", **_text("missing-text", [missing.text], "passage")}
    if value.corrected is not None:
        yield _text("corrected", [value.corrected])


def _region(name: str, target: str, text: str, start: int, end: int, label: str, identity: str) -> dict[str, Any]:
    body = {"start": start, "end": end, "text": text[start:end], "labels": [label]}
    return {"id": identity, "from_name": name, "to_name": target, "type": "labels", "value": body}


def _choices(name: str, target: str, choice: str) -> dict[str, Any]:
    return {"from_name": name, "to_name": target, "type": "choices", "value": {"choices": [choice]}}


def _text(name: str, lines: list[str], target: str = "response") -> dict[str, Any]:
    return {"from_name": name, "to_name": target, "type": "textarea", "value": {"text": lines}}


def from_tasks(tasks: Any) -> Imported:
    """Items and labels of a Label Studio export (its JSON, parsed). One bad annotation never costs the others."""
    found = Imported()
    if not isinstance(tasks, list):
        found.refused.append(("file", "wrong_shape", "a Label Studio export is a list of tasks"))
        return found
    for number, task in enumerate(tasks):
        place = f"task {number}"
        try:
            meta = task["meta"][EXTRAS]
            item = checked(Item, meta["item"])
            version, shown = str(meta["guideline_version"]), str(meta["shown"])
            _SIDES[shown]
        except LabelError as error:
            found.refused.append((place, error.reason, str(error)))
            continue
        except (KeyError, TypeError):
            found.refused.append((place, "foreign_task", f"no meta.{EXTRAS}: only tasks exported from here are read"))
            continue
        found.items.append(item)
        for _ in task.get("predictions") or ():
            found.pass_over("predictions")
        for _ in task.get("drafts") or ():
            found.pass_over("drafts")
        for index, annotation in enumerate(task.get("annotations") or ()):
            try:
                if annotation.get("was_cancelled"):
                    found.pass_over("cancelled")
                    continue
                found.labels.append(_label(annotation, item, version, shown))
            except LabelError as error:
                found.refused.append((f"{place}, annotation {index}", error.reason, str(error)))
            except (KeyError, TypeError, ValueError, AttributeError, IndexError):
                sentence = "a result has not the form that Label Studio gives it"
                found.refused.append((f"{place}, annotation {index}", "wrong_shape", sentence))
    return found


def _label(annotation: dict[str, Any], item: Item, version: str, shown: str) -> Label:
    results: list[dict[str, Any]] = annotation["result"]
    value = _value(results, item, shown).model_dump(mode="json")
    extras: dict[str, Any] = {
        "guideline_version": version,
        "shown": shown if item.kind == "preference" else None,
        "labelled_at": annotation.get("updated_at") or annotation.get("created_at"),
    }
    for result in results:
        if result["from_name"] == EXTRAS:
            ours = json.loads("\n".join(_texts(result)))
            if ours.pop("said", None) not in (None, digest(canonical_json(value))):
                # Changed there after it was exported from here: a later answer, at the time that Label Studio tells.
                ours.pop("labelled_at", None)
            extras |= ours
    by = annotation.get("completed_by")
    annotator = by.get("email") or by.get("id") if isinstance(by, dict) else by
    if annotator is None:
        raise LabelError("no_annotator", "completed_by is empty: nobody answers for it")
    body = {
        **extras,
        "item_id": item.id,
        "guideline": item.guideline,
        "kind": item.kind,
        "annotator": str(annotator),
        "seconds": annotation.get("lead_time"),
        "value": value,
    }
    return checked(Label, body)


def _value(results: list[dict[str, Any]], item: Item, shown: str) -> Value:
    named: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        named.setdefault(str(result["from_name"]), []).append(result)
    if item.kind == "choice":
        (choice,) = _one(named, "choice")["value"]["choices"]
        return ChoiceValue(choice=choice)
    if item.kind == "preference":
        return _preference(named, shown)
    return _spans(named, item)


def _preference(named: dict[str, list[dict[str, Any]]], shown: str) -> PreferenceValue:
    result = _one(named, "preferred")
    value = result["value"]
    side = (
        value["selected"] if result["type"] == "pairwise" else value["choices"][0]
    )  # a template of its own has no tie
    sides = _SIDES[shown]
    preferred = "tie" if side == "tie" else sides[("left", "right").index(side)]
    rubrics: dict[str, tuple[int, int]] = {}
    for name in sorted({name.rpartition("-")[0] for name, found in named.items() if found[0]["type"] == "rating"}):
        by_side = {
            sides[place]: _one(named, f"{name}-{side}")["value"]["rating"]
            for place, side in enumerate(("left", "right"))
        }
        rubrics[name] = (by_side["first"], by_side["second"])
    return PreferenceValue.model_validate({"preferred": preferred, "rubrics": rubrics})


def _spans(named: dict[str, list[dict[str, Any]]], item: Item) -> SpansValue:
    notes = _by_region(named, "note")
    spans = []
    for result in named.get("error", ()):
        start, end = _positions(result["value"], item.responses[0])
        spans.append(
            Span(start=start, end=end, type=result["value"]["labels"][0], note=notes.get(result.get("id"), ""))
        )
    said = _by_region(named, "missing-text")
    missing = [
        Missing(
            type=result["value"]["labels"][0],
            text=said.get(result.get("id"), ""),
            where=_positions(result["value"], item.passage or ""),
        )
        for result in named.get("missing", ())
    ]
    for name, found in named.items():
        if name.startswith("missing-") and name != "missing-text":
            kind = name.removeprefix("missing-")
            missing += [Missing(type=kind, text=text) for result in found for text in _texts(result)]
    corrected = "\n".join(_texts(_one(named, "corrected"))) if "corrected" in named else None
    return SpansValue(spans=tuple(spans), missing=tuple(missing), corrected=corrected)


def _by_region(named: dict[str, list[dict[str, Any]]], name: str) -> dict[Any, str]:
    return {result.get("id"): "\n".join(_texts(result)) for result in named.get(name, ())}


def _positions(value: dict[str, Any], text: str) -> tuple[int, int]:
    start, end, said = int(value["start"]), int(value["end"]), str(value["text"])
    if text[start:end] == said:
        return start, end
    units = text.encode("utf-16-le")
    before, inside = units[: 2 * start], units[2 * start : 2 * end]
    try:
        if inside.decode("utf-16-le") == said:
            first = len(before.decode("utf-16-le"))
            return first, first + len(said)
    except UnicodeDecodeError:  # in the middle of a pair
        pass
    raise LabelError("span_text_mismatch", f"{start}..{end} holds another text than the region says")


def _one(named: dict[str, list[dict[str, Any]]], name: str) -> dict[str, Any]:
    if name not in named:
        raise LabelError("incomplete_answer", f"nothing is said under {name}")
    return named[name][0]


def _texts(result: dict[str, Any]) -> list[str]:
    """What was submitted in a text area: one entry, or several where its settings allow them."""
    text = result["value"]["text"]
    return [str(entry) for entry in text] if isinstance(text, list) else [str(text)]
