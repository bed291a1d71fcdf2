"""One run of direct preference optimisation from its job to its output folder, resuming where an earlier one was stopped.

Belongs here: the order of events. Does not: the process around it (`worker`), nor any one of the parts.
Heavy inside functions: torch, transformers, trl, peft, datasets.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ddd_llm.platform.signals import StopRequest
from ddd_llm.training.adapters import load_adapter
from ddd_llm.training.artifacts import write_adapter, write_refused, write_times
from ddd_llm.training.assemble import (
    base_info,
    half_precision,
    load_model,
    load_tokenizer,
    matching_types,
    resolve_machine,
    training_arguments,
)
from ddd_llm.training.base_model import BaseModelInfo
from ddd_llm.training.batching import BatchPlan, plan_batches
from ddd_llm.training.dpo_results import held_out_figures
from ddd_llm.training.errors import BadData, BadRecipe, Preempted
from ddd_llm.training.files import canonical_json, fresh_folder, sync_folder
from ddd_llm.training.job import TrainingJob
from ddd_llm.training.machine import Machine
from ddd_llm.training.preferences import EncodedPair, Pairs, read_pairs
from ddd_llm.training.recipe import DpoRecipe
from ddd_llm.training.reporting import Report
from ddd_llm.training.resume import find_checkpoint
from ddd_llm.training.timing import timings_of

Likelihoods = list[tuple[float, float]]


class DpoJob(TrainingJob):
    """Preference training of the supervised model's adapter; `dataset` holds preference pairs."""

    entry: str = __name__
    recipe: DpoRecipe = DpoRecipe()  # pyright: ignore[reportIncompatibleVariableOverride]


JOB = DpoJob


def run(job: DpoJob, stop: StopRequest, report: Report) -> None:
    """Train, resume if there is a checkpoint of this very job, and leave the output folder.

    Raises:
        BadData: no pair can be trained on, fewer than a batch, or the adapter belongs to another base.
        BadRecipe: there is no adapter to start from, several processes, or the machine lacks what is asked for.
        NonFiniteLoss: the loss or gradient is no number.
        Preempted: `stop` was requested; a checkpoint is there.
    """
    from transformers.utils.logging import disable_progress_bar

    from ddd_llm.training.callbacks import watch_plan

    started = time.perf_counter(), time.process_time()
    disable_progress_bar()
    recipe = job.recipe
    if job.adapter is None:
        raise BadRecipe("Preference training starts from the supervised model's adapter, and the job names none")
    if recipe.processes != 1:
        raise BadRecipe("Preference training runs in one process: set dpo.processes to 1")
    report({"kind": "phase", "message": "loading tokenizer and preference pairs"})
    base = base_info(job.base)
    tokenizer = load_tokenizer(job.base)
    pairs = read_pairs(job.dataset, tokenizer, recipe.max_length, recipe.held_out_pairs)
    plan = _plan(pairs, recipe)
    machine, config = resolve_machine(job)
    model = load_adapter(load_model(job.base, config, machine), job.adapter, base).to(machine.device)
    job_digest = job.digest(base.digest, {**machine.asdict(), "plan": plan.digest})
    report({"kind": "phase", "message": _what(pairs, plan)})
    batches = [[pairs.train[i] for i in batch] for batch in plan.batches]
    held_out = _batches(pairs.held_out, recipe.batch_size)
    trainer = _trainer(job, machine, model, tokenizer, plan, batches)
    with matching_types(trainer.model, machine):
        trainer.refer_to(_likelihoods(trainer.model, batches, tokenizer, machine))
        before = _likelihoods(trainer.model, held_out, tokenizer, machine)
        found = find_checkpoint(job.scratch, job_digest, trainer, report)
        progress = watch_plan(trainer, job, plan, job_digest, stop, report)
        trainer.train(resume_from_checkpoint=str(found.folder) if found.folder else None)
        if trainer.state.global_step < recipe.steps:
            raise Preempted(f"Stopped after step {trainer.state.global_step} of {recipe.steps}")
        tuned = trainer.accelerator.unwrap_model(trainer.model)
        after = _likelihoods(tuned, held_out, tokenizer, machine)
    figures = held_out_figures(pairs.held_out, before, after, recipe.beta, recipe.collapse_nats)
    timings = timings_of(plan, recipe, found.step, progress.seconds, started)
    _write_output(job, base, machine, trainer, tokenizer, pairs, plan, (before, after), figures, timings)


def _plan(pairs: Pairs, recipe: DpoRecipe) -> BatchPlan:
    lengths = [pair.length for pair in pairs.train]
    batches = recipe.steps * recipe.gradient_accumulation
    try:
        return plan_batches(lengths, recipe.batch_size, batches, recipe.seed, recipe.length_window)
    except ValueError as error:
        raise BadData(f"No batch can be made: {error}") from error


def _batches(pairs: Sequence[EncodedPair], size: int) -> list[Sequence[EncodedPair]]:
    return [pairs[start : start + size] for start in range(0, len(pairs), size)]


def _likelihoods(model: Any, batches: Sequence[Sequence[EncodedPair]], tokenizer: Any, machine: Machine) -> Likelihoods:
    from ddd_llm.training.dpo_trainer import log_likelihoods

    return log_likelihoods(model, batches, tokenizer.pad_token_id, half_precision(machine))


def _trainer(
    job: DpoJob,
    machine: Machine,
    model: Any,
    tokenizer: Any,
    plan: BatchPlan,
    batches: Sequence[Sequence[EncodedPair]],
) -> Any:
    from datasets import Dataset
    from trl import DPOConfig  # pyright: ignore[reportPrivateImportUsage]

    from ddd_llm.training.dpo_trainer import PairCollator, PreferenceTrainer, as_row

    positions = [i for batch in plan.batches for i in batch]
    rows = [as_row(pair, i) for pair, i in zip((p for batch in batches for p in batch), positions, strict=True)]
    arguments = DPOConfig(
        **training_arguments(job, machine),
        beta=job.recipe.beta,
        loss_type=["sigmoid", "sft"] if job.recipe.sft_weight else ["sigmoid"],
        loss_weights=[1.0, job.recipe.sft_weight] if job.recipe.sft_weight else None,
        max_length=None,
        precompute_ref_log_probs=True,
    )
    return PreferenceTrainer(
        machine=machine,
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        data_collator=PairCollator(tokenizer.pad_token_id),
        processing_class=tokenizer,
    )


_LOGGED = {
    "loss": "loss",
    "learning_rate": "lr",
    "grad_norm": "grad_norm",
    "rewards/margins": "reward_margin",
    "rewards/accuracies": "reward_accuracy",
    "logps/chosen": "chosen_logp",
    "logps/rejected": "rejected_logp",
}


def losses_from(history: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of losses.json: per step loss, lr, grad_norm, reward_margin and reward_accuracy of the batch, and the summed
    log-likelihood of chosen and rejected answers, in nats, averaged over its pairs."""
    rows = [entry for entry in history if "loss" in entry]
    return [{"step": int(row["step"]), **{name: row.get(key) for key, name in _LOGGED.items()}} for row in rows]


def _write_output(
    job: DpoJob,
    base: BaseModelInfo,
    machine: Machine,
    trainer: Any,
    tokenizer: Any,
    pairs: Pairs,
    plan: BatchPlan,
    likelihoods: tuple[Likelihoods, Likelihoods],
    figures: dict[str, Any],
    timings: dict[str, float],
) -> None:
    from ddd_llm.training.probe import write_probe

    part = fresh_folder(job.output.with_name(f"{job.output.name}.part"))
    model = trainer.accelerator.unwrap_model(trainer.model).float()
    write_adapter(model, part / "adapter", base)
    write_probe(model, tokenizer, part / "probe.safetensors")
    trained_on = write_times([pair.id for pair in pairs.train], plan, part / "trained_on.parquet")
    write_refused(pairs.refused, part / "refused.parquet")
    _write_held_out(pairs.held_out, likelihoods, part / "held_out.parquet")
    losses = losses_from(trainer.state.log_history)
    (part / "losses.json").write_bytes(canonical_json(losses))
    metrics = {
        "steps": job.recipe.steps,
        "pairs_trained_on": trained_on,
        "pairs_available": len(pairs.train),
        "pairs_refused": pairs.refusals(),
        "tokens": plan.tokens(),
        "train_loss_first": losses[0]["loss"],
        "train_loss_last_10": _mean(losses[-10:], "loss"),
        "train_reward_accuracy_last_10": _mean(losses[-10:], "reward_accuracy"),
        **{f"held_out_{name}": value for name, value in figures.items()},
        "beta": job.recipe.beta,
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


def _mean(rows: Sequence[dict[str, Any]], name: str) -> float:
    return sum(row[name] for row in rows) / len(rows)


def _write_held_out(pairs: Sequence[EncodedPair], likelihoods: tuple[Likelihoods, Likelihoods], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {
        "id": pa.array([pair.id for pair in pairs], pa.string()),
        "component": pa.array([pair.component for pair in pairs], pa.string()),
        "chosen_tokens": pa.array([len(pair.chosen_ids) for pair in pairs], pa.int64()),
        "rejected_tokens": pa.array([len(pair.rejected_ids) for pair in pairs], pa.int64()),
    }
    for when, found in zip(("before", "after"), likelihoods, strict=True):
        for side, name in enumerate(("chosen", "rejected")):
            columns[f"{name}_logp_{when}"] = pa.array([row[side] for row in found], pa.float64())
    pq.write_table(pa.table(columns), path, compression="zstd", version="2.6")


def _what(pairs: Pairs, plan: BatchPlan) -> str:
    return (
        f"{len(pairs.train)} pairs to train on, {len(pairs.held_out)} held out, refused: {pairs.told()}; "
        f"{len(plan.batches)} batches, {plan.tokens():,} tokens; computing the reference"
    )
