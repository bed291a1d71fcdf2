"""Attacks on a model, and how often they work: per declared safety gap and model, before and after alignment.

Belongs here: the form of an attack, telling whether it worked, and rates with their intervals. Does not: decoding (`generate`),
or pairs that a model is trained on (`feedback.preferences`): an attack is never trained on.

An attack is a prompt with a rule that a program can check, so that a rate needs no judge: regular expressions that an unsafe
answer matches, or that every safe one does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ddd_llm.evaluation.statistics import Delta, mcnemar_exact, paired_delta, wilson_interval
from ddd_llm.feedback.preferences.adversarial import GAPS, SafetyGap, SafetyGaps
from ddd_llm.feedback.preferences.pairs import prompt_of
from ddd_llm.platform.inputs import load_yaml
from ddd_llm.platform.patterns import Patterns
from ddd_llm.platform.settings import Settings
from ddd_llm.store.canonical import canonical_json, digest
from ddd_llm.training.files import write_atomic

SUITE = "preferences/attacks.jsonl"
FOUND = "red_team/found.jsonl"
OUTCOMES_SCHEMA = pa.schema(
    [
        ("attack", pa.string()),
        ("gap", pa.string()),
        ("model", pa.string()),
        ("answer", pa.string()),
        ("worked", pa.bool_()),
    ]
)


class AttackError(ValueError):
    """A line of a suite is no attack. The message names file, line and field."""


class Attack(BaseModel):
    """One attack. It works where an answer matches one of `unsafe`, or (with `safe`) none of `safe`; case does not count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gap: str = Field(description="The declared safety gap it aims at.")
    prompt: str = Field(min_length=1)
    passage: str | None = Field(default=None, description="Documentation shown before the question.")
    unsafe: Patterns = Field(default=(), description="Regular expressions that betray an unsafe answer.")
    safe: Patterns = Field(default=(), description="Regular expressions of which a safe answer matches one.")
    found: bool = Field(default=False, description="Found on a model in use: it must never work again.")
    author: str = Field(min_length=1)

    @model_validator(mode="after")
    def _has_a_rule(self) -> Attack:
        if not (self.unsafe or self.safe):
            raise ValueError("give `unsafe` or `safe`: without a rule nothing can be told")
        return self

    @property
    def id(self) -> str:
        """Digest of what is asked."""
        return digest(canonical_json([self.gap, self.prompt, self.passage]))

    def worked(self, answer: str) -> bool:
        """Whether an answer is unsafe. An empty answer never is."""
        if not answer.strip():
            return False
        unsafe = any(re.search(pattern, answer, re.IGNORECASE) for pattern in self.unsafe)
        return unsafe or (bool(self.safe) and not any(re.search(p, answer, re.IGNORECASE) for p in self.safe))


def read_attacks(paths: Sequence[Path], gaps: Sequence[str]) -> list[Attack]:
    """Attacks of several suites (JSON Lines), each asked once, in their order.

    Raises:
        AttackError: a line that is no attack, or aims at a gap that is not declared.
    """
    found: dict[str, Attack] = {}
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip():
                continue
            try:
                attack = Attack.model_validate_json(line)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"])) or "line"
                raise AttackError(f"{path}:{number}: {where}: {first['msg']}") from error
            if attack.gap not in gaps:
                raise AttackError(f"{path}:{number}: gap: {attack.gap!r} is not declared ({', '.join(gaps)})")
            known = found.get(attack.id)
            found[attack.id] = attack if known is None or attack.found else known
    return list(found.values())


@dataclass(frozen=True)
class Rate:
    """How often attacks on one gap (None: on all) work against one model, with Wilson's 95% interval."""

    model: str
    gap: str | None
    attacks: int
    worked: int
    low: float
    high: float


@dataclass(frozen=True)
class Closure:
    """What alignment did to a gap (None: to all): paired over attacks, after minus before; below 0 the gap closes.

    `mended` and `broken`: attacks that worked before alone, and after alone; `p` of McNemar's exact test.
    """

    model: str
    gap: str | None
    change: Delta
    mended: int
    broken: int
    p: float


def rates(attacks: Sequence[Attack], worked: Mapping[str, Sequence[bool]]) -> list[Rate]:
    """Success rates per model and gap, the whole suite first.

    Args:
        attacks: the suite.
        worked: by model, for each attack whether it worked.
    """
    rows = []
    for model, hits in worked.items():
        for gap, places in _by_gap(attacks).items():
            count = sum(hits[i] for i in places)
            rows.append(Rate(model, gap, len(places), count, *wilson_interval(count, len(places))))
    return rows


def closures(attacks: Sequence[Attack], worked: Mapping[str, Sequence[bool]], before: str) -> list[Closure]:
    """What each model changed beside the model `before`, per gap, the whole suite first."""
    rows = []
    for model, hits in worked.items():
        for gap, places in _by_gap(attacks).items() if model != before else ():
            old, new = [worked[before][i] for i in places], [hits[i] for i in places]
            mended = sum(a and not b for a, b in zip(old, new, strict=True))
            broken = sum(b and not a for a, b in zip(old, new, strict=True))
            rows.append(Closure(model, gap, paired_delta(old, new), mended, broken, mcnemar_exact(mended, broken)))
    return rows


def _by_gap(attacks: Sequence[Attack]) -> dict[str | None, list[int]]:
    # Places of the attacks on each gap; None: of all.
    found: dict[str | None, list[int]] = {None: list(range(len(attacks)))}
    for gap in sorted({attack.gap for attack in attacks}):
        found[gap] = [i for i, attack in enumerate(attacks) if attack.gap == gap]
    return found


def declared(settings: Settings) -> tuple[SafetyGap, ...]:
    """The declared gaps. Raises InputError."""
    return load_yaml(settings.assets / GAPS, SafetyGaps).gaps


def suites(settings: Settings) -> list[Path]:
    """Files of attacks, of those that are there: the project's, and those added to this installation."""
    return [path for path in (settings.assets / SUITE, settings.home / FOUND) if path.is_file()]


def add_found(attacks: Sequence[Attack], settings: Settings) -> int:
    """Note attacks as found on a model in use; those known already are passed over. Returns how many are new."""
    path = settings.home / FOUND
    old = path.read_bytes() if path.is_file() else b""
    known = {attack.id for attack in read_attacks([path], [gap.id for gap in declared(settings)])} if old else set()
    new = [attack.model_copy(update={"found": True}) for attack in attacks if attack.id not in known]
    if new:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, old + b"".join(attack.model_dump_json().encode() + b"\n" for attack in new))
    return len(new)


def prompts_table(attacks: Sequence[Attack]) -> pa.Table:
    """What the models are asked: columns `id` and `prompt`, as `generate` takes them."""
    return pa.table(
        {"id": [attack.id for attack in attacks], "prompt": [prompt_of(a.passage, a.prompt) for a in attacks]}
    )


def judge(attacks: Sequence[Attack], answers: Mapping[str, Sequence[str]]) -> dict[str, list[bool]]:
    """By model, for each attack whether its answer is unsafe."""
    return {
        model: [a.worked(answer) for a, answer in zip(attacks, said, strict=True)] for model, said in answers.items()
    }


def outcomes(
    attacks: Sequence[Attack], answers: Mapping[str, Sequence[str]], worked: Mapping[str, Sequence[bool]]
) -> pa.Table:
    """A row per model and attack, with the answer."""
    rows = [
        {"attack": attack.id, "gap": attack.gap, "model": model, "answer": answer, "worked": hit}
        for model in answers
        for attack, answer, hit in zip(attacks, answers[model], worked[model], strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=OUTCOMES_SCHEMA)
