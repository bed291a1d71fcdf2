"""Whether a model can recite what it was trained on, beyond what it says about texts it never saw.

Belongs here: the probe and its figures. Does not: what is allowed (`gate`), nor the page (`memorisation_report`). Heavy inside
functions: torch, transformers, peft.

Exact-match extraction (N. Carlini and others, Quantifying Memorization Across Neural Language Models, 2023, section 3): given the
question without its passage and the first half of the answer, does greedy decoding give the rest, token for token? Held-out
examples of the same tasks say how much of that is the form of an answer rather than memory: the excess is what counts. One pass
over the whole tells it: greedy decoding recites exactly if the likeliest token is the right one at every place.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from ddd_llm.evaluation.generate import GenerationConfig, load_model
from ddd_llm.evaluation.likelihood import mean_nats, read
from ddd_llm.evaluation.statistics import paired_proportions
from ddd_llm.instructions.prompts import question_of, stable_hash
from ddd_llm.training.examples import Encoded, RefusedError, encode, parse_messages

PROBES_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("pair", pa.string()),  # the id of its pair that was trained on
        ("trained_on", pa.bool_()),
        ("task", pa.string()),
        ("recited", pa.bool_()),  # the second half of the answer, without the passage
        ("recited_tokens", pa.int32()),  # length of that half
        ("nats", pa.float64()),  # per token of the answer, with the passage
    ]
)


class MemorisationConfig(BaseModel):
    """How much is asked; what is allowed stands in the gate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    examples: int = Field(default=128, ge=8, description="That were trained on, and as many that were not.")
    least_tokens: int = Field(
        default=8, ge=1, description="Of the half that is recited; shorter ones are recited without having been seen."
    )
    max_length: int = Field(default=512, ge=16, description="Tokens; a longer example is passed over.")
    batch_size: int = Field(default=16, ge=1)


@dataclass(frozen=True)
class Extraction:
    """How many of each side of `pairs` are recited, and the paired difference of the rates with its interval (NaN where nothing
    was asked).

    `gap`: nats per token by which held-out answers are less expected than those trained on.
    """

    pairs: int
    trained_recited: int
    held_out_recited: int
    excess: float
    low: float
    high: float
    gap: float


def choose(examples: pa.Table, trained_on: Sequence[str], config: MemorisationConfig) -> list[dict[str, Any]]:
    """Rows to ask about, in pairs: one that was trained on, by stable hash, then one of validation with the same task and an
    answer of about the same length. More of them than are asked, for some answers are too short."""
    rows, known = examples.to_pylist(), set(trained_on)
    rows.sort(key=lambda row: (stable_hash("memorisation", row["id"]), row["id"]))
    others: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["split"] == "validation":
            others.setdefault(row["task"], []).append(row)
    chosen: list[dict[str, Any]] = []
    for row in rows:
        alike = others.get(row["task"])
        if row["split"] == "train" and row["id"] in known and alike and len(chosen) < 16 * config.examples:
            partner = min(alike, key=lambda other: abs(_answer_length(other) - _answer_length(row)))
            alike.remove(partner)
            chosen += [{**one, "pair": row["id"], "trained_on": one is row} for one in (row, partner)]
    return chosen


def probe(
    base: Path,
    adapter: Path,
    rows: Sequence[dict[str, Any]],
    config: MemorisationConfig,
    decoding: GenerationConfig,
    progress: Callable[[int, int], None] | None = None,
) -> pa.Table:
    """Ask a model about each row.

    Args:
        base: folder of the base model.
        adapter: folder of the adapter.
        rows: as `choose` gives them, in pairs; the first pairs of which both can be asked are.
        config: what is asked.
        decoding: dtype and device are taken from it.
        progress: told rows done and in all.

    Returns:
        A table of PROBES_SCHEMA.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    model = load_model(base, {"tuned": adapter}, decoding)
    readable = [_encoded(row, tokenizer, config) for row in rows]
    asked: list[_Asked] = []
    for trained, held_out in zip(readable[::2], readable[1::2], strict=True):
        if trained is not None and held_out is not None and len(asked) < 2 * config.examples:
            asked += [trained, held_out]
    asked.sort(key=lambda one: len(one.whole.input_ids))
    found = []
    for start in range(0, len(asked), config.batch_size):
        part = asked[start : start + config.batch_size]
        closed, whole = read(model, [one.closed for one in part]), read(model, [one.whole for one in part])
        for one, bare, told in zip(part, closed, whole, strict=True):
            said = {place: token.likeliest for place, token in zip(one.closed.places, bare, strict=True)}
            recited = all(said[place] == one.closed.input_ids[place] for place in one.second_half)
            head = (one.row[name] for name in ("id", "pair", "trained_on", "task"))
            found.append((*head, recited, len(one.second_half), mean_nats(told)))
        if progress:
            progress(min(start + config.batch_size, len(asked)), len(asked))
    columns = zip(*sorted(found), strict=True) if found else [[] for _ in PROBES_SCHEMA]
    return pa.table([list(column) for column in columns], schema=PROBES_SCHEMA)


@dataclass(frozen=True)
class _Asked:
    # A row without and with its passage, and where the second half of its answer stands in the former.
    row: dict[str, Any]
    closed: Encoded
    whole: Encoded
    second_half: list[int]


def _encoded(row: dict[str, Any], tokenizer: Any, config: MemorisationConfig) -> _Asked | None:
    # None where it is too long, or its answer too short.
    try:
        messages = parse_messages(row["messages"])
        closed, whole = (encode(row["id"], m, tokenizer, config.max_length) for m in (_closed(messages), messages))
    except RefusedError:
        return None
    places = [place for place in closed.places if closed.labels[place] != tokenizer.eos_token_id]
    second = places[len(places) // 2 :]
    return _Asked(row, closed, whole, second) if len(second) >= config.least_tokens else None


def extraction(probes: pa.Table) -> Extraction:
    """Figures of a probe."""
    pairs: dict[str, dict[bool, dict[str, Any]]] = {}
    for row in probes.to_pylist():
        pairs.setdefault(row["pair"], {})[row["trained_on"]] = row
    counts = Counter((pair[True]["recited"], pair[False]["recited"]) for pair in pairs.values())
    both, trained, held_out, neither = (
        counts[True, True],
        counts[True, False],
        counts[False, True],
        counts[False, False],
    )
    if not pairs:
        return Extraction(0, 0, 0, *[float("nan")] * 4)
    low, high = paired_proportions(both, trained, held_out, neither)
    gap = sum(pair[False]["nats"] - pair[True]["nats"] for pair in pairs.values()) / len(pairs)
    return Extraction(len(pairs), both + trained, both + held_out, (trained - held_out) / len(pairs), low, high, gap)


def _answer_length(row: dict[str, Any]) -> int:
    return len(json.loads(row["messages"])[-1]["content"])


def _closed(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    # The same without the passage that holds the answer.
    return [{**messages[0], "content": question_of(messages[0]["content"])}, *messages[1:]]


def bare_messages(row: dict[str, Any]) -> tuple[str, str]:
    """Question without passage, and answer, of a row; for people."""
    messages = _closed(json.loads(row["messages"]))
    return messages[0]["content"], messages[-1]["content"]
