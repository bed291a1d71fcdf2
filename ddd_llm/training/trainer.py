"""TRL's SFTTrainer with three changes: our order of examples, loss computed where it counts, and no pickled settings
saved.

Belongs here: the trainer class and the loss. Does not: when to save, measure or stop (`callbacks`), nor files
(`artifacts`). Heavy: imports torch and trl.

The loss is the mean negative log-likelihood over response tokens of all examples of an optimizer step, as in TRL. TRL
1.16 multiplies every position with the vocabulary on a CPU; here only those before a response token, which saves a
quarter of a step when prompts are long and changes no number but by rounding.
"""

from __future__ import annotations

import functools
import os
import types
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from peft import PeftModel
from torch.utils.data import Sampler
from trl import SFTTrainer  # pyright: ignore[reportPrivateImportUsage]

from ddd_llm.training.batching import BatchPlan
from ddd_llm.training.examples import IGNORED, Encoded

SCALED_HEADS = (
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
    "output_multiplier",
    "lm_head_multiplier",
    "output_router_logits",
)
_LOGITS_LIMIT = 2**28
"""Logits (rows x vocabulary) up to which they are computed at once: 1 GiB of float32. Beyond, TRL's chunked path."""


class PlanSampler(Sampler[int]):
    """The positions of a plan's examples, batch by batch."""

    def __init__(self, plan: BatchPlan) -> None:
        self._order = [i for batch in plan.batches for i in batch]

    def __iter__(self) -> Iterator[int]:
        return iter(self._order)

    def __len__(self) -> int:
        return len(self._order)


class Collator:
    """Examples to tensors, padded on the right to the longest of the batch."""

    def __init__(self, pad_token_id: int) -> None:
        self._pad = pad_token_id

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """`input_ids`, `attention_mask`, `labels`: (batch, longest) int64; `row`: (batch,), if the examples carry
        theirs."""
        longest = max(len(e["input_ids"]) for e in examples)
        shape = (len(examples), longest)
        ids, labels = torch.full(shape, self._pad), torch.full(shape, IGNORED)
        mask = torch.zeros(shape, dtype=torch.int64)
        for i, example in enumerate(examples):
            length = len(example["input_ids"])
            ids[i, :length] = torch.tensor(example["input_ids"])
            labels[i, :length] = torch.tensor(example["labels"])
            mask[i, :length] = 1
        batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        if "row" in examples[0]:
            batch["row"] = torch.tensor([e["row"] for e in examples])
        return batch


def add_response_head(model: Any) -> bool:
    """Teach a causal language model to return the summed loss when called with `response_labels`.

    As TRL does with its own head: through `forward`, so that data-parallel wrappers see the call. Only positions
        whose next token has a label meet the vocabulary.

    Returns:
        False, and nothing was changed, when the model scales or caps its logits after the head.
    """
    config = model.config.get_text_config()
    if any(getattr(config, name, None) not in (None, False, 1.0) for name in SCALED_HEADS):
        return False
    original = model.forward

    @functools.wraps(type(model).forward)
    def forward(self: Any, *args: Any, response_labels: torch.Tensor | None = None, **kwargs: Any) -> Any:
        if response_labels is None:
            return original(*args, **kwargs)
        given = {name: value for name, value in kwargs.items() if value is not None and name != "labels"}
        hidden = self.base_model(*args, **given).last_hidden_state[:, :-1]
        targets = response_labels[:, 1:]
        counted = targets != IGNORED
        logits = self.get_output_embeddings()(hidden[counted]).float()
        return torch.nn.functional.cross_entropy(logits, targets[counted], reduction="sum")

    model.forward = types.MethodType(forward, model)
    return True


class ResponseTrainer(SFTTrainer):
    """SFTTrainer that follows a plan and remembers which examples really went through the loss.

    Args:
        plan: the order of training.
        half: compute matrix products in bfloat16.
        eager_up_to: longest batch, in tokens, that gets eager attention; longer ones get the model's default, mostly
            sdpa. kwargs: SFTTrainer's.

    Attributes:
        visited: positions of the examples computed since somebody last cleared it, on this process.
    """

    loss_is_scaled_for_ga = True

    def __init__(self, *, plan: BatchPlan, half: bool, eager_up_to: int, **kwargs: Any) -> None:
        self._plan = plan
        self._half = half
        self._eager_up_to = eager_up_to
        self.visited: list[int] = []
        super().__init__(**kwargs)
        tuned: Any = self.model
        causal: Any = tuned.get_base_model() if isinstance(tuned, PeftModel) else tuned
        self._vocabulary = causal.get_output_embeddings().weight.shape[0]
        self._causal = causal
        self._attention = self._long_attention = str(causal.config._attn_implementation)
        self._own_head = self.args.device.type == "cpu" and add_response_head(causal)

    def _get_train_sampler(self, train_dataset: Any = None) -> PlanSampler:
        return PlanSampler(self._plan)

    def precision(self) -> AbstractContextManager[Any]:
        """The number type of matrix products."""
        return torch.autocast(self.args.device.type, torch.bfloat16) if self._half else nullcontext()

    def settle(self) -> Any:
        """End training: the tuned model without wrappers, in float32 and with its default attention."""
        self._attend(self._long_attention)
        return self.accelerator.unwrap_model(self.model).float()

    def _attend(self, implementation: str) -> None:
        if implementation != self._attention:
            self._causal.set_attn_implementation(implementation)
            self._attention = implementation

    def summed_loss(self, model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Negative log-likelihood in nats, summed over the labelled tokens of a batch of `Collator`; a scalar."""
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        labels = batch["labels"]
        self._attend("eager" if labels.shape[1] <= self._eager_up_to else self._long_attention)
        with self.precision():
            if self._own_head and int((labels != IGNORED).sum()) * self._vocabulary <= _LOGITS_LIMIT:
                return model(**inputs, use_cache=False, response_labels=labels)
            return -model(**inputs, labels=labels, fused_lm_head=True).log_probs.sum()

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean loss per labelled token of the whole optimizer step, as the Trainer asks for it."""
        if return_outputs or num_items_in_batch is None:
            raise NotImplementedError("this trainer computes training losses only; use mean_loss to evaluate")
        self.visited += inputs["row"].tolist()
        loss = self.summed_loss(model, inputs) / num_items_in_batch
        # The count is over all processes, whose gradients are then averaged.
        return loss * self.accelerator.num_processes

    @torch.no_grad()
    def mean_loss(self, examples: Sequence[Encoded], batch_size: int) -> float:
        """Mean negative log-likelihood in nats per labelled token; draws no random number, so a run is the same
        without it."""
        model = self.accelerator.unwrap_model(self.model)
        was_training = model.training
        model.eval()
        tokenizer: Any = self.processing_class
        collate = Collator(tokenizer.pad_token_id)
        total, tokens = 0.0, 0
        for start in range(0, len(examples), batch_size):
            part = examples[start : start + batch_size]
            batch = collate([{"input_ids": e.input_ids, "labels": e.labels} for e in part])
            total += self.summed_loss(model, {k: v.to(self.args.device) for k, v in batch.items()}).item()
            tokens += sum(e.loss_tokens for e in part)
        model.train(was_training)
        return total / tokens

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """Save the adapter alone: the Trainer would add its pickled settings and the tokenizer to every checkpoint."""
        folder = output_dir or str(self.args.output_dir)
        if self.args.should_save:
            os.makedirs(folder, exist_ok=True)
            model: Any = self.model
            model.save_pretrained(folder, state_dict=state_dict, safe_serialization=True)
