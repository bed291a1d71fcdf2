"""Whether more examples would help: models trained on nested parts of what the supervised model was trained on, and their loss on
held-out answers.

Belongs here: which part, what is measured, and the gain of each step. Does not: training (`training.sft`), the page
(`curve_assets`). Heavy inside functions: torch, transformers, peft.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, field_validator

from ddd_llm.evaluation.generate import GenerationConfig, as_model, load_model
from ddd_llm.evaluation.likelihood import mean_nats, read
from ddd_llm.evaluation.statistics import Delta, paired_delta
from ddd_llm.instructions.prompts import stable_hash
from ddd_llm.training.examples import RefusedError, encode, parse_messages
from ddd_llm.training.recipe import SftRecipe

Fraction = Annotated[float, Field(gt=0, lt=1)]
LOSSES_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("component", pa.string()),
        ("examples", pa.int64()),  # that the model was trained on; 0 is the base
        ("nats", pa.float64()),  # per token of the answer
    ]
)


class CurveConfig(BaseModel):
    """The recipe's `learning_curve` section."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fractions: tuple[Fraction, ...] = Field(
        default=(1 / 32, 1 / 8),
        description="Parts of the examples that the supervised model was trained on; each is trained on anew, with as many steps "
        "fewer. None: the curve has the base and the supervised model alone.",
    )
    held_out: int = Field(default=96, ge=8, description="Validation examples whose answers are measured.")
    batch_size: int = Field(default=16, ge=1, description="Examples measured together.")

    @field_validator("fractions")
    @classmethod
    def _rise(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        if list(fractions) != sorted(set(fractions)):
            raise ValueError("fractions rise, and none stands twice")
        return fractions


@dataclass(frozen=True)
class Part:
    """Examples to train on, and with which recipe."""

    ids: tuple[str, ...]
    recipe: SftRecipe


def parts(examples: pa.Table, trained_on: Sequence[str], recipe: SftRecipe, config: CurveConfig) -> list[Part]:
    """Nested parts of what a model was trained on, smallest first; steps shrink with the examples, so that each is seen as often.

    Args:
        examples: the instruction dataset; columns `id` and `messages`.
        trained_on: ids that the supervised model was trained on.
        recipe: how it was trained.
        config: which parts.
    """
    known = set(trained_on)
    rows = [row for row in examples.select(["id", "messages"]).to_pylist() if row["id"] in known]
    rows.sort(key=lambda row: (stable_hash("curve", row["messages"]), row["id"]))
    least = recipe.batch_size * recipe.gradient_accumulation * recipe.processes
    sizes = {max(least, round(fraction * len(rows))) for fraction in config.fractions}
    found = []
    for size in sorted(size for size in sizes if size < len(rows)):
        steps = max(1, round(recipe.steps * size / len(rows)))
        changed = {
            "steps": steps,
            "warmup_steps": min(recipe.warmup_steps, steps - 1),
            "eval_every": 0,
            "eval_examples": 0,
        }
        found.append(
            Part(tuple(row["id"] for row in rows[:size]), SftRecipe.model_validate(recipe.model_dump() | changed))
        )
    return found


def losses(
    base: Path,
    adapters: Mapping[int, Path],
    examples: pa.Table,
    max_length: int,
    config: CurveConfig,
    decoding: GenerationConfig,
    progress: Callable[[int, int], None] | None = None,
) -> pa.Table:
    """What held-out answers cost each model.

    Args:
        base: folder of the base model, which is measured too.
        adapters: by number of examples trained on.
        examples: the instruction dataset; the validation split is read.
        max_length: tokens; a longer example is passed over.
        config: how many examples.
        decoding: dtype and device are taken from it.
        progress: told readings done and in all.

    Returns:
        A table of LOSSES_SCHEMA; every model has the same examples.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    rows = [row for row in examples.to_pylist() if row["split"] == "validation"]
    rows.sort(key=lambda row: (stable_hash("curve", row["messages"]), row["id"]))
    asked: list[tuple[dict[str, Any], Any]] = []
    for row in rows:
        if len(asked) == config.held_out:
            break
        try:
            asked.append((row, encode(row["id"], parse_messages(row["messages"]), tokenizer, max_length)))
        except RefusedError:
            continue
    asked.sort(key=lambda one: len(one[1].input_ids))
    names = {size: f"after_{size}" for size in adapters}
    model = load_model(base, {names[size]: folder for size, folder in adapters.items()}, decoding)
    found: list[dict[str, Any]] = []
    for size in (0, *adapters):
        with as_model(model, names.get(size), bool(adapters)):
            for start in range(0, len(asked), config.batch_size):
                part = asked[start : start + config.batch_size]
                for (row, _), told in zip(part, read(model, [example for _, example in part]), strict=True):
                    head = {"id": row["id"], "component": row["component"]}
                    found.append({**head, "examples": size, "nats": mean_nats(told)})
                if progress:
                    progress(len(found), len(asked) * (1 + len(adapters)))
    found.sort(key=lambda row: (row["examples"], row["id"]))
    return pa.Table.from_pylist(found, schema=LOSSES_SCHEMA)


@dataclass(frozen=True)
class Gain:
    """What going from `before` to `after` examples took off the loss, nats per token, above 0 where more helped.

    `per_doubling` divides by the number of doublings; it is None from the base, which has no examples to double.
    """

    before: int
    after: int
    gain: Delta
    per_doubling: tuple[float, float, float] | None


def nats_by_size(found: pa.Table) -> dict[int, list[float]]:
    """Losses per number of examples, both in the order of LOSSES_SCHEMA's table: by number, then by id."""
    nats: dict[int, list[float]] = {}
    for size, value in zip(found["examples"].to_pylist(), found["nats"].to_pylist(), strict=True):
        nats.setdefault(size, []).append(value)
    return nats


def gains(found: pa.Table) -> list[Gain]:
    """Gain of each step of the curve, paired over examples, with a bootstrap interval over components."""
    nats = nats_by_size(found)
    clusters = found["component"].to_pylist()[: len(next(iter(nats.values()), []))]
    steps: list[Gain] = []
    for before, after in pairwise(nats):
        # paired_delta says second minus first: less loss is the gain.
        change = paired_delta(nats[after], nats[before], clusters=clusters)
        doublings = math.log2(after / before) if before else 0.0
        each = (change.delta / doublings, change.low / doublings, change.high / doublings) if before else None
        steps.append(Gain(before, after, change, each))
    return steps
