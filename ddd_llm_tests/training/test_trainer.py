"""The loss against TRL's own, and the order of examples against the plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ddd_llm.training.assemble import (
    load_model,
    load_tokenizer,
    make_plan,
    make_trainer,
    matching_types,
    resolve_machine,
)
from ddd_llm.training.examples import read_examples
from ddd_llm.training.trainer import Collator, ResponseTrainer
from ddd_llm_tests.training.tiny import tiny_job


def build(root: Path, **changes: Any) -> tuple[ResponseTrainer, Any]:
    job = tiny_job(root, **changes)
    tokenizer = load_tokenizer(job.base)
    examples = read_examples(job.dataset, tokenizer, job.recipe.max_length, job.recipe.eval_examples)
    machine, config = resolve_machine(job)
    plan = make_plan(examples, job.recipe)
    trainer = make_trainer(job, machine, load_model(job.base, config, machine), tokenizer, examples.train, plan)
    return trainer, examples


def gradients(trainer: ResponseTrainer, batch: dict[str, torch.Tensor]) -> tuple[float, dict[str, torch.Tensor]]:
    model: Any = trainer.model
    model.zero_grad()
    loss = trainer.summed_loss(model, batch)
    loss.backward()
    return loss.item(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def test_loss_and_gradients_are_those_of_trl(root: Path) -> None:
    trainer, examples = build(root, lora={"r": 4, "alpha": 8})
    model: Any = trainer.model
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # a fresh adapter is zero, and so would be half of the gradients
            torch.nn.init.normal_(parameter, std=0.1)
    batch = Collator(2)([{"input_ids": e.input_ids, "labels": e.labels} for e in examples.train[:5]])
    ours = gradients(trainer, batch)
    trainer._own_head = False
    theirs = gradients(trainer, batch)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
    assert ours[1].keys() == theirs[1].keys()
    assert len(ours[1]) == 2 * 2 * 7, "two matrices on each of seven linear layers of two blocks"
    for name, gradient in ours[1].items():
        assert torch.allclose(gradient, theirs[1][name], rtol=1e-3, atol=1e-5), name


def test_loss_does_not_depend_on_prompt_labels_or_padding(root: Path) -> None:
    trainer, examples = build(root)
    some = examples.train[:6]
    together = trainer.mean_loss(some, 6)
    alone = sum(trainer.mean_loss([e], 1) * e.loss_tokens for e in some) / sum(e.loss_tokens for e in some)
    assert together == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_attention_changes_no_loss(root: Path, attention: str) -> None:
    trainer, examples = build(root, attention=attention)
    reference, _ = build(root)
    assert trainer.mean_loss(examples.train[:4], 4) == pytest.approx(
        reference.mean_loss(examples.train[:4], 4), rel=1e-5
    )


def test_bfloat16_learns_in_float32(root: Path) -> None:
    trainer, examples = build(root, dtype="bf16", learning_rate=1e-3)
    model: Any = trainer.model
    before = trainer.mean_loss(examples.train, 4)
    with matching_types(model, resolve_machine(tiny_job(root, dtype="bf16"))[0]):
        trainer.train()
    trained = {p.dtype for p in model.parameters() if p.requires_grad}
    frozen = {p.dtype for p in model.parameters() if not p.requires_grad}
    assert (trained, frozen) == ({torch.float32}, {torch.bfloat16})
    assert trainer.mean_loss(examples.train, 4) < before


def test_what_is_computed_is_what_the_plan_says(root: Path) -> None:
    trainer, examples = build(root, gradient_accumulation=3)
    trainer.train()
    plan = make_plan(examples, tiny_job(root, gradient_accumulation=3).recipe)
    assert trainer.visited == [i for batch in plan.batches for i in batch]
    assert len(plan.batches) == 18
