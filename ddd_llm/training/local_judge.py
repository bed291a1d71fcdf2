"""The base model as a judge of two answers: which letter it would go on with. Heavy: imports torch.

Belongs here: that judge. Does not: the question and what becomes of verdicts (`feedback.preferences.judge`).
"""

from __future__ import annotations

from pathlib import Path

import torch

from ddd_llm.feedback.labels import Item
from ddd_llm.feedback.preferences.judge import Answer, JudgeError, question
from ddd_llm.training.assemble import open_model
from ddd_llm.training.recipe import MachineRecipe

_BEGUN = "VERDICT:"
_LETTERS: tuple[Answer, ...] = ("A", "B")


class LocalJudge:
    """Compares by the likelier of ` A` and ` B` after `VERDICT:`; draws no random number and never says tie.

    Args:
        base: folder of the base model.
        recipe: device, number type, threads and the longest question.

    Raises:
        BadRecipe: no base model there, or the machine lacks what is asked for.
    """

    def __init__(self, base: Path, recipe: MachineRecipe) -> None:
        opened = open_model(base, None, recipe)
        self.name, self._tokenizer, self._model = opened.name, opened.tokenizer, opened.model
        self._most = max(recipe.max_length, int(getattr(opened.config, "max_position_embeddings", 0) or 0))
        ids = [self._tokenizer(f" {letter}", add_special_tokens=False)["input_ids"] for letter in _LETTERS]
        self._letters = [tokens[-1] for tokens in ids]

    @torch.no_grad()
    def __call__(self, item: Item, a: str, b: str) -> Answer:
        asked = self._tokenizer.apply_chat_template(question(item, a, b), tokenize=False, add_generation_prompt=True)
        ids = self._tokenizer(asked + _BEGUN, add_special_tokens=False, return_tensors="pt")["input_ids"]
        if ids.shape[1] > self._most:
            raise JudgeError(
                "judge_question_too_long", f"the question has {ids.shape[1]} tokens, the model takes {self._most}"
            )
        logits = self._model(ids.to(self._model.device), use_cache=False).logits[0, -1, self._letters].float()
        return _LETTERS[int(logits.argmax())]
