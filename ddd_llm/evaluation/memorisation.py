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
from ddd_llm.instructions.prompts import compose, passage_of, stable_hash

PROBES_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
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

    examples: int = Field(default=64, ge=8, description="That were trained on, and as many that were not.")
    least_tokens: int = Field(default=6, ge=1, description="Of the half that is recited; shorter ones tell nothing.")
    max_length: int = Field(default=512, ge=16, description="Tokens; a longer example is passed over.")
    batch_size: int = Field(default=16, ge=1)


@dataclass(frozen=True)
class Extraction:
    """Rates of recited examples, and their difference with Newcombe's interval (NaN where nothing was asked).

    `gap`: nats per token by which held-out answers are less expected than those trained on.
    """

    trained: int
    trained_recited: int
    held_out: int
    held_out_recited: int
    excess: float
    low: float
    high: float
    gap: float


def choose(examples: pa.Table, trained_on: Sequence[str], config: MemorisationConfig) -> list[dict[str, Any]]:
    """Rows to ask about: of those trained on by stable hash, and for each one of validation with the same task, as far as
    there are any."""
    rows, known = examples.to_pylist(), set(trained_on)
    rows.sort(key=lambda row: (stable_hash("memorisation", row["id"]), row["id"]))
    seen = [row for row in rows if row["split"] == "train" and row["id"] in known]
    others: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["split"] == "validation":
            others.setdefault(row["task"], []).append(row)
    chosen = []
    for row in seen:
        if len(chosen) < 2 * config.examples and others.get(row["task"]):
            chosen += [row | {"trained_on": True}, others[row["task"]].pop(0) | {"trained_on": False}]
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
        rows: as `choose` gives them.
        config: what is asked.
        decoding: dtype and device are taken from it.
        progress: told rows done and in all.

    Returns:
        A table of PROBES_SCHEMA; rows that are too long or too short are left out.
    """
    from transformers import AutoTokenizer

    from ddd_llm.training.examples import IGNORED, Encoded, RefusedError, encode, parse_messages

    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    model = load_model(base, {"tuned": adapter}, decoding)
    asked: list[tuple[dict[str, Any], Encoded, Encoded]] = []
    for row in rows:
        try:
            messages = parse_messages(row["messages"])
            both = (encode(row["id"], m, tokenizer, config.max_length) for m in (_closed(messages), messages))
            closed, whole = both
        except RefusedError:
            continue
        if closed.loss_tokens >= 2 * config.least_tokens:
            asked.append((row, closed, whole))
    asked.sort(key=lambda entry: len(entry[2].input_ids))
    found = []
    for start in range(0, len(asked), config.batch_size):
        part = asked[start : start + config.batch_size]
        closed = _read(model, [c.input_ids for _, c, _ in part])
        whole = _read(model, [w.input_ids for _, _, w in part])
        for (row, c, w), (_, best), (nats, _) in zip(part, closed, whole, strict=True):
            places = [i for i, label in enumerate(c.labels) if label not in (IGNORED, tokenizer.eos_token_id)]
            second = places[len(places) // 2 :]
            loss = [nats[i - 1] for i, label in enumerate(w.labels) if label != IGNORED]
            recited = all(best[i - 1] == c.input_ids[i] for i in second)
            found.append(
                (row["id"], row["trained_on"], row["task"], recited, len(second), float(sum(loss) / len(loss)))
            )
        if progress:
            progress(min(start + config.batch_size, len(asked)), len(asked))
    columns = zip(*sorted(found), strict=True) if found else [[] for _ in PROBES_SCHEMA]
    return pa.table([list(column) for column in columns], schema=PROBES_SCHEMA)


def extraction(probes: pa.Table) -> Extraction:
    """Figures of a probe. Newcombe's interval of a difference of proportions (R. Newcombe, Statistics in Medicine 17, 1998)."""
    from statsmodels.stats.proportion import confint_proportions_2indep

    rows = probes.to_pylist()
    counts = Counter((row["trained_on"], row["recited"]) for row in rows)
    sides = {side: [row["nats"] for row in rows if row["trained_on"] is side] for side in (True, False)}
    a, n, b, m = counts[True, True], len(sides[True]), counts[False, True], len(sides[False])
    if not n or not m:
        return Extraction(n, a, m, b, *[float("nan")] * 4)
    low, high = confint_proportions_2indep(a, n, b, m, compare="diff", method="newcomb")
    gap = sum(sides[False]) / m - sum(sides[True]) / n
    return Extraction(n, a, m, b, a / n - b / m, float(low), float(high), gap)


def _closed(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    # The same without the passage that holds the answer.
    first = messages[0]["content"]
    passage = passage_of(first)
    question = first if passage is None else first[len(compose(passage, "")) :]
    return [{**messages[0], "content": question}, *messages[1:]]


def _read(model: Any, rows: Sequence[list[int]]) -> list[tuple[list[float], list[int]]]:
    # At each place but the last: nats of the next token, and the likeliest one.
    import torch

    width = max(map(len, rows))
    ids = torch.tensor([r + [0] * (width - len(r)) for r in rows], device=model.device)
    mask = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows], device=model.device)
    with torch.inference_mode():
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
    best = logits.argmax(-1).tolist()
    nats = []
    for row, target in zip(logits, ids[:, 1:, None], strict=True):  # row by row: the vocabulary is wide
        nats.append((-row.float().log_softmax(-1).gather(-1, target)[:, 0]).tolist())
    return [(nats[i], best[i]) for i in range(len(rows))]


def bare_messages(row: dict[str, Any]) -> tuple[str, str]:
    """Question without passage, and answer, of a row; for people."""
    messages = _closed(json.loads(row["messages"]))
    return messages[0]["content"], messages[-1]["content"]
