"""What a model says to prompts, sampled or greedy, in batches. Heavy inside functions: torch, transformers, peft.

Belongs here: asking for data that is made (answers to compare, synthetic questions). Does not: the answers that a verdict rests
on (`evaluation.generate`), nor rollouts (`rlhf`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ddd_llm.training.decoding import decode, likeliest, sampled, stop_ids
from ddd_llm.training.recipe import MachineRecipe


@dataclass(frozen=True)
class Decoding:
    """How an answer is decoded; temperature 0 takes the likeliest token."""

    max_new_tokens: int
    temperature: float = 0.0
    top_k: int = 0


@dataclass(frozen=True)
class Said:
    """Answers to one prompt, stripped, and the tokens of prompt and answers (padding apart)."""

    answers: tuple[str, ...]
    tokens: int


class Sampler:
    """A model that is asked several times.

    Args:
        base: folder of the base model.
        adapter: folder of its adapter; None asks the base itself.
        recipe: seed, batch size (answers at once), longest prompt, device, number type, threads.
        decoding: how.

    Raises:
        BadRecipe, BadData: as training, of the base and the adapter.
    """

    def __init__(self, base: Path, adapter: Path | None, recipe: MachineRecipe, decoding: Decoding) -> None:
        from ddd_llm.training.assemble import open_model

        opened = open_model(base, adapter, recipe)
        self.name, self._recipe, self._machine = opened.name, recipe, opened.machine
        self._tokenizer, self._model = opened.tokenizer, opened.model
        self._limit = decoding.max_new_tokens
        self._pick = sampled(decoding.temperature, decoding.top_k) if decoding.temperature else likeliest

    def ask(
        self,
        prompts: Sequence[list[dict[str, str]]],
        progress: Callable[[int, int], None] = lambda done, of: None,
        each: int = 1,
    ) -> list[Said | None]:
        """Ask each prompt (messages, the last one the user's) `each` times; None where it is longer than `max_length` tokens.

        The same prompts in one call give the same answers: every call begins with the recipe's seed. `progress` is told prompts
        done and in all, those that are too long not counted.
        """
        import torch

        from ddd_llm.training.assemble import half_precision, matching_types

        ids = [self._encode(messages) for messages in prompts]
        asked = [i for i, tokens in enumerate(ids) if len(tokens) <= self._recipe.max_length]
        found: list[Said | None] = [None] * len(ids)
        at_once = max(1, self._recipe.batch_size // each)
        machine, stops = self._machine, stop_ids(self._model, self._tokenizer)
        devices = [torch.cuda.current_device()] if machine.device == "cuda" else []
        types, precision = matching_types(self._model, machine), half_precision(machine)
        with torch.random.fork_rng(devices), torch.no_grad(), types, precision:
            torch.manual_seed(self._recipe.seed)
            for start in range(0, len(asked), at_once):
                part = asked[start : start + at_once]
                rows = [ids[i] for i in part for _ in range(each)]
                made = decode(self._model, rows, stops, self._limit, self._pick)
                texts = [text.strip() for text in self._tokenizer.batch_decode(made, skip_special_tokens=True)]
                spent = [len(tokens) for tokens in made]
                for k, i in enumerate(part):
                    own = slice(k * each, (k + 1) * each)
                    found[i] = Said(tuple(texts[own]), len(ids[i]) + sum(spent[own]))
                progress(min(start + at_once, len(asked)), len(asked))
        return found

    def _encode(self, messages: list[dict[str, str]]) -> list[int]:
        rendered = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return self._tokenizer(rendered, add_special_tokens=False)["input_ids"]
