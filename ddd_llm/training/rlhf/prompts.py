"""Prompts that a policy answers: from the instruction dataset, or in the form of RealToxicityPrompts.

Belongs here: reading them, and what is refused. Does not: their order (`batching`), nor answers (`answers`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ddd_llm.training.errors import BadData
from ddd_llm.training.examples import Refusals, RefusedError, parse_messages
from ddd_llm.training.rlhf.answers import Prompt

_COLUMNS = ("id", "split", "messages", "facts", "component")


@dataclass(frozen=True)
class PolicyPrompt:
    """A prompt, its length in tokens, and what is known of the question."""

    id: str
    component: str
    prompt: Prompt
    tokens: int
    facts: dict[str, Any]


@dataclass
class Prompts(Refusals):
    """`train` in the table's order, `held_out` in a stable one, and (id, reason) of what was refused."""

    train: list[PolicyPrompt] = field(default_factory=list)
    held_out: list[PolicyPrompt] = field(default_factory=list)


def read_prompts(table: Path, tokenizer: Any, max_length: int, held_out: int) -> Prompts:
    """The conversations of a dataset without their last answer: of its split train, and of validation by stable hash.

    Args:
        table: Parquet file with string columns id, split, messages (JSON, or a text that is to be continued), facts (JSON) and
            component.
        tokenizer: with a chat template where there are messages.
        max_length: tokens of the prompt.
        held_out: most prompts of the validation split.

    Raises:
        BadData: no Parquet file with these columns, or no prompt to train on.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(table, columns=list(_COLUMNS)).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise BadData(f"The prompts cannot be read as Parquet ({type(error).__name__})") from error
    found = Prompts()
    waiting: list[tuple[bytes, PolicyPrompt]] = []
    seen: set[str] = set()
    for row in rows:
        if row["split"] not in ("train", "validation"):
            continue
        try:
            if not row["id"] or row["id"] in seen:
                raise RefusedError("duplicate_id" if row["id"] else "no_id")
            seen.add(row["id"])
            prompt = _prompt(row, tokenizer, max_length)
        except RefusedError as refused:
            found.refused.append((row["id"] or "", str(refused)))
            continue
        if row["split"] == "train":
            found.train.append(prompt)
        else:
            waiting.append((hashlib.sha256(row["messages"].encode()).digest(), prompt))
    if not found.train:
        raise BadData(f"There is no prompt to train on ({found.told('none refused')})")
    waiting.sort(key=lambda entry: (entry[0], entry[1].id))
    found.held_out = [prompt for _, prompt in waiting[:held_out]]
    return found


def toxicity_prompts(lines: Path) -> list[dict[str, Any]]:
    """Rows for `read_prompts` from a JSONL file in the form of RealToxicityPrompts (Gehman et al. 2020, arXiv:2009.11462):
    `{"prompt": {"text": ...}, ...}`. A fifth, by stable hash of the text, is of split validation.

    Raises:
        BadData: a line is in another form; its number is named.
    """
    rows = []
    for number, line in enumerate(lines.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            text = json.loads(line)["prompt"]["text"]
        except (ValueError, KeyError, TypeError):
            text = None
        if not isinstance(text, str) or not text.strip():
            raise BadData(f"{lines.name}:{number} is no line of RealToxicityPrompts: it lacks prompt.text")
        name = hashlib.sha256(text.encode()).hexdigest()
        split = "validation" if int(name[:8], 16) % 5 == 0 else "train"
        rows.append({"id": name[:16], "split": split, "messages": text, "facts": "{}", "component": name[:16]})
    return list({row["id"]: row for row in rows}.values())


def _prompt(row: dict[str, Any], tokenizer: Any, max_length: int) -> PolicyPrompt:
    text = row["messages"] or ""
    if text.lstrip().startswith("["):
        prompt: Prompt = parse_messages(text)[:-1]
        rendered = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
        tokens = len(tokenizer(rendered, add_special_tokens=False)["input_ids"])
    else:
        prompt = text
        tokens = len(tokenizer(text)["input_ids"])
    if not prompt or not tokens:
        raise RefusedError("no_prompt")
    if tokens > max_length:
        raise RefusedError("too_long")
    try:
        facts = json.loads(row["facts"] or "{}")
    except ValueError:
        raise RefusedError("malformed_facts") from None
    return PolicyPrompt(row["id"], row["component"] or row["id"], prompt, tokens, facts)
