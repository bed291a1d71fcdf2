"""Preference pairs as token ids; what cannot be trained on is refused with a reason, before training.

Belongs here: reading the table of pairs and rendering them with the model's own template. Does not: the loss (`dpo_trainer`).
Nothing is ever cut.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ddd_llm.training.errors import BadData
from ddd_llm.training.examples import IGNORED, Refusals, RefusedError, encode, parse_messages

_COLUMNS = ("id", "prompt", "chosen", "rejected", "component", "split")


@dataclass(frozen=True)
class EncodedPair:
    """One pair as the model sees it: a prompt and its two answers, each up to and with its end-of-turn token."""

    id: str
    component: str
    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]

    @property
    def length(self) -> int:
        """Tokens of both sequences together."""
        return 2 * len(self.prompt_ids) + len(self.chosen_ids) + len(self.rejected_ids)


@dataclass
class Pairs(Refusals):
    """What a table gives to training: `train` in its order, `held_out` in a stable one, and (id, reason) of refused pairs."""

    train: list[EncodedPair] = field(default_factory=list)
    held_out: list[EncodedPair] = field(default_factory=list)


def read_pairs(table: Path, tokenizer: Any, max_length: int, held_out: int) -> Pairs:
    """Read, render and encode preference pairs.

    Args:
        table: Parquet file with string columns id, prompt (JSON messages), chosen, rejected, component and split (train or
            held_out).
        tokenizer: with a chat template.
        max_length: tokens of prompt and answer; a pair with a longer one is refused.
        held_out: most held-out pairs, chosen by a stable hash of what they say.

    Raises:
        BadData: no Parquet file with these columns, or no pair that can be trained on.
    """
    found = Pairs()
    waiting: list[tuple[bytes, EncodedPair]] = []
    seen: set[str] = set()
    for row in _rows(table):
        try:
            if not row["id"] or row["id"] in seen:
                raise RefusedError("duplicate_id" if row["id"] else "no_id")
            seen.add(row["id"])
            pair = _encode(row, tokenizer, max_length)
        except RefusedError as refused:
            found.refused.append((row["id"] or "", str(refused)))
            continue
        if row["split"] == "train":
            found.train.append(pair)
        else:
            said = "\x1f".join((row["prompt"], row["chosen"], row["rejected"]))
            waiting.append((hashlib.sha256(said.encode()).digest(), pair))
    if not found.train:
        raise BadData(f"No preference pair of split train can be trained on ({found.told('none refused')})")
    waiting.sort(key=lambda entry: entry[0])
    found.held_out = sorted((pair for _, pair in waiting[:held_out]), key=lambda p: (p.length, p.id))
    return found


def _encode(row: dict[str, Any], tokenizer: Any, max_length: int) -> EncodedPair:
    if row["chosen"] == row["rejected"]:
        raise RefusedError("same_answers")
    sides = []
    for answer in (row["chosen"], row["rejected"]):
        messages = parse_messages(_with_answer(row["prompt"], answer))
        sides.append(encode(row["id"], messages, tokenizer, max_length))
    cuts = [next(i for i, label in enumerate(side.labels) if label != IGNORED) for side in sides]
    if cuts[0] != cuts[1] or sides[0].input_ids[: cuts[0]] != sides[1].input_ids[: cuts[0]]:
        raise RefusedError("template_not_incremental")
    prompt, chosen, rejected = sides[0].input_ids[: cuts[0]], *(side.input_ids[cuts[0] :] for side in sides)
    if chosen == rejected:
        raise RefusedError("same_answers")
    return EncodedPair(row["id"], row["component"] or row["id"], prompt, chosen, rejected)


def _with_answer(prompt: str, answer: str) -> str:
    try:
        messages = json.loads(prompt)
    except (ValueError, RecursionError):
        raise RefusedError("malformed_messages") from None
    if not isinstance(messages, list):
        raise RefusedError("malformed_messages")
    return json.dumps([*messages, {"role": "assistant", "content": answer}])


def _rows(table: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(table, columns=list(_COLUMNS))
    except (OSError, pa.ArrowException) as error:
        raise BadData(f"The preference pairs cannot be read as Parquet ({type(error).__name__})") from error
    if missing := [name for name in _COLUMNS if name not in rows.column_names]:
        raise BadData(f"The preference pairs lack the columns {', '.join(missing)}")
    return rows.to_pylist()
