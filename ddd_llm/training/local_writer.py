"""The base model as the writer of synthetic examples. Heavy when it is made: torch, transformers.

Belongs here: that writer. Does not: what is asked of it and what becomes of it (`instructions.synthetic`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ddd_llm.instructions.writers import Shown, SyntheticConfig, Written, messages_for
from ddd_llm.training.recipe import MachineRecipe
from ddd_llm.training.sampler import Decoding, Sampler


class LocalWriter:
    """Writes greedily, several documents at a time.

    Raises:
        BadRecipe: no base model there, or the machine lacks what is asked for.
    """

    at_once = 8

    def __init__(self, base: Path, config: SyntheticConfig) -> None:
        recipe = MachineRecipe(max_length=max(1024, 4 * config.passage_tokens), batch_size=self.at_once)
        self._sampler = Sampler(base, None, recipe, Decoding(config.answer_tokens))
        self.name = self._sampler.name

    def __call__(self, shown: Sequence[Shown]) -> list[Written]:
        said = self._sampler.ask([messages_for(document.passage) for document in shown])
        return [Written(None, 0, "too_long") if one is None else Written(one.answers[0], one.tokens) for one in said]
