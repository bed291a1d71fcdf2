"""Answers with exactly one planted error, made from instruction examples whose right answer a program can check.

Each gives a preference (the right answer over the harmed one) and span feedback (where the error stands), so that reward
models and preference training have data of known truth before a person has labelled anything. They are marked as constructed
wherever they go; nobody is said to have judged them.

Belongs here: planting and choosing. Does not: merging with what people say (`preferences`), nor labels per segment
(`span_feedback`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from ddd_llm.feedback.labels import Missing, Span, SpansValue
from ddd_llm.instructions.prompts import passage_of, stable_hash
from ddd_llm.instructions.tasks import enumerate_names
from ddd_llm.store.canonical import canonical_json, digest

_PROSE = ("summary", "parameter_meaning", "returns")
_UNVERIFIABLE = (
    "It was added in version {a}.{b}.",
    "It has been deprecated since version {a}.{b}.",
    "It is safe to call from several threads.",
    "It runs in constant time.",
    "It is {a} times faster than the earlier implementation.",
    "It is not available on Windows.",
)


class ConstructedConfig(BaseModel):
    """How many harmed answers to make. The `test` split is never used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: int = Field(default=900, ge=0, description="From the split `train`.")
    held_out: int = Field(default=240, ge=0, description="From the split `validation`.")
    longest_answer: int = Field(default=400, ge=20, description="Characters; longer right answers are passed over.")


@dataclass(frozen=True)
class Planted:
    """One right answer and its harmed copy.

    Attributes:
        example: id of the instruction example.
        prompt: its messages before the answer, as JSON.
        passage: shown in the prompt.
        right, harmed: the two answers.
        error: kind of harm, a key of `KINDS`.
        value: where the error stands in `harmed`, and `right` as its correction.
        split: train or held_out.
        component, source_ids: of the example.
    """

    example: str
    prompt: str
    passage: str
    right: str
    harmed: str
    error: str
    value: SpansValue
    split: str
    component: str
    source_ids: tuple[str, ...]

    @property
    def id(self) -> str:
        """Digest of prompt and both answers."""
        return digest(canonical_json([self.prompt, self.right, self.harmed]))


@dataclass(frozen=True)
class _Case:
    """An example as a planter sees it, with what may be borrowed from other examples of its split."""

    task: str
    passage: str
    answer: str
    facts: Mapping[str, Any]
    key: str
    others: Mapping[str, Sequence[str]]

    def borrow(self, pool: str, salt: str, *forbidden: str) -> str | None:
        """Something of a pool that the passage does not hold, by stable hash."""
        options = self.others.get(pool, ())
        start = stable_hash(salt, self.key)
        for step in range(min(len(options), 50)):
            found = options[(start + step) % len(options)]
            if found not in forbidden and found not in self.passage and found not in self.answer:
                return found
        return None


Harm = tuple[str, tuple[Span, ...], tuple[Missing, ...]]


def _replaced(case: _Case, old: str, pool: str, salt: str) -> Harm | None:
    """The one place where `old` stands between backticks, with something borrowed in its stead."""
    quoted = f"`{old}`"
    if case.answer.count(quoted) != 1:
        return None
    new = case.borrow(pool, salt, old)
    if new is None:
        return None
    at = case.answer.index(quoted)
    harmed = case.answer.replace(quoted, f"`{new}`")
    return harmed, (Span(start=at, end=at + len(new) + 2, type="wrong-grounding"),), ()


def _wrong_default(case: _Case) -> Harm | None:
    default = case.facts.get("default")
    return None if case.task != "default_value" or default is None else _replaced(case, default, "defaults", "default")


def _invented_parameter(case: _Case) -> Harm | None:
    names = case.facts.get("parameters") or ()
    if case.task != "parameters" or not names:
        return None
    return _replaced(case, names[stable_hash("which", case.key) % len(names)], "parameters", "parameter")


def _wrong_exception(case: _Case) -> Harm | None:
    names = case.facts.get("exceptions") or ()
    return _replaced(case, names[0], "exceptions", "exception") if case.task == "raises" and names else None


def _missing_parameter(case: _Case) -> Harm | None:
    names = list(case.facts.get("parameters") or ())
    if case.task != "parameters" or len(names) < 3 or case.answer != f"It takes {enumerate_names(names)}.":
        return None
    gone = names.pop(stable_hash("gone", case.key) % len(names))
    return f"It takes {enumerate_names(names)}.", (), (Missing(type="missing-major-auxiliary", text=f"`{gone}`"),)


def _appended(case: _Case, sentence: str, kind: str) -> Harm:
    start = len(case.answer) + 1
    return f"{case.answer} {sentence}", (Span(start=start, end=start + len(sentence), type=kind),), ()


def _irrelevant(case: _Case) -> Harm | None:
    if case.task not in (*_PROSE, "default_value") or not case.answer.endswith("."):
        return None
    sentence = case.borrow("sentences", "irrelevant")
    return _appended(case, sentence, "irrelevant") if sentence else None


def _redundant(case: _Case) -> Harm | None:
    if case.task not in _PROSE or not case.answer.endswith(".") or case.answer.count(". "):
        return None
    return _appended(case, case.answer, "redundant")


def _unverifiable(case: _Case) -> Harm | None:
    if case.task not in (*_PROSE, "default_value", "raises") or not case.answer.endswith("."):
        return None
    chance = stable_hash("claim", case.key)
    sentence = _UNVERIFIABLE[chance % len(_UNVERIFIABLE)].format(a=chance % 3 + 2, b=chance % 8 + 1)
    said = ("version", "deprecated", "thread", "constant", "faster", "Windows")
    if any(word in case.passage for word in said if word in sentence):
        return None
    return _appended(case, sentence, "unverifiable")


def _another_answer(case: _Case) -> Harm | None:
    other = case.borrow(case.task, "swap") if case.task in _PROSE else None
    if other is None:
        return None
    return other, (Span(start=0, end=len(other), type="wrong-grounding"),), (Missing(type="missing-answer"),)


def _false_refusal(case: _Case) -> Harm | None:
    parameter, function = case.facts.get("parameter"), case.facts.get("function")
    if case.task not in ("default_value", "parameter_meaning") or not parameter or not function:
        return None
    said = f"`{function}` has no parameter `{parameter}`."
    return said, (Span(start=0, end=len(said), type="wrong-grounding"),), (Missing(type="missing-answer"),)


def _false_answer(case: _Case) -> Harm | None:
    parameter = case.facts.get("parameter")
    if case.task != "unknown_parameter" or not parameter:
        return None
    if case.facts.get("form") == "parameter_meaning":
        said = case.borrow("parameter_meaning", "false")
    else:
        default = case.borrow("defaults", "false") or "None"
        said = f"`{parameter}` defaults to `{default}`."
    if said is None:
        return None
    return said, (Span(start=0, end=len(said), type="wrong-grounding"),), ()


def _cut_off(case: _Case) -> Harm | None:
    words = [m for m in re.finditer(r"\w{4,}", case.answer) if m.start() >= 20]
    if case.task not in _PROSE or len(words) < 3:
        return None
    word = words[stable_hash("cut", case.key) % (len(words) - 1)]
    harmed = case.answer[: word.start() + 2]
    start = max(harmed.rfind(", ") + 2, harmed.rfind(". ") + 2, 0) if ", " in harmed or ". " in harmed else 0
    return harmed, (Span(start=start, end=len(harmed), type="incoherent"),), (Missing(type="missing-major-auxiliary"),)


KINDS: dict[str, Callable[[_Case], Harm | None]] = {
    "wrong_default": _wrong_default,
    "invented_parameter": _invented_parameter,
    "wrong_exception": _wrong_exception,
    "missing_parameter": _missing_parameter,
    "irrelevant_sentence": _irrelevant,
    "repeated_sentence": _redundant,
    "unverifiable_claim": _unverifiable,
    "another_answer": _another_answer,
    "false_refusal": _false_refusal,
    "false_answer": _false_answer,
    "cut_off": _cut_off,
}


def construct(examples: pa.Table, config: ConstructedConfig) -> list[Planted]:
    """Plant one error in each of a choice of answers.

    Which kind is drawn by a stable hash among those that the example allows, but so that the right answer is the longer one
    about as often as not: length must not give it away.

    Args:
        examples: the instruction dataset; columns id, task, split, slice, messages, facts, source_ids and component are read.
        config: how many.

    Returns:
        By split and in a stable order; fewer than asked for where there are too few examples.
    """
    columns = ["id", "task", "split", "slice", "messages", "facts", "source_ids", "component"]
    rows = [row for row in examples.select(columns).to_pylist() if row["slice"] == "open_book"]
    made: list[Planted] = []
    for split, name, size in (("train", "train", config.train), ("validation", "held_out", config.held_out)):
        mine = [row for row in rows if row["split"] == split]
        mine.sort(key=lambda row: (stable_hash("plant", row["messages"]), row["id"]))
        made += _choose(mine, name, size, config)
    return made


def _choose(rows: list[dict[str, Any]], split: str, size: int, config: ConstructedConfig) -> list[Planted]:
    pools = _pools(rows)
    uses: dict[str, int] = dict.fromkeys(KINDS, 0)
    chosen: list[Planted] = []
    longer = 0  # right answers that are longer than their harmed copy, minus those that are shorter
    for row in rows:
        if len(chosen) >= size:
            break
        options = _options(row, split, pools, config)
        # The rarest kind so far, of those that lengthen what has been the shorter side.
        options.sort(key=lambda p: (_sign(p) * longer > 0, uses[p.error], stable_hash(p.error, row["messages"])))
        if options:
            chosen.append(options[0])
            uses[options[0].error] += 1
            longer += _sign(options[0])
    return chosen


def _sign(planted: Planted) -> int:
    return (len(planted.right) > len(planted.harmed)) - (len(planted.right) < len(planted.harmed))


def _pools(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    pools: dict[str, set[str]] = {
        name: set() for name in ("defaults", "parameters", "exceptions", "sentences", *_PROSE)
    }
    for row in rows:
        facts = json.loads(row["facts"])
        answer = json.loads(row["messages"])[-1]["content"]
        pools["defaults"] |= {facts["default"]} if facts.get("default") and len(facts["default"]) < 20 else set()
        # Names so short would be found by chance.
        pools["parameters"] |= {name for name in facts.get("parameters") or () if len(name) > 3}
        pools["exceptions"] |= set(facts.get("exceptions") or ())
        if row["task"] in _PROSE and answer.endswith(".") and len(answer) <= 160 and "\n" not in answer:
            pools[row["task"]].add(answer)
            pools["sentences"].add(answer)
    return {name: sorted(found, key=lambda text: (stable_hash("pool", text), text)) for name, found in pools.items()}


def _options(
    row: dict[str, Any], split: str, pools: Mapping[str, Sequence[str]], config: ConstructedConfig
) -> list[Planted]:
    messages = json.loads(row["messages"])
    answer, passage = messages[-1]["content"], passage_of(messages[0]["content"])
    if passage is None or len(answer) > config.longest_answer:
        return []
    case = _Case(row["task"], passage, answer, json.loads(row["facts"]), row["messages"], pools)
    prompt = json.dumps(messages[:-1], ensure_ascii=False)
    found = []
    for error, planter in KINDS.items():
        harm = planter(case)
        if harm is None or harm[0] == answer:
            continue
        value = SpansValue(spans=harm[1], missing=harm[2], corrected=answer)
        about = (row["component"], tuple(row["source_ids"]))
        found.append(Planted(row["id"], prompt, passage, answer, harm[0], error, value, split, *about))
    return found
