"""The schema of QA-FEEDBACK (Wu et al. 2023, allenai/FineGrainedRLHF), read into items and labels and written from them.

A record is one question with span errors, missing sentences, a corrected answer and six comparisons of four answers.

Belongs here: that form alone. Does not: our own forms (`records`, `label_studio`).

Feedback is on `prediction 1`. `passage_id` counts passages from 1, `sentence_id` the sentences of one, whose title is number 0.
The comparisons are of answers 1-2, 1-3, 1-4, 2-3, 2-4, 3-4: 1 the former is better, 2 the latter, 0 neither.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ddd_llm.feedback.labels import Item, Label, Missing, Span, SpansValue

GUIDELINE = "answer-errors"
"""The guideline that such labels come under: it names the same types."""
_PAIRS = tuple(itertools.combinations(range(4), 2))


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class QaError(_Strict):
    """A span in error."""

    start: int = Field(ge=0)
    end: int = Field(gt=0)
    type: str = Field(alias="error type")
    explanation: str = ""


class QaMissing(_Strict):
    """Sentences of a passage that the answer should have rested on."""

    type: str = Field(alias="error type")
    passage: int = Field(alias="passage_id", ge=1)
    sentences: tuple[int, ...] = Field(alias="sentence_id")


class QaFindings(_Strict):
    """What is wrong with the first answer."""

    errors: tuple[QaError, ...] = ()
    missing: tuple[QaMissing, ...] = Field(default=(), alias="missing-info")
    corrected: str | None = Field(default=None, alias="corrected-prediction")


class QaRecord(_Strict):
    """One question with its passages, answers and feedback."""

    question: str
    passages: tuple[tuple[str, ...], ...]
    gold: str = ""
    prediction_1: str = Field(alias="prediction 1")
    prediction_2: str | None = Field(default=None, alias="prediction 2")
    prediction_3: str | None = Field(default=None, alias="prediction 3")
    prediction_4: str | None = Field(default=None, alias="prediction 4")
    preference: tuple[Literal[0, 1, 2], ...] = ()
    feedback: QaFindings = QaFindings()

    @property
    def answers(self) -> tuple[str | None, ...]:
        """The four answers."""
        return self.prediction_1, self.prediction_2, self.prediction_3, self.prediction_4

    def passage(self) -> str:
        """All passages as people and models read them: a title line, then its sentences; an empty line between passages."""
        return "\n\n".join(_block(p) for p in self.passages if p)

    def place(self, passage: int, sentence: int) -> tuple[int, int] | None:
        """Code points of a sentence in `passage()`; None where there is no such one."""
        if not 1 <= passage <= len(self.passages) or not 0 <= sentence < len(self.passages[passage - 1]):
            return None
        own = self.passages[passage - 1]
        start = sum(len(_block(p)) + 2 for p in self.passages[: passage - 1] if p)
        if sentence:
            start += len(own[0]) + 1 + sum(len(s) + 1 for s in own[1:sentence])
        return start, start + len(own[sentence])


def _block(passage: Sequence[str]) -> str:
    return f"{passage[0]}\n{' '.join(passage[1:])}" if len(passage) > 1 else passage[0]


def read_records(text: str) -> tuple[list[QaRecord], list[tuple[int, str]]]:
    """Records of a file, a JSON list or an object a line; and (number from 1, reason) of what is none."""
    try:
        found = json.loads(text)
        entries = found if isinstance(found, list) else [found]
    except ValueError:
        entries = [_line(line) for line in text.splitlines() if line.strip()]
    records, refused = [], []
    for number, entry in enumerate(entries, 1):
        try:
            records.append(QaRecord.model_validate(entry))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            refused.append((number, f"{'.'.join(map(str, first['loc'])) or 'record'}: {first['msg']}"))
    return records, refused


def write_records(records: Iterable[QaRecord]) -> str:
    """As their file has it: a JSON list."""
    return json.dumps(
        [r.model_dump(mode="json", by_alias=True, exclude_none=True) for r in records], ensure_ascii=False, indent=1
    )


def label_of(record: QaRecord, annotator: str, version: str) -> tuple[Item, Label]:
    """The first answer as an item, and its errors, missing sentences and corrected answer as a label.

    Overlapping spans of one type are joined; what is missing and cites no sentence that stands in a passage keeps its type alone.

    Args:
        record: one question.
        annotator: whom the label is by; the published data does not say.
        version: of the guideline `GUIDELINE`.
    """
    item = Item(
        guideline=GUIDELINE,
        kind="spans",
        slice="qa-feedback",
        prompt=record.question,
        passage=record.passage() if record.passages else None,
        responses=(record.prediction_1,),
    )
    missing = tuple(
        Missing(type=gap.type.lower(), text=_cited(record, gap.passage, s), where=record.place(gap.passage, s))
        for gap in record.feedback.missing
        for s in gap.sentences or (-1,)
    )
    value = SpansValue(spans=_joined(record.feedback.errors), missing=missing, corrected=record.feedback.corrected)
    return item, Label(
        item_id=item.id, guideline=GUIDELINE, guideline_version=version, kind="spans", annotator=annotator, value=value
    )


def comparisons_of(record: QaRecord) -> list[tuple[str, str]]:
    """(better, other) of each comparison that was decided. They have no rubric scores, so they are no labels of ours."""
    found = []
    for (i, j), better in zip(_PAIRS, record.preference, strict=False):
        one, other = record.answers[i], record.answers[j]
        if better and one is not None and other is not None and one != other:
            found.append((one, other) if better == 1 else (other, one))
    return found


def record_of(item: Item, value: SpansValue) -> QaRecord:
    """A span label in their form, so that `label_of` gives the same item and spans again.

    A paragraph of the passage becomes one of theirs, its first line the title, and what is cited of it a sentence where it ends
    at spaces, or else the sentence that it lies in. What cites nothing keeps its type: their form has no place for its text.
    """
    cited = [gap.where for gap in value.missing if gap.where is not None]
    passages = _passages(item.passage, cited) if item.passage is not None else []
    errors = [
        {"start": s.start, "end": s.end, "error type": _theirs(s.type), "explanation": s.note} for s in value.spans
    ]
    record = {"question": item.prompt, "passages": passages, "prediction 1": item.responses[0]}
    bare = QaRecord.model_validate(record)
    missing = [
        {"error type": _theirs(gap.type), "passage_id": number, "sentence_id": sentences}
        for gap in value.missing
        for number, sentences in _citations(bare, gap.where)
    ]
    said = {"errors": errors, "missing-info": missing, "corrected-prediction": value.corrected}
    return QaRecord.model_validate({**record, "feedback": said})


def _passages(text: str, cited: Sequence[tuple[int, int]]) -> list[list[str]]:
    found, start = [], 0
    for block in text.split("\n\n"):
        title, line_break, body = block.partition("\n")
        first = start + len(title) + 1
        ends = {place - first for span in cited for place in span}
        # A cut falls on a space: sentences are joined by one.
        cuts = sorted({c if body[c : c + 1] == " " else c - 1 for c in ends if 0 < c < len(body)})
        cuts = [c for c in cuts if body[c] == " "]
        edges = [-1, *cuts, len(body)]
        found.append([title, *(body[a + 1 : b] for a, b in itertools.pairwise(edges))] if line_break else [title])
        start += len(block) + 2
    return found


def _citations(record: QaRecord, where: tuple[int, int] | None) -> list[tuple[int, list[int]]]:
    """(passage, sentences) that a place touches; of no place, no sentence of the first passage."""
    if where is None:
        return [(1, [])]
    touched: dict[int, list[int]] = {}
    for number, passage in enumerate(record.passages, 1):
        for sentence in range(len(passage)):
            start, end = record.place(number, sentence) or (0, 0)
            if start < where[1] and where[0] < end:
                touched.setdefault(number, []).append(sentence)
    return list(touched.items()) or [(1, [])]


def _cited(record: QaRecord, passage: int, sentence: int) -> str:
    return record.passages[passage - 1][sentence] if record.place(passage, sentence) else ""


def _joined(errors: Sequence[QaError]) -> tuple[Span, ...]:
    spans: list[Span] = []
    for error in sorted(errors, key=lambda e: (e.type, e.start, e.end)):
        last = spans[-1] if spans else None
        kind = error.type.lower()
        if last is not None and last.type == kind and error.start < last.end:
            spans[-1] = last.model_copy(update={"end": max(last.end, error.end)})
        else:
            spans.append(Span(start=error.start, end=error.end, type=kind, note=error.explanation))
    return tuple(sorted(spans, key=lambda s: (s.start, s.end)))


def _theirs(kind: str) -> str:
    return "-".join(part.capitalize() for part in kind.split("-"))


def _line(line: str) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return None
