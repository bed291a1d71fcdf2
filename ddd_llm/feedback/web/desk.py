"""The answers: one append-only journal per person and guideline, read back at every start.

Belongs here: which answer of a person stands, and writing a new one. Does not: a journal's lines (`journal`, `records`) or HTTP.

The journal is the only state. Nothing is held back in memory, so a server that is killed loses nothing it had confirmed; several
servers may run over one folder, because what others have appended is read before each look.
"""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from ddd_llm.feedback.journal import append
from ddd_llm.feedback.label_rules import check_label
from ddd_llm.feedback.labels import Label, LabelError
from ddd_llm.feedback.preferences.policy import AlignmentPlan
from ddd_llm.feedback.records import MOST_BYTES, checked, entry_of, line_of
from ddd_llm.feedback.web.forms import Answer, value_of
from ddd_llm.feedback.web.task import Task, shown_order


@dataclass
class _Journal:
    path: Path
    read_to: int = 0
    labels: dict[str, Label] = field(default_factory=dict)

    def catch_up(self, task: Task) -> None:
        """Take in the lines that were added since the last look, up to the last line break."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < self.read_to:  # taken away or put back from a copy: only what is there now counts
            self.read_to, self.labels = 0, {}
        if size == self.read_to:
            return
        with self.path.open("rb") as stream:
            stream.seek(self.read_to)
            lines = stream.read().split(b"\n")[:-1]
        for line in lines:
            self.read_to += len(line) + 1
            label = _label(line)
            if label is not None and _stands(label, task):
                self.labels[label.item_id] = label


def _label(line: bytes) -> Label | None:
    # A line cut off by a crash; the asset `annotations` quarantines and counts it.
    try:
        entry = entry_of(line)
    except LabelError:
        return None
    return entry if isinstance(entry, Label) else None


def _stands(label: Label, task: Task) -> bool:
    item = task.by_id.get(label.item_id)
    if item is None or label.guideline_version != str(task.guideline.version):
        return False
    try:
        check_label(label, item, task.guideline.label_schema)
    except LabelError:
        return False
    return True


class Queue(NamedTuple):
    """What one person goes through.

    Attributes:
        labels: their standing labels, by item id.
        order: item ids; only gold questions where they are shut out of the others.
        shut_out: why nothing but gold questions is handed to them until more of them are right; None: everything is.
    """

    labels: dict[str, Label]
    order: list[str]
    shut_out: str | None


class Desk:
    """All answers to one task.

    Args:
        task: what is labelled.
        folder: where journals are kept; made at the first answer.
        plan: by whose rule gold questions are judged; None: nobody is judged.
    """

    def __init__(self, task: Task, folder: Path, plan: AlignmentPlan | None = None) -> None:
        self.task = task
        self._plan = plan
        self._folder = folder
        self._journals: dict[str, _Journal] = {}
        self._lock = threading.Lock()

    def path_of(self, annotator: str) -> Path:
        """A person's journal. A name may hold anything: the file has its letters for the eye and its hash for identity."""
        letters = "-".join(re.findall(r"[a-z0-9]+", annotator.lower()))[:40]
        mark = hashlib.sha256(annotator.encode()).hexdigest()[:16]
        return self._folder / f"{self.task.guideline.name}-{letters or 'annotator'}-{mark}.jsonl"

    def labels(self, annotator: str) -> dict[str, Label]:
        """A person's standing labels under the guideline's current version, by item id. Raises OSError."""
        with self._lock:
            return dict(self._caught_up(annotator).labels)

    def queue(self, annotator: str) -> Queue:
        """What this person goes through now. Raises OSError."""
        labels, order, why = self.labels(annotator), self.task.order(annotator), None
        if self._plan is not None:
            from ddd_llm.feedback.measures import calibrations

            judged = calibrations(list(labels.values()), self.task.items, self._plan)
            why = next((row.why for row in judged if row.failed), None)
        if why is not None:
            order = [item_id for item_id in order if self.task.by_id[item_id].gold is not None]
        return Queue(labels, order, why)

    def save(self, item_id: str, answer: Answer) -> Label:
        """Keep an answer; when this returns, it is on disk.

        A second answer to an item is a revision: a later line, with the time of both visits. An answer that says what stands
        there already is not written again.

        Raises:
            LabelError: unknown_item, unknown_section, too_long, or a reason of `check_label`.
            OSError: it could not be written, and is not in the journal.
        """
        item = self.task.by_id.get(item_id)
        if item is None:
            raise LabelError("unknown_item", "there is no such item")
        guideline = self.task.guideline
        if unknown := len(set(answer.sections) - {section.id for section in guideline.sections}):
            raise LabelError("unknown_section", f"the guideline has no such section ({unknown} of those given)")
        shown = shown_order(answer.annotator, item_id)
        content = {
            "item_id": item_id,
            "guideline": guideline.name,
            "guideline_version": str(guideline.version),
            "kind": item.kind,
            "annotator": answer.annotator,
            "value": value_of(item.kind, answer.value, shown),
            "sections": answer.sections,
            "rationale": answer.rationale,
            "shown": shown if item.kind == "preference" else None,
        }
        with self._lock:
            journal = self._caught_up(answer.annotator)
            before = journal.labels.get(item_id)
            label: Label = checked(Label, content | _time(answer, before))
            check_label(label, item, guideline.label_schema)
            if before is not None and _says(before) == _says(label):
                return before
            if len(line_of(label)) > MOST_BYTES:
                raise LabelError("too_long", f"an answer has at most {MOST_BYTES:,} bytes")
            append(journal.path, label)
            return label

    def _caught_up(self, annotator: str) -> _Journal:
        journal = self._journals.setdefault(annotator, _Journal(self.path_of(annotator)))
        journal.catch_up(self.task)
        return journal


def _says(label: Label) -> dict[str, object]:
    return label.model_dump(exclude={"seconds", "labelled_at"})


def _time(answer: Answer, before: Label | None) -> dict[str, object]:
    now = datetime.now(UTC)
    if before is not None and before.labelled_at is not None:
        # The later of two labels counts, so a clock that was set back must not make a revision the earlier one.
        now = max(now, datetime.fromisoformat(before.labelled_at) + timedelta(microseconds=1))
    seconds = answer.seconds + (before.seconds or 0.0 if before is not None else 0.0)
    return {"seconds": round(seconds, 1), "labelled_at": now.isoformat(timespec="microseconds")}
