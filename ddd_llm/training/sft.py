"""One supervised fine-tuning run from its job to its output folder, resuming where an earlier one was stopped.

Belongs here: the order of events. Does not: the process around it (`worker`), nor any one of the parts.
Heavy inside functions: torch, transformers, trl, peft, datasets.
"""

from __future__ import annotations

import shutil
import time
from typing import Any

from ddd_llm.platform.signals import StopRequest
from ddd_llm.training.artifacts import losses_from, write_adapter, write_refused, write_trained_on
from ddd_llm.training.assemble import (
    base_info,
    load_model,
    load_tokenizer,
    make_plan,
    make_trainer,
    matching_types,
    resolve_machine,
)
from ddd_llm.training.base_model import BaseModelInfo
from ddd_llm.training.batching import BatchPlan
from ddd_llm.training.errors import Preempted
from ddd_llm.training.examples import Examples, read_examples
from ddd_llm.training.files import canonical_json, fresh_folder, sync_folder
from ddd_llm.training.job import TrainingJob
from ddd_llm.training.machine import Machine
from ddd_llm.training.recipe import SftRecipe
from ddd_llm.training.reporting import Report
from ddd_llm.training.resume import find_checkpoint
from ddd_llm.training.timing import timings_of


class SftJob(TrainingJob):
    """Supervised fine-tuning on instruction examples."""

    entry: str = __name__
    recipe: SftRecipe = SftRecipe()  # pyright: ignore[reportIncompatibleVariableOverride]


JOB = SftJob


def run(job: SftJob, stop: StopRequest, report: Report) -> None:
    """Train, resume if there is a checkpoint of this very job, and leave the output folder.

    Raises:
        BadData: no example can be trained on, or fewer than a batch.
        BadRecipe: the base model cannot be loaded or lacks the named modules, or the machine lacks what is asked for.
        NonFiniteLoss: the loss or gradient is no number.
        Preempted: `stop` was requested; a checkpoint is there.
    """
    from transformers.utils.logging import disable_progress_bar

    from ddd_llm.training.callbacks import Validation, watch_plan

    started = time.perf_counter(), time.process_time()
    disable_progress_bar()
    report({"kind": "phase", "message": "loading tokenizer and examples"})
    base = base_info(job.base)
    tokenizer = load_tokenizer(job.base)
    recipe = job.recipe
    examples = read_examples(job.dataset, tokenizer, recipe.max_length, recipe.eval_examples)
    plan = make_plan(examples, recipe)
    machine, config = resolve_machine(job)
    report({"kind": "phase", "message": _what(examples, plan)})
    job_digest = job.digest(base.digest, {**machine.asdict(), "plan": plan.digest})
    model = load_model(job.base, config, machine)
    trainer = make_trainer(job, machine, model, tokenizer, examples.train, plan)
    found = find_checkpoint(job.scratch, job_digest, trainer, report)
    validation = Validation(trainer, recipe, examples.validation, report)
    progress = watch_plan(trainer, job, plan, job_digest, stop, report, validation)
    with matching_types(trainer.model, machine):
        trainer.train(resume_from_checkpoint=str(found.folder) if found.folder else None)
    if trainer.state.global_step < recipe.steps:
        raise Preempted(f"Stopped after step {trainer.state.global_step} of {recipe.steps}")
    if trainer.is_world_process_zero():
        timings = timings_of(plan, recipe, found.step, progress.seconds, started)
        _write_output(job, base, machine, trainer, tokenizer, examples, plan, timings)
    trainer.accelerator.wait_for_everyone()


def _write_output(
    job: SftJob,
    base: BaseModelInfo,
    machine: Machine,
    trainer: Any,
    tokenizer: Any,
    examples: Examples,
    plan: BatchPlan,
    timings: dict[str, float],
) -> None:
    from ddd_llm.training.probe import write_probe

    recipe = job.recipe
    part = fresh_folder(job.output.with_name(f"{job.output.name}.part"))
    model = trainer.settle()
    write_adapter(model, part / "adapter", base)
    write_probe(model, tokenizer, part / "probe.safetensors")
    trained_on = write_trained_on(examples.train, plan, part / "trained_on.parquet")
    write_refused(examples.refused, part / "refused.parquet")
    losses = losses_from(trainer.state.log_history, plan, recipe.gradient_accumulation * recipe.processes)
    (part / "losses.json").write_bytes(canonical_json(losses))
    trained = [row["loss"] for row in losses if row["loss"] is not None]
    held_out = [row["validation_loss"] for row in losses if row["validation_loss"] is not None]
    metrics = {
        "steps": recipe.steps,
        "examples_trained_on": trained_on,
        "examples_available": len(examples.train),
        "examples_validation": len(examples.validation),
        "examples_refused": examples.refusals(),
        "tokens": plan.tokens(),
        "loss_tokens": sum(examples.train[i].loss_tokens for batch in plan.batches for i in batch),
        "padding_waste": round(plan.padding_waste, 6),
        "train_loss_first": trained[0],
        "train_loss_last_10": sum(trained[-10:]) / len(trained[-10:]),
        "validation_loss_before": held_out[0] if held_out else None,
        "validation_loss": held_out[-1] if held_out else None,
        "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "base_model": base.id,
        "base_model_digest": base.digest,
        "batch_plan_digest": plan.digest,
        **machine.asdict(),
    }
    (part / "metrics.json").write_bytes(canonical_json(metrics))
    (part / "timings.json").write_bytes(canonical_json(timings))
    for folder in (part / "adapter", part):
        sync_folder(folder)
    shutil.rmtree(job.output, ignore_errors=True)
    part.replace(job.output)


def _what(examples: Examples, plan: BatchPlan) -> str:
    return (
        f"{len(examples.train)} examples to train on, {len(examples.validation)} to validate, refused: {examples.told()}; "
        f"{len(plan.batches)} batches, {plan.tokens():,} tokens, {plan.padding_waste:.1%} padding"
    )
