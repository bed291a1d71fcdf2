"""Two sampled answers of a model to each of some prompts: what people, or a machine in their place, compare.

Belongs here: choosing prompts, and items of the answers. Does not: decoding (`sampler`), or who judges them
(`feedback.preferences`). Heavy inside functions: torch, transformers, peft.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from ddd_llm.feedback.labels import Item
from ddd_llm.instructions.prompts import passage_of, question_of, stable_hash
from ddd_llm.training.recipe import MachineRecipe
from ddd_llm.training.sampler import Decoding, Sampler

GUIDELINE = "answer-preference"
"""The guideline that the items come under."""


class SamplingRecipe(MachineRecipe):
    """The recipe's `feedback` section: what the supervised model is asked, for people to compare."""

    batch_size: int = Field(default=16, ge=1, description="Answers sampled together.")
    prompts: int = Field(default=24, ge=0, description="Prompts of the train split, by stable hash; 0 samples nothing.")
    max_new_tokens: int = Field(default=64, ge=2, description="Longest answer.")
    temperature: float = Field(default=0.9, gt=0, description="Higher makes the two answers differ more.")
    top_k: int = Field(default=50, ge=0)


@dataclass(frozen=True)
class SampledItems:
    """Items to compare, and counts of prompts that gave none: same_answers, too_long, other_form."""

    items: tuple[Item, ...]
    passed_over: dict[str, int]


def sample_items(
    base: Path, adapter: Path, examples: pa.Table, recipe: SamplingRecipe, progress: Callable[[int, int], None]
) -> SampledItems:
    """Ask the supervised model, twice each.

    Args:
        base: folder of the base model.
        adapter: folder of the supervised adapter.
        examples: the instruction dataset.
        recipe: the settings.
        progress: told prompts done and in all.

    Raises:
        BadRecipe, BadData: as training, of the base and the adapter.
    """
    chosen = _prompts(examples, recipe.prompts)
    if not chosen:
        return SampledItems((), {})
    prompts = [json.loads(row["messages"])[:-1] for row in chosen]
    how = Decoding(recipe.max_new_tokens, recipe.temperature, recipe.top_k)
    answers = Sampler(base, adapter, recipe, how).ask(prompts, progress, each=2)
    items, passed_over = [], Counter[str]()
    for row, said in zip(chosen, answers, strict=True):
        if said is None:
            passed_over["too_long"] += 1
        elif said.answers[0] == said.answers[1] or not all(said.answers):
            passed_over["same_answers"] += 1
        elif (item := _item(row, said.answers)) is None:
            passed_over["other_form"] += 1
        else:
            items.append(item)
    return SampledItems(tuple(sorted(items, key=lambda item: item.id)), dict(sorted(passed_over.items())))


def _prompts(examples: pa.Table, most: int) -> list[dict[str, Any]]:
    rows = [row for row in examples.to_pylist() if row["split"] == "train"]
    rows.sort(key=lambda row: (stable_hash("sampled", row["messages"]), row["id"]))
    return rows[:most]


def _item(row: dict[str, Any], answers: Sequence[str]) -> Item | None:
    prompt = json.loads(row["messages"])[:-1]
    if len(prompt) != 1:
        return None
    asked = prompt[0]["content"]
    return Item(
        guideline=GUIDELINE,
        kind="preference",
        slice=row["task"] or "",
        prompt=question_of(asked),
        passage=passage_of(asked),
        responses=tuple(answers),
        source_ids=tuple(row["source_ids"] or ()),
    )
