"""Questions and answers that a model writes from documents, within a budget, and what of them is good enough to train on.

Belongs here: which documents are shown, reading and checking what was written. Does not: who writes (`writers`), nor how many of
them a dataset takes (`build`).

Nobody checks what a model wrote, so it is checked by rule: an answer's words must stand in the passage it was written from. That
keeps inventions out, and with them answers in other words than the document's; wrong answers in its words pass.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ddd_llm.instructions.candidates import CANDIDATES_SCHEMA, DECISIONS_SCHEMA, example_id
from ddd_llm.instructions.prompts import compose, estimate_tokens, stable_hash
from ddd_llm.instructions.split import module_of
from ddd_llm.instructions.writers import Shown, SyntheticConfig, Writer, passage_digest

TASK = "synthetic"
REPLIES_SCHEMA = pa.schema(
    [
        ("id", pa.string()),  # of the document
        ("passage", pa.string()),  # digest of what was shown
        ("text", pa.string()),
        ("tokens", pa.int64()),
    ]
)
_FORM = re.compile(r"\s*question:\s*(?P<question>.+?)\s*\n+\s*answer:\s*(?P<answer>.+)", re.IGNORECASE | re.DOTALL)
_NEXT = re.compile(r"\n\s*\n|\n\s*question:", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_COMMON = frozenset(
    _WORD.findall(
        "a an and are as at be by can do does for from given has have how if in into is it its not of on or that the then there "
        "this to used was were what when where which who whose why will with you your"
    )
)


@dataclass(frozen=True)
class Synthetic:
    """What came of it.

    Attributes:
        table: examples (`CANDIDATES_SCHEMA`), task `synthetic`, each naming its document and its writer.
        decisions: one row per chosen document: kept, or dropped with the reason (of the writer, of `checked`, `budget_spent`).
        replies: what was written (`REPLIES_SCHEMA`), kept or not.
        refused: texts that were written and not kept, with the reason, for the page.
        written: how many documents something was written about.
        tokens: that all of it took, questions and answers.
    """

    table: pa.Table
    decisions: pa.Table
    replies: pa.Table
    refused: tuple[tuple[str, str], ...]
    written: int
    tokens: int


def choose_documents(curated: pa.Table, config: SyntheticConfig) -> list[Shown]:
    """Documents to write about, by a stable hash of their place, each cut to whole lines within the budget of a passage."""
    if config.kind == "none":
        return []
    rows = curated.select(["id", "locator", "text"]).to_pylist()
    rows.sort(key=lambda row: (stable_hash(TASK, row["locator"]), row["id"]))
    found: list[Shown] = []
    for row in rows:
        passage = _cut(row["text"], config.passage_tokens)
        if len(_WORD.findall(passage)) >= config.least_words and len(found) < config.documents:
            found.append(Shown(row["id"], row["locator"], passage))
    return found


def write(
    documents: Sequence[Shown],
    writer: Writer | None,
    config: SyntheticConfig,
    progress: Callable[[int, int], None] | None = None,
) -> Synthetic:
    """Have examples written until the documents or the budget are spent.

    Args:
        documents: as `choose_documents` gives them.
        writer: None writes nothing.
        config: settings.
        progress: told documents done and in all.
    """
    rows: dict[str, dict[str, Any]] = {}
    decisions: list[dict[str, Any]] = []
    replies: list[dict[str, Any]] = []
    refused: list[tuple[str, str]] = []
    questions: set[str] = set()
    written = tokens = place = 0
    while writer is not None and place < len(documents) and tokens < config.most_tokens:
        part = documents[place : place + writer.at_once]
        place += len(part)
        for document, said in zip(part, writer(part), strict=True):
            tokens += said.tokens
            reason = said.reason
            if said.text is not None:
                written += 1
                told = {
                    "id": document.id,
                    "passage": passage_digest(document),
                    "text": said.text,
                    "tokens": said.tokens,
                }
                replies.append(told)
                pair, reason = checked(said.text, document.passage, config)
                if pair is not None and pair[0].lower() in questions:
                    pair, reason = None, "same_question"
                if pair is None:
                    refused.append((str(reason), said.text))
                else:
                    questions.add(pair[0].lower())
                    row = _row(document, *pair, writer.name)
                    rows[row["id"]] = row
            decisions.append(_decision(document, reason))
        if progress:
            progress(place, len(documents))
    decisions += [_decision(document, "budget_spent" if writer else "nobody_writes") for document in documents[place:]]
    return Synthetic(
        pa.Table.from_pylist(list(rows.values()), schema=CANDIDATES_SCHEMA),
        pa.Table.from_pylist(decisions, schema=DECISIONS_SCHEMA),
        pa.Table.from_pylist(replies, schema=REPLIES_SCHEMA),
        tuple(refused),
        written,
        tokens,
    )


def checked(text: str, passage: str, config: SyntheticConfig) -> tuple[tuple[str, str] | None, str | None]:
    """Question and answer in what was written, or the reason why it is not used.

    Reasons: `other_form`, `no_question` (no question mark, or not 3 to 40 words), `repeats_the_question`, `unfinished` (the
    answer ends within a sentence), `answer_too_long`, `question_elsewhere` and `not_grounded` (words that the passage lacks).
    """
    found = _FORM.match(text)
    if found is None:
        return None, "other_form"
    question = " ".join(found["question"].split())
    answer = _NEXT.split(found["answer"], maxsplit=1)[0].strip()
    if not question.endswith("?") or not 3 <= len(question.split()) <= 40:
        return None, "no_question"
    if not _words(answer) or _words(answer) <= _words(question):
        return None, "repeats_the_question"
    if answer[-1] not in ".`'\")]":
        return None, "unfinished"
    if estimate_tokens(answer) > config.answer_tokens:
        return None, "answer_too_long"
    there = _words(passage)
    if _share(question, there) < 0.5:
        return None, "question_elsewhere"
    if _share(answer, there) < config.grounded_from:
        return None, "not_grounded"
    return (question, answer), None


def _words(text: str) -> set[str]:
    return {_stem(word) for word in _WORD.findall(text.lower()) if word not in _COMMON}


def _stem(word: str) -> str:
    # "Return" in a passage is "returns" in an answer; what else endings tell apart does not matter here.
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)].rstrip("e")
    return word.rstrip("e") if len(word) > 3 else word


def _share(text: str, there: set[str]) -> float:
    words = _words(text)
    return len(words & there) / len(words) if words else 0.0


def _cut(text: str, budget: int) -> str:
    # Whole lines from the beginning; never an empty line at the end.
    kept: list[str] = []
    spent = 0
    for line in text.splitlines():
        spent += estimate_tokens(line) + 1
        if spent > budget:
            break
        kept.append(line)
    return "\n".join(kept).strip()


def _decision(document: Shown, reason: str | None) -> dict[str, Any]:
    return {"id": document.id, "verdict": "dropped" if reason else "kept", "reason": reason}


def _row(document: Shown, question: str, answer: str, writer: str) -> dict[str, Any]:
    messages = [
        {"role": "user", "content": compose(document.passage, question)},
        {"role": "assistant", "content": answer},
    ]
    module = module_of(document.locator)
    return {
        "id": example_id(TASK, [document.id], messages),
        "task": TASK,
        "slice": "open_book",
        "messages": json.dumps(messages, ensure_ascii=False),
        "facts": json.dumps({"task": TASK}),
        "source_ids": [document.id],
        "package": re.split(r"[./]", module, maxsplit=1)[0],
        "module": module,
        "generator": TASK,
        "generator_version": writer,
    }
