"""A causal model with one score per token: high where the text up to there is right.

Belongs here: the model, its trainer and its losses. Does not: the order of events (`run`). Heavy: imports torch and transformers.

A causal model sees nothing after a token, so the score at a segment's end judges the segment in the light of what came before,
as Wu et al. 2023 train theirs (section 4.2). The holistic baseline is the same model with Bradley and Terry's loss on the last
token of two answers: -log sigmoid(score of the better - score of the other).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer

from ddd_llm.training.assemble import half_precision
from ddd_llm.training.batching import BatchPlan
from ddd_llm.training.errors import BadRecipe
from ddd_llm.training.lora import lora_config
from ddd_llm.training.machine import Machine
from ddd_llm.training.reward.data import Answer
from ddd_llm.training.reward.recipe import RewardRecipe
from ddd_llm.training.trainer import PlanSampler

IGNORED = -1.0


def fresh_model(base: Path, config: Any, machine: Machine, recipe: RewardRecipe) -> Any:
    """The base model (or its first layers) with an adapter and a score head, both new; only they are trained.

    Raises:
        BadRecipe: the base has fewer layers than the recipe asks for.
    """
    from peft import get_peft_model
    from transformers import AutoModelForTokenClassification, set_seed

    set_seed(recipe.seed)
    config.num_labels = 1
    if recipe.layers is not None:
        if recipe.layers > config.num_hidden_layers:
            raise BadRecipe(f"reward_models.layers is {recipe.layers}, the base model has {config.num_hidden_layers}")
        config.num_hidden_layers = recipe.layers
    config.use_cache = False
    config.classifier_dropout = 0.0
    model = AutoModelForTokenClassification.from_pretrained(
        base,
        config=config,
        dtype=torch.bfloat16 if machine.dtype == "bf16" else torch.float32,
        trust_remote_code=False,
        use_safetensors=True,
        local_files_only=True,
    )
    model.config.name_or_path = base.name
    head = ["score"]  # trained whole
    config = lora_config(recipe.lora, modules_to_save=head, exclude_modules=head, task_type="TOKEN_CLS")
    return get_peft_model(model, config)


def as_sequences(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Rows of a dataset of single answers: target 1.0 right, 0.0 wrong at segment ends, `IGNORED` elsewhere."""
    rows = []
    for number, answer in enumerate(answers):
        targets = [IGNORED] * len(answer.input_ids)
        for target in answer.targets:
            targets[target.token] = 0.0 if target.wrong else 1.0
        rows.append({"sequences": [answer.input_ids], "targets": [targets], "row": number})
    return rows


def as_pairs(pairs: Sequence[Any]) -> list[dict[str, Any]]:
    """Rows of a dataset of pairs (`EncodedPair`): a target on the last token of each answer, the better one first."""
    rows = []
    for number, pair in enumerate(pairs):
        sequences = [pair.prompt_ids + pair.chosen_ids, pair.prompt_ids + pair.rejected_ids]
        targets = [[IGNORED] * (len(ids) - 1) + [value] for ids, value in zip(sequences, (1.0, 0.0), strict=True)]
        rows.append({"sequences": sequences, "targets": targets, "row": number})
    return rows


class Collator:
    """Rows to tensors, padded on the right; of pairs all better answers come first, then all others."""

    def __init__(self, pad_token_id: int) -> None:
        self._pad = pad_token_id

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        sides = range(len(rows[0]["sequences"]))
        sequences = [row["sequences"][side] for side in sides for row in rows]
        targets = [row["targets"][side] for side in sides for row in rows]
        width = max(map(len, sequences))
        return {
            "input_ids": torch.tensor([ids + [self._pad] * (width - len(ids)) for ids in sequences]),
            "attention_mask": torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids in sequences]),
            "targets": torch.tensor([t + [IGNORED] * (width - len(t)) for t in targets]),
            "row": torch.tensor([row["row"] for row in rows]),
        }


def segment_loss(scores: torch.Tensor, targets: torch.Tensor, error_weight: float) -> torch.Tensor:
    """Binary cross entropy over segment ends, errors weighing `error_weight` times as much; scores and targets (B, T)."""
    counted = targets != IGNORED
    chosen, wanted = scores[counted], targets[counted]
    weight = torch.where(wanted > 0.5, 1.0, error_weight)
    return torch.nn.functional.binary_cross_entropy_with_logits(chosen, wanted, weight, reduction="sum") / weight.sum()


def pair_loss(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Bradley and Terry's loss; scores and targets (2 B, T), the better answers first."""
    better, other = scores[targets != IGNORED].chunk(2)
    return -torch.nn.functional.logsigmoid(better - other).mean()


class ScoreTrainer(Trainer):
    """Trainer of scores that follows a plan and remembers which rows went through the loss.

    Args:
        plan: the order of training.
        machine: what was chosen for this machine.
        error_weight: of errors in the loss on segments; None trains on pairs.
        kwargs: Trainer's.
    """

    def __init__(self, *, plan: BatchPlan, machine: Machine, error_weight: float | None, **kwargs: Any) -> None:
        self._plan = plan
        self._machine = machine
        self._error_weight = error_weight
        self.visited: list[int] = []
        super().__init__(**kwargs)
        # See `assemble.make_trainer`.
        torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]

    def _get_train_sampler(self, train_dataset: Any = None) -> PlanSampler:
        return PlanSampler(self._plan)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Loss of one batch of `Collator`."""
        self.visited += inputs["row"].tolist()
        with half_precision(self._machine):
            scores = score_tokens(model, inputs)
        if self._error_weight is None:
            return pair_loss(scores, inputs["targets"])
        return segment_loss(scores, inputs["targets"], self._error_weight)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """Save adapter and head alone, as `ResponseTrainer` does."""
        folder = output_dir or str(self.args.output_dir)
        if self.args.should_save:
            os.makedirs(folder, exist_ok=True)
            model: Any = self.model
            model.save_pretrained(folder, state_dict=state_dict, safe_serialization=True)


def score_tokens(model: Any, inputs: dict[str, Any]) -> torch.Tensor:
    """(B, T) float32 scores of a batch."""
    given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    return model(**given, use_cache=False).logits[..., 0].float()


@torch.no_grad()
def scores_of(
    model: Any, rows: Sequence[dict[str, Any]], pad_token_id: int, machine: Machine, size: int
) -> list[list[float]]:
    """Scores at the targets of each row, in the row's order; draws no random number."""
    was_training = model.training
    model.eval()
    collate = Collator(pad_token_id)
    device = next(model.parameters()).device
    found: list[list[float]] = []
    with half_precision(machine):
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            batch = {name: value.to(device) for name, value in collate(part).items()}
            scores, counted = score_tokens(model, batch), batch["targets"] != IGNORED
            sides = len(part[0]["sequences"])
            for number in range(len(part)):
                mine = [side * len(part) + number for side in range(sides)]
                found.append([value for i in mine for value in scores[i][counted[i]].tolist()])
    model.train(was_training)
    return found
