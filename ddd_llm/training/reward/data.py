"""Answers as token ids with a target at each segment's end; what cannot be used is refused with a reason.

Belongs here: reading span feedback and placing targets on tokens. Does not: the model (`model`), nor figures (`figures`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ddd_llm.feedback.labels import SpansValue
from ddd_llm.feedback.segments import segment_end_tokens
from ddd_llm.feedback.span_feedback import Granularity, segment_labels
from ddd_llm.training.errors import BadData
from ddd_llm.training.examples import Refusals, RefusedError, encode, parse_messages

_COLUMNS = ("id", "prompt", "response", "value", "component", "split")


@dataclass(frozen=True)
class Target:
    """One segment: the token it ends on, whether it is in error, and its shape (length in characters, place from 0 to 1)."""

    token: int
    wrong: bool
    length: int
    place: float


@dataclass(frozen=True)
class Answer:
    """One answer as a reward model sees it."""

    id: str
    component: str
    input_ids: list[int]
    targets: tuple[Target, ...]


@dataclass
class Answers(Refusals):
    """`train` in the table's order, `held_out` in a stable one, and (id, reason) of what was refused."""

    train: list[Answer] = field(default_factory=list)
    held_out: list[Answer] = field(default_factory=list)


def read_answers(table: Path, tokenizer: Any, of: Granularity, max_length: int, held_out: int) -> Answers:
    """Read span feedback and encode it for one granularity.

    Raises:
        BadData: no Parquet file with these columns, or nothing to train on, or no segment of one of the two classes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(table, columns=list(_COLUMNS)).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise BadData(f"The span feedback cannot be read as Parquet ({type(error).__name__})") from error
    found = Answers()
    waiting: list[tuple[bytes, Answer]] = []
    for row in rows:
        try:
            answer = _encode(row, tokenizer, of, max_length)
        except RefusedError as refused:
            found.refused.append((row["id"], str(refused)))
            continue
        if row["split"] == "train":
            found.train.append(answer)
        else:
            said = "\x1f".join((row["prompt"], row["response"]))
            waiting.append((hashlib.sha256(said.encode()).digest(), answer))
    waiting.sort(key=lambda entry: (entry[0], entry[1].id))
    found.held_out = [answer for _, answer in waiting[:held_out]]
    classes = {target.wrong for answer in found.train for target in answer.targets}
    if classes != {True, False}:
        there = {
            frozenset(): "none at all",
            frozenset({True}): "only wrong ones",
            frozenset({False}): "only right ones",
        }
        raise BadData(
            f"Of the segments to train on there are {there[frozenset(classes)]} ({found.told('none refused')})"
        )
    return found


def _encode(row: dict[str, Any], tokenizer: Any, of: Granularity, max_length: int) -> Answer:
    text = row["response"]
    messages = parse_messages(json.dumps([*json.loads(row["prompt"]), {"role": "assistant", "content": text}]))
    encoded = encode(row["id"], messages, tokenizer, max_length)
    start, offsets = place_answer(encoded.input_ids, messages, text, tokenizer)
    labels = segment_labels(text, SpansValue.model_validate_json(row["value"]), of)
    ends = segment_end_tokens(offsets, [ends for ends, _ in labels], text, of.segmenter == "sequence")
    targets = tuple(
        Target(start + token, wrong, b - a, a / max(1, len(text)))
        for ((a, b), wrong), token in zip(labels, ends, strict=True)
        if token is not None
    )
    return Answer(row["id"], row["component"] or row["id"], encoded.input_ids, targets)


def place_answer(
    input_ids: list[int], messages: list[dict[str, str]], text: str, tokenizer: Any
) -> tuple[int, list[tuple[int, int]]]:
    """Where an answer begins among the tokens of a conversation, and the offsets of its tokens in the answer's text.

    Raises:
        RefusedError: `template_changes_answer`, where the template does not show the answer as it is.
    """
    prompt = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    piece = whole[len(prompt) :]
    if not whole.startswith(prompt) or not piece.startswith(text):
        raise RefusedError("template_changes_answer")
    start = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    found = tokenizer(piece, add_special_tokens=False, return_offsets_mapping=True)
    inside = [(a, min(b, len(text))) for a, b in found["offset_mapping"] if a < len(text)]
    return start, inside[: len(input_ids) - start]
