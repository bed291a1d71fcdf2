"""Instruction examples as token ids and labels; what cannot be trained on is refused with a reason, before training.

Belongs here: reading the dataset, rendering conversations with the model's own template, marking which tokens give a
loss. Does not: the order of examples (`batching`). Nothing is ever cut: half an answer teaches a model to stop in the
middle.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ddd_llm.training.errors import BadData

IGNORED = -100
"""Label of a token that gives no loss, as torch's cross entropy takes it."""

_COLUMNS = ("id", "split", "messages")
_ROLES = {"system", "user", "assistant"}


@dataclass(frozen=True)
class Encoded:
    """One example as the model sees it.

    Attributes:
        id: the example's id in the dataset.
        input_ids: token ids.
        labels: the same length; the token id where an assistant speaks, `IGNORED` elsewhere.
    """

    id: str
    input_ids: list[int]
    labels: list[int]

    @property
    def places(self) -> list[int]:
        """Where the tokens that give a loss stand. The first token of a sequence is never predicted."""
        return [i for i, label in enumerate(self.labels) if i and label != IGNORED]

    @property
    def loss_tokens(self) -> int:
        """Tokens that give a loss."""
        return len(self.places)


@dataclass(kw_only=True)
class Refusals:
    """(row id, reason) of each row of a table that cannot be trained on."""

    refused: list[tuple[str, str]] = field(default_factory=list)

    def refusals(self) -> dict[str, int]:
        """Reason to number of refused rows."""
        return dict(sorted(Counter(reason for _, reason in self.refused).items()))

    def told(self, nothing: str = "none") -> str:
        """The same for people; `nothing` where none was refused."""
        return ", ".join(f"{n} {reason}" for reason, n in self.refusals().items()) or nothing


@dataclass
class Examples(Refusals):
    """What a dataset gives to training.

    Attributes:
        train: the examples of split `train`, in the dataset's order.
        validation: the fixed validation subset, longest last.
        refused: (example id, reason) of each example of split `train` or `validation` that cannot be trained on.
    """

    train: list[Encoded] = field(default_factory=list)
    validation: list[Encoded] = field(default_factory=list)


class RefusedError(Exception):
    """An example cannot be trained on; its argument is the reason, in snake_case."""


def read_examples(dataset: Path, tokenizer: Any, max_length: int, validation: int) -> Examples:
    """Read, render and encode the train split and a fixed part of the validation split.

    The validation part is chosen by a hash of the example ids, so it stays the same when the dataset grows elsewhere.
    The test split is not looked at.

    Args:
        dataset: Parquet file with string columns `id`, `split`, `messages` (JSON list of {role, content}).
        tokenizer: a tokenizer with a chat template.
        max_length: tokens; a longer example is refused.
        validation: how many validation examples.

    Raises:
        BadData: no Parquet file with these columns, or no example that can be trained on.
    """
    found = Examples()
    seen: set[str] = set()
    held_out: list[Encoded] = []
    for identity, split, messages in _rows(dataset):
        if split not in ("train", "validation"):
            continue
        try:
            if not identity or identity in seen:
                raise RefusedError("duplicate_id" if identity else "no_id")
            seen.add(identity)
            encoded = encode(identity, parse_messages(messages), tokenizer, max_length)
        except RefusedError as refused:
            found.refused.append((identity or "", str(refused)))
            continue
        (found.train if split == "train" else held_out).append(encoded)
    if not found.train:
        raise BadData(f"No example of split train can be trained on ({found.told('none refused')})")
    held_out.sort(key=lambda e: hashlib.sha256(e.id.encode()).digest())
    found.validation = sorted(held_out[:validation], key=lambda e: (len(e.input_ids), e.id))
    return found


def parse_messages(text: str | None) -> list[dict[str, str]]:
    """A conversation from its JSON.

    Raises:
        RefusedError: `malformed_messages`; `no_assistant_answer` when the last message is no assistant's or is empty.
    """
    try:
        messages = json.loads(text or "")
    except (ValueError, RecursionError):
        raise RefusedError("malformed_messages") from None
    if not isinstance(messages, list) or not messages:
        raise RefusedError("malformed_messages")
    for message in messages:
        if (
            not isinstance(message, dict)
            or message.get("role") not in _ROLES
            or not isinstance(message.get("content"), str)
        ):
            raise RefusedError("malformed_messages")
        if any("\ud800" <= c <= "\udfff" for c in message["content"]):
            raise RefusedError("malformed_messages")  # a lone surrogate: no tokenizer encodes it
    if messages[-1]["role"] != "assistant" or not messages[-1]["content"].strip():
        raise RefusedError("no_assistant_answer")
    return [{"role": m["role"], "content": m["content"]} for m in messages]


def encode(identity: str, messages: list[dict[str, str]], tokenizer: Any, max_length: int) -> Encoded:
    """Token ids and labels of a conversation; every assistant turn gives a loss, up to and with its end-of-turn token.

    Each turn is encoded by itself, so the prompt has exactly the tokens it has when the model is asked.

    Raises:
        RefusedError: `template_failed`, `template_not_incremental` (it rewrites earlier turns), or `too_long`.
    """
    ids: list[int] = []
    labels: list[int] = []
    for text, is_answer in _spans(messages, tokenizer):
        tokens: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids += tokens
        labels += tokens if is_answer else [IGNORED] * len(tokens)
        if len(ids) > max_length:
            raise RefusedError("too_long")
    end = _end_of_turn(labels, tokenizer.eos_token_id)
    return Encoded(identity, ids[:end], labels[:end])


def _spans(messages: list[dict[str, str]], tokenizer: Any) -> list[tuple[str, bool]]:
    """The rendered conversation cut at the borders of assistant turns, with whether each piece is an answer."""
    spans: list[tuple[str, bool]] = []
    done = ""
    for i, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt = _render(messages[:i], tokenizer, True)
        whole = _render(messages[: i + 1], tokenizer, False)
        if not prompt.startswith(done) or not whole.startswith(prompt):
            raise RefusedError("template_not_incremental")
        spans += [(prompt[len(done) :], False), (whole[len(prompt) :], True)]
        done = whole
    return spans


def _render(messages: list[dict[str, str]], tokenizer: Any, generation: bool) -> str:
    from jinja2 import TemplateError

    try:
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=generation)
    except (TemplateError, ValueError, TypeError, KeyError):
        raise RefusedError("template_failed") from None  # the error's own text may quote the document


def _end_of_turn(labels: list[int], eos: int | None) -> int:
    """Where the last end-of-turn token ends: a template's line break after it is never generated, so never learnt."""
    for i in range(len(labels) - 1, -1, -1):
        if labels[i] == eos:
            return i + 1
        if labels[i] == IGNORED:
            break
    return len(labels)


def _rows(dataset: Path) -> list[tuple[str | None, str | None, str | None]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(dataset, columns=list(_COLUMNS))
    except (OSError, pa.ArrowException) as error:
        raise BadData(f"The dataset cannot be read as Parquet ({type(error).__name__})") from error
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise BadData(f"The dataset lacks the columns {', '.join(missing)}")
    wrong = [f.name for f in table.schema if not (pa.types.is_string(f.type) or pa.types.is_large_string(f.type))]
    if wrong:
        raise BadData(f"The columns {', '.join(wrong)} do not hold strings")
    return list(zip(*(table[name].to_pylist() for name in _COLUMNS), strict=True))
