"""Two sampled answers of a model to each of some prompts: what people, or a machine in their place, compare.

Belongs here: choosing prompts, sampling, and items of it. Does not: who judges them (`feedback.preferences`).
Heavy inside functions: torch, transformers, peft.
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
    answers = _sample(base, adapter, [row["messages"] for row in chosen], recipe, progress)
    items, passed_over = [], Counter[str]()
    for row, said in zip(chosen, answers, strict=True):
        if said is None:
            passed_over["too_long"] += 1
        elif said[0].strip() == said[1].strip() or not all(text.strip() for text in said):
            passed_over["same_answers"] += 1
        elif (item := _item(row, said)) is None:
            passed_over["other_form"] += 1
        else:
            items.append(item)
    return SampledItems(tuple(sorted(items, key=lambda item: item.id)), dict(sorted(passed_over.items())))


def _prompts(examples: pa.Table, most: int) -> list[dict[str, Any]]:
    rows = [row for row in examples.to_pylist() if row["split"] == "train"]
    rows.sort(key=lambda row: (stable_hash("sampled", row["messages"]), row["id"]))
    return rows[:most]


def _item(row: dict[str, Any], answers: tuple[str, str]) -> Item | None:
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
        responses=answers,
        source_ids=tuple(row["source_ids"] or ()),
    )


def _sample(
    base: Path, adapter: Path, messages: Sequence[str], recipe: SamplingRecipe, progress: Callable[[int, int], None]
) -> list[tuple[str, str] | None]:
    import torch
    from transformers import AutoConfig, GenerationConfig

    from ddd_llm.training.adapters import load_adapter
    from ddd_llm.training.assemble import base_info, half_precision, load_model, load_tokenizer, matching_types
    from ddd_llm.training.machine import choose

    config = AutoConfig.from_pretrained(base, trust_remote_code=False, local_files_only=True)
    machine = choose(recipe, config, 1)
    torch.set_num_threads(machine.threads)
    tokenizer = load_tokenizer(base)
    model = load_adapter(load_model(base, config, machine), adapter, base_info(base), trainable=False)
    model = model.to(machine.device).eval()
    how = GenerationConfig(
        do_sample=True,
        temperature=recipe.temperature,
        top_k=recipe.top_k,
        max_new_tokens=recipe.max_new_tokens,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        use_cache=True,
    )
    ids = []
    for text in messages:
        rendered = tokenizer.apply_chat_template(json.loads(text)[:-1], tokenize=False, add_generation_prompt=True)
        ids.append(tokenizer(rendered, add_special_tokens=False)["input_ids"])
    asked = [i for i, tokens in enumerate(ids) if len(tokens) <= recipe.max_length]
    found: list[tuple[str, str] | None] = [None] * len(ids)
    at_once = max(1, recipe.batch_size // 2)
    devices = [torch.cuda.current_device()] if machine.device == "cuda" else []
    with torch.random.fork_rng(devices), torch.no_grad(), matching_types(model, machine), half_precision(machine):
        torch.manual_seed(recipe.seed)
        for start in range(0, len(asked), at_once):
            part = asked[start : start + at_once]
            rows = [ids[i] for i in part for _ in range(2)]
            width = max(map(len, rows))
            batch = torch.tensor([[tokenizer.pad_token_id] * (width - len(r)) + r for r in rows], device=machine.device)
            mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows], device=machine.device)
            made = model.generate(input_ids=batch, attention_mask=mask, generation_config=how)[:, width:]
            texts = tokenizer.batch_decode(made, skip_special_tokens=True)
            for k, i in enumerate(part):
                found[i] = (texts[2 * k].strip(), texts[2 * k + 1].strip())
            progress(min(start + at_once, len(asked)), len(asked))
    return found
