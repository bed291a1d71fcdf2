"""Reward models as rewards: a score at the end of every segment, turned into what a policy can earn.

Belongs here: loading a trained reward model and asking it. Does not: training it (`training.reward`). Heavy: imports torch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ddd_llm.feedback.segments import segment_end_tokens, segmenter
from ddd_llm.training.adapters import read_adapter
from ddd_llm.training.assemble import half_precision, matching_types
from ddd_llm.training.base_model import BaseModelInfo
from ddd_llm.training.errors import BadData
from ddd_llm.training.machine import Machine
from ddd_llm.training.reward.model import fresh_model, score_tokens
from ddd_llm.training.reward.recipe import RewardRecipe
from ddd_llm.training.rlhf.answers import SampledAnswer
from ddd_llm.training.rlhf.recipe import RewardSpec
from ddd_llm.training.rlhf.rewards import Scored

_PLACES = {"score_threshold": 0.0, "score_mean": 0.0, "score_std": 1.0}


class ModelReward:
    """A reward model, asked about sampled answers.

    Args:
        folder: what a reward model's training left: adapter, recipe.json and metrics.json.
        base_folder: of the base model.
        base: which one it is; the reward model must have been trained on it.
        spec: how its score becomes a reward.
        machine: what was chosen for this machine.
        pad_token_id: of the tokenizer.
        size: answers per forward pass.

    Raises:
        BadData: files are missing, or the model belongs to another base.
    """

    def __init__(
        self,
        folder: Path,
        base_folder: Path,
        base: BaseModelInfo,
        spec: RewardSpec,
        machine: Machine,
        pad_token_id: int,
        size: int,
    ) -> None:
        try:
            self.recipe = RewardRecipe.model_validate_json((folder / "recipe.json").read_bytes())
            measured = json.loads((folder / "metrics.json").read_bytes())
        except (OSError, ValueError) as error:
            raise BadData(f"The reward model {folder.name} cannot be read ({type(error).__name__})") from error
        self._spec = spec
        self._measured = {
            name: default if measured.get(f"held_out_{name}") is None else float(measured[f"held_out_{name}"])
            for name, default in _PLACES.items()
        }
        self._machine, self._pad, self._size = machine, pad_token_id, size
        self._model = _load(folder / "adapter", base_folder, base, machine, self.recipe)

    def __call__(self, answers: Sequence[SampledAnswer]) -> list[list[Scored]]:
        granularity = self.recipe.kind.granularity
        places = []
        for answer in answers:
            if granularity is None:
                # It was trained on the answer's last token, the end of the turn where there is one.
                places.append([(0, len(answer.text), len(answer.ids) - 1)])
                continue
            cut = segmenter(granularity.segmenter)(answer.text)
            ends = segment_end_tokens(answer.offsets, cut, answer.text, granularity.segmenter == "sequence")
            places.append([(a, b, t) for (a, b), t in zip(cut, ends, strict=True) if t is not None])
        scores = self._scores(answers)
        return [
            [Scored(token, self._form(row[token]), start, end) for start, end, token in segments]
            for row, segments in zip(scores, places, strict=True)
        ]

    def _form(self, value: float) -> float:
        if self._spec.form == "sign":
            return 1.0 if value >= self._measured["score_threshold"] else -1.0
        return (value - self._measured["score_mean"]) / max(self._measured["score_std"], 1e-6)

    @torch.no_grad()
    def _scores(self, answers: Sequence[SampledAnswer]) -> list[list[float]]:
        # One score per token of the answer.
        device = next(self._model.parameters()).device
        rows = [answer.prompt_ids + answer.ids for answer in answers]
        found: list[list[float]] = []
        with matching_types(self._model, self._machine), half_precision(self._machine):
            for start in range(0, len(rows), self._size):
                part = rows[start : start + self._size]
                width = max(map(len, part))
                batch = {
                    "input_ids": torch.tensor([ids + [self._pad] * (width - len(ids)) for ids in part], device=device),
                    "attention_mask": torch.tensor(
                        [[1] * len(ids) + [0] * (width - len(ids)) for ids in part], device=device
                    ),
                }
                scores = score_tokens(self._model, batch).cpu()
                for i, answer in enumerate(answers[start : start + self._size]):
                    first = len(answer.prompt_ids)
                    found.append(scores[i, first : first + len(answer.ids)].tolist())
        return found


def _load(folder: Path, base_folder: Path, base: BaseModelInfo, machine: Machine, recipe: RewardRecipe) -> Any:
    from peft import set_peft_model_state_dict
    from transformers import AutoConfig

    _, weights = read_adapter(folder, base, "reward model")
    config = AutoConfig.from_pretrained(base_folder, trust_remote_code=False, local_files_only=True)
    model = fresh_model(base_folder, config, machine, recipe).to(machine.device)
    report = set_peft_model_state_dict(model, weights)
    if report.unexpected_keys:
        raise BadData("The reward model has weights that the base model has no place for")
    model.requires_grad_(False)
    return model.eval()
