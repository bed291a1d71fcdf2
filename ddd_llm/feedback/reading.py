"""Files of feedback to tables: every line is an item, a label, a decision, or a counted reason why it is none.

Belongs here: which files are read and what becomes of each line. Does not: the lines' form (`records`, `label_studio`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from ddd_llm.feedback.guidelines import Guideline
from ddd_llm.feedback.label_rules import check_label
from ddd_llm.feedback.label_studio import from_tasks
from ddd_llm.feedback.labels import (
    ITEMS_SCHEMA,
    LABELS_SCHEMA,
    Item,
    Label,
    LabelError,
    LabelSchema,
    moment,
)
from ddd_llm.feedback.masking import Masks, without_identifiers
from ddd_llm.feedback.records import Adjudication, Entry, checked, entry_of
from ddd_llm.feedback.rights import FileRights
from ddd_llm.platform.settings import Settings
from ddd_llm.store.canonical import canonical_json

QUARANTINE_SCHEMA = pa.schema([(name, pa.string()) for name in ("file", "place", "reason", "detail")])
DECISIONS_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("guideline", pa.string()),
        ("guideline_version", pa.string()),
        ("kind", pa.string()),
        ("adjudicator", pa.string()),
        ("value", pa.string()),
        ("rationale", pa.string()),
        ("decided_at", pa.string()),
        ("origin", pa.string()),
    ]
)
_MOST_FILE_BYTES = 256 << 20


@dataclass
class Feedback:
    """Everything that was read.

    Attributes:
        items: by id.
        labels: at most one per item, annotator and guideline version; the latest where there are several with times.
        superseded: labels that a later one of the same annotator replaced.
        decisions: at most one per item and guideline version.
        quarantine: (file, place, reason, detail) of what could not be kept.
        passed_over: counts of what is no label (predictions, drafts, cancelled annotations, repeated entries).
        identifiers: how many personal identifiers and secrets were replaced in what items show.
    """

    items: dict[str, Item] = field(default_factory=dict)
    labels: list[Label] = field(default_factory=list)
    superseded: list[Label] = field(default_factory=list)
    decisions: list[Adjudication] = field(default_factory=list)
    quarantine: list[tuple[str, str, str, str]] = field(default_factory=list)
    passed_over: dict[str, int] = field(default_factory=dict)
    identifiers: int = 0

    def items_table(self) -> pa.Table:
        """ITEMS_SCHEMA, by id."""
        return items_table(self.items.values())

    def labels_table(self) -> pa.Table:
        """LABELS_SCHEMA, by id."""
        return labels_table(self.labels)

    def quarantine_table(self) -> pa.Table:
        """QUARANTINE_SCHEMA, in the order of reading."""
        rows = [dict(zip(QUARANTINE_SCHEMA.names, row, strict=True)) for row in self.quarantine]
        return pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA)


def labels_table(labels: Iterable[Label]) -> pa.Table:
    """Labels as LABELS_SCHEMA, by id."""
    rows = sorted((label.row() for label in labels), key=lambda row: row["id"])
    return pa.Table.from_pylist(rows, schema=LABELS_SCHEMA)


def labels_of(table: pa.Table) -> list[Label]:
    """Labels from LABELS_SCHEMA. Raises LabelError."""
    return [Label.from_row(row) for row in table.to_pylist()]


def items_of(table: pa.Table) -> dict[str, Item]:
    """Items by id from ITEMS_SCHEMA. Raises LabelError."""
    rows = ({k: v for k, v in row.items() if k != "id"} for row in table.to_pylist())
    return {item.id: item for item in (checked(Item, row) for row in rows)}


def items_table(items: Iterable[Item]) -> pa.Table:
    """ITEMS_SCHEMA, by id."""
    return pa.Table.from_pylist([item.row() for item in sorted(items, key=lambda item: item.id)], schema=ITEMS_SCHEMA)


def decisions_table(decisions: Iterable[Adjudication]) -> pa.Table:
    """DECISIONS_SCHEMA, by item and version."""
    rows = [
        {**d.model_dump(mode="python"), "value": canonical_json(d.value.model_dump(mode="json")).decode()}
        for d in sorted(decisions, key=lambda d: (d.item_id, int(d.guideline_version)))
    ]
    return pa.Table.from_pylist(rows, schema=DECISIONS_SCHEMA)


def decisions_of(table: pa.Table) -> list[Adjudication]:
    """Decisions from DECISIONS_SCHEMA. Raises LabelError."""
    rows = ({**row, "value": json.loads(row["value"])} for row in table.to_pylist())
    return [checked(Adjudication, row) for row in rows]


def folders(settings: Settings) -> list[Path]:
    """Where feedback is read from: files that come with the project or were put there, and what this installation took in."""
    return [settings.assets / "annotations", settings.home / "annotations"]


def feedback_files(folders: Iterable[Path]) -> list[Path]:
    """The .jsonl and .json files below folders (those that exist), sorted within each folder."""
    return [
        path
        for folder in folders
        if folder.is_dir()
        for path in sorted(folder.rglob("*.json*"))
        if path.suffix in (".json", ".jsonl") and path.is_file()
    ]


def read_feedback(
    files: Iterable[Path],
    versions: Mapping[tuple[str, int], Guideline],
    rights: FileRights | None = None,
    masks: Masks | None = None,
) -> Feedback:
    """Read files: `.jsonl` as lines of `records`, `.json` as Label Studio exports.

    Args:
        files: in the order in which they are read.
        versions: guidelines by name and version.
        rights: judges each line; one that may not be learned from is quarantined with the reason. None: all may.
        masks: replaces identifiers in every text, before labels are checked. None: nothing is replaced.

    A label is checked against its item and against the schema of the guideline version it was made under. Reasons of quarantine
    are those of `LabelError` and of `FileRights`, and unknown_item, unknown_guideline, annotator_twice, decided_twice,
    unreadable_file, adjudicator_is_annotator, not_an_adjudicator.
    """
    found = Feedback()
    entries = [(path.name, place, entry) for path in files for place, entry in _permitted(path, found, rights)]
    if masks is not None:
        entries, found.identifiers = without_identifiers(entries, masks)
    labels: list[tuple[str, str, Label]] = []
    decisions: list[tuple[str, str, Adjudication]] = []
    for name, place, entry in entries:
        if isinstance(entry, Item):
            # The same item in two files may differ in what is not shown (gold, slice): the first one stands.
            found.items.setdefault(entry.id, entry)
        elif isinstance(entry, Label):
            labels.append((name, place, entry))
        else:
            decisions.append((name, place, entry))
    _keep_labels(found, labels, versions)
    _keep_decisions(found, decisions, versions)
    return found


def _permitted(path: Path, found: Feedback, rights: FileRights | None) -> Iterable[tuple[str, Entry]]:
    """(place, entry) of what in a file may be used; the rest is quarantined."""
    for place, entry in _entries(path, found):
        against = rights and rights.against(path, place)
        if against:
            found.quarantine.append((path.name, place, *against))
        else:
            yield place, entry


def _entries(path: Path, found: Feedback) -> Iterable[tuple[str, Entry]]:
    """(place, entry) of a file; what is none is quarantined."""
    try:
        if path.stat().st_size > _MOST_FILE_BYTES:
            raise LabelError("file_too_large", f"larger than {_MOST_FILE_BYTES:,} bytes: split it")
        data = path.read_bytes()
    except LabelError as error:
        found.quarantine.append((path.name, "file", error.reason, str(error)))
        return
    except OSError as error:
        found.quarantine.append((path.name, "file", "unreadable_file", error.strerror or "cannot be read"))
        return
    if path.suffix == ".json":
        yield from _label_studio(path.name, data, found)
        return
    lines = data.split(b"\n")
    if lines[-1]:  # a file cut off in the middle of a line: that line alone is lost
        found.quarantine.append((path.name, f"line {len(lines)}", "truncated_line", "the last line has no line break"))
    for number, line in enumerate(lines[:-1], 1):
        try:
            yield f"line {number}", entry_of(line)
        except LabelError as error:
            found.quarantine.append((path.name, f"line {number}", error.reason, str(error)))


def _label_studio(name: str, data: bytes, found: Feedback) -> Iterable[tuple[str, Entry]]:
    try:
        tasks = json.loads(data)
    except (ValueError, RecursionError):
        found.quarantine.append((name, "file", "invalid_json", "no JSON value, or nested too deeply"))
        return
    imported = from_tasks(tasks)
    found.quarantine += [(name, place, reason, detail) for place, reason, detail in imported.refused]
    for what, count in imported.passed_over.items():
        found.passed_over[what] = found.passed_over.get(what, 0) + count
    yield from (("task", entry) for entry in (*imported.items, *imported.labels))


def _keep_labels(
    found: Feedback, labels: list[tuple[str, str, Label]], versions: Mapping[tuple[str, int], Guideline]
) -> None:
    mine: dict[tuple[str, str, str], list[tuple[str, str, Label]]] = {}
    seen: set[str] = set()
    for name, place, label in labels:
        if label.id in seen:
            found.passed_over["repeated"] = found.passed_over.get("repeated", 0) + 1
            continue
        seen.add(label.id)
        try:
            _check(label, found.items, versions)
        except LabelError as error:
            found.quarantine.append((name, place, error.reason, str(error)))
            continue
        mine.setdefault((label.item_id, label.annotator, label.guideline_version), []).append((name, place, label))
    for same in mine.values():
        unknown = any(label.labelled_at is None for _, _, label in same)
        if len(same) > 1 and (unknown or len({moment(label.labelled_at) for _, _, label in same}) < len(same)):
            for name, place, _ in same:
                detail = "the annotator says two things about one item, and no times say which is later"
                found.quarantine.append((name, place, "annotator_twice", detail))
            continue
        ordered = sorted((label for _, _, label in same), key=lambda label: moment(label.labelled_at))
        found.labels.append(ordered[-1])
        found.superseded += ordered[:-1]


def _check(label: Label, items: Mapping[str, Item], versions: Mapping[tuple[str, int], Guideline]) -> None:
    item = items.get(label.item_id)
    if item is None:
        raise LabelError("unknown_item", "no file holds the item that it labels")
    check_label(label, item, _schema(label.guideline, label.guideline_version, versions))


def _schema(name: str, version: str, versions: Mapping[tuple[str, int], Guideline]) -> LabelSchema:
    guideline = versions.get((name, int(version))) if version.isdigit() else None
    if guideline is None:
        raise LabelError("unknown_guideline", f"there is no version {version} of {name}")
    return guideline.label_schema


def _keep_decisions(
    found: Feedback,
    decisions: list[tuple[str, str, Adjudication]],
    versions: Mapping[tuple[str, int], Guideline],
) -> None:
    annotators: dict[str, set[str]] = {}
    for label in (*found.labels, *found.superseded):
        annotators.setdefault(label.item_id, set()).add(label.annotator)
    latest: dict[tuple[str, str], tuple[str, str, Adjudication]] = {}
    for name, place, decision in decisions:
        try:
            _check_decision(decision, found.items, versions, annotators.get(decision.item_id, set()))
        except LabelError as error:
            found.quarantine.append((name, place, error.reason, str(error)))
            continue
        key = decision.item_id, decision.guideline_version
        other = latest.get(key)
        if other is not None and other[2] != decision:
            mine, theirs = moment(decision.decided_at), moment(other[2].decided_at)
            if None in (decision.decided_at, other[2].decided_at) or mine == theirs:
                found.quarantine.append(
                    (name, place, "decided_twice", "another decision stands, and no time says which")
                )
                continue
            if mine < theirs:
                continue
        latest[key] = (name, place, decision)
    found.decisions = [decision for _, _, decision in latest.values()]


def _check_decision(
    decision: Adjudication,
    items: Mapping[str, Item],
    versions: Mapping[tuple[str, int], Guideline],
    annotators: set[str],
) -> None:
    _check(decision.as_label(), items, versions)
    if decision.adjudicator in annotators:
        raise LabelError("adjudicator_is_annotator", "whoever decides must not have labelled the item")
    guideline = versions[decision.guideline, int(decision.guideline_version)]
    if decision.adjudicator not in guideline.adjudicators:
        raise LabelError("not_an_adjudicator", f"the guideline {decision.guideline} names other people to decide")
