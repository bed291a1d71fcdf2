"""TRL's DPOTrainer on our order of pairs, with reference log-likelihoods computed beforehand in the very batches of training.

Belongs here: the trainer class and log-likelihoods of answers. Does not: the order of events (`dpo`). Heavy: imports torch
and trl.

The reference is the supervised model: the adapter that training starts from, before its first step. TRL would keep a copy of it
and run every batch through it as well; computed once, and in the same batches, so that rounding is the same, the log-ratio of the
first step is exactly 0.
"""

from __future__ import annotations

import functools
import os
import types
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from transformers import Trainer
from trl import DPOTrainer  # pyright: ignore[reportPrivateImportUsage]
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.utils import FusedCausalLMOutput

from ddd_llm.training.assemble import half_precision
from ddd_llm.training.examples import IGNORED
from ddd_llm.training.machine import Machine
from ddd_llm.training.preferences import EncodedPair
from ddd_llm.training.trainer import SCALED_HEADS

_REFERENCES = ("ref_chosen_logps", "ref_rejected_logps")


class PairCollator:
    """TRL's collator, which would drop the position of each pair."""

    def __init__(self, pad_token_id: int) -> None:
        self._collate = DataCollatorForPreference(pad_token_id=pad_token_id, max_length=None)

    def __call__(self, pairs: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {**self._collate(list(pairs)), "row": torch.tensor([pair["row"] for pair in pairs])}


def score_answers_only(model: Any, temperature: float = 1.0) -> None:
    """Make a causal model that TRL gave its fused head compute vocabulary logits at answer positions only.

    On a CPU TRL scores every position, prompts and padding included, in float32 tiles: most of a step's time. No number changes
    but by rounding. Models that scale or cap their logits after the head are left as they are. `temperature`: the one that TRL's
    head was given; logits are divided by it.
    """
    config = model.config.get_text_config()
    if any(getattr(config, name, None) not in (None, False, 1.0) for name in SCALED_HEADS):
        return
    fused = model.forward

    @functools.wraps(type(model).forward)
    def forward(self: Any, *args: Any, fused_lm_head: bool = False, labels: Any = None, **kwargs: Any) -> Any:
        if not fused_lm_head:
            return fused(*args, fused_lm_head=False, labels=labels, **kwargs)
        hidden = self.base_model(*args, **kwargs).last_hidden_state[:, :-1]
        targets = labels[:, 1:]
        counted = targets != IGNORED
        logits = self.get_output_embeddings()(hidden[counted]).float() / temperature
        everything = torch.log_softmax(logits, -1)
        chosen = everything.gather(1, targets[counted][:, None])[:, 0]
        with torch.no_grad():
            entropy = -(everything.exp() * everything).sum(-1)
            best = logits.argmax(-1) == targets[counted]

        def spread(values: torch.Tensor) -> torch.Tensor:
            return values.new_zeros(counted.shape).masked_scatter(counted, values)

        return FusedCausalLMOutput(
            loss=-chosen.mean(),
            log_probs=spread(chosen),
            entropy=spread(entropy),
            mean_logits=spread(logits.detach().mean(-1)),
            is_top1=spread(best),
        )

    model.forward = types.MethodType(forward, model)


def as_row(pair: EncodedPair, row: int) -> dict[str, Any]:
    """A pair as the collator takes it."""
    ids = {"prompt_ids": pair.prompt_ids, "chosen_ids": pair.chosen_ids, "rejected_ids": pair.rejected_ids}
    return {**ids, "row": row}


class PreferenceTrainer(DPOTrainer):
    """DPOTrainer that takes rows with reference log-likelihoods in, in their order.

    Args:
        machine: what was chosen for this machine.
        kwargs: DPOTrainer's; `model` is a PeftModel, whose adapter is the reference.

    Attributes:
        visited: positions of the pairs computed since somebody last cleared it, on this process.
    """

    def __init__(self, *, machine: Machine, **kwargs: Any) -> None:
        self._machine = machine
        self.visited: list[int] = []
        super().__init__(**kwargs)
        model: Any = self.model
        if "ref" in model.peft_config:  # a copy of the adapter that nothing asks any more
            model.delete_adapter("ref")
        if machine.device == "cpu":
            score_answers_only(model.get_base_model())
        # See `assemble.make_trainer`.
        torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]

    def refer_to(self, reference: Sequence[tuple[float, float]]) -> None:
        """Set the reference's log-likelihoods of (chosen, rejected), one per row of the dataset."""
        for name, values in zip(_REFERENCES, zip(*reference, strict=True), strict=True):
            data: Any = self.train_dataset
            self.train_dataset = data.add_column(name, list(values))

    def _prepare_dataset(self, dataset: Any, *args: Any) -> Any:
        return dataset

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        return dataset

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return torch.utils.data.SequentialSampler(train_dataset or self.train_dataset)

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = ["prompt_ids", "chosen_ids", "rejected_ids", "row", *_REFERENCES]

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """DPO's loss, as TRL computes it, in the machine's number type."""
        self.visited += inputs.pop("row").tolist()
        with half_precision(self._machine):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """Save the adapter alone, as `ResponseTrainer` does."""
        folder = output_dir or str(self.args.output_dir)
        if self.args.should_save:
            os.makedirs(folder, exist_ok=True)
            model: Any = self.model
            model.save_pretrained(folder, state_dict=state_dict, safe_serialization=True)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        Trainer._save_checkpoint(self, model, trial)  # without TRL's model card, which holds the time


@torch.no_grad()
def log_likelihoods(
    model: Any, batches: Sequence[Sequence[EncodedPair]], pad_token_id: int, precision: AbstractContextManager[Any]
) -> list[tuple[float, float]]:
    """Log-likelihood in nats of (chosen, rejected) of each pair, summed over the answer's tokens, in the order of the batches.

    The same tensors and the same operations as training's, so equal weights give equal bits. Draws no random number. The model is
    a trainer's: it has the head that TRL gives it.
    """
    was_training = model.training
    model.eval()
    collate = PairCollator(pad_token_id)
    found: list[tuple[float, float]] = []
    device = next(model.parameters()).device
    with precision:
        for batch in batches:
            rows = {k: v.to(device) for k, v in collate([as_row(pair, 0) for pair in batch]).items()}
            labels = rows["input_ids"].masked_fill(rows["completion_mask"] == 0, -100)
            inputs = {name: rows[name] for name in ("input_ids", "attention_mask")}
            summed = model(**inputs, use_cache=False, labels=labels, fused_lm_head=True).log_probs.sum(1)
            chosen, rejected = (half.tolist() for half in summed.float().chunk(2))
            found += zip(chosen, rejected, strict=True)
    model.train(was_training)
    return found
