"""One run of reward model training from its job to its output folder, resuming where an earlier one was stopped.

Belongs here: the order of events. Does not: the process around it (`worker`), nor any one of the parts.
Heavy inside functions: torch, transformers, peft, datasets.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ddd_llm.platform.signals import StopRequest
from ddd_llm.training.artifacts import write_adapter, write_refused, write_times
from ddd_llm.training.assemble import base_info, load_tokenizer, matching_types, resolve_machine, training_arguments
from ddd_llm.training.base_model import BaseModelInfo
from ddd_llm.training.batching import BatchPlan, plan_batches
from ddd_llm.training.errors import BadData, BadRecipe, Preempted
from ddd_llm.training.files import canonical_json, fresh_folder, sync_folder
from ddd_llm.training.job import TrainingJob
from ddd_llm.training.machine import Machine
from ddd_llm.training.preferences import read_pairs
from ddd_llm.training.reporting import Report
from ddd_llm.training.resume import find_checkpoint
from ddd_llm.training.reward.data import read_answers
from ddd_llm.training.reward.figures import pair_figures, segment_figures
from ddd_llm.training.reward.recipe import RewardRecipe
from ddd_llm.training.timing import timings_of


class RewardJob(TrainingJob):
    """Training of one reward model; `dataset` holds span feedback, or preference pairs where it learns from pairs."""

    entry: str = __name__
    recipe: RewardRecipe = RewardRecipe()  # pyright: ignore[reportIncompatibleVariableOverride]


JOB = RewardJob


class _Data:
    """What is learnt from, in one form for segments and pairs."""

    def __init__(self, job: RewardJob, tokenizer: Any) -> None:
        recipe, kind = job.recipe, job.recipe.kind
        self.error_weight: float | None = None
        if kind.granularity is None:
            found = read_pairs(job.dataset, tokenizer, recipe.max_length, recipe.held_out_items)
            self.train, self.held_out, self.refused = found.train, found.held_out, found.refused
            self.refusals, self.told = found.refusals(), found.told()
            self.lengths = [pair.length for pair in found.train]
        else:
            read = read_answers(job.dataset, tokenizer, kind.granularity, recipe.max_length, recipe.held_out_items)
            self.train, self.held_out, self.refused = read.train, read.held_out, read.refused
            self.refusals, self.told = read.refusals(), read.told()
            self.lengths = [len(answer.input_ids) for answer in read.train]
            wrong = [target.wrong for answer in read.train for target in answer.targets]
            self.error_weight = min(recipe.error_weight_at_most, (len(wrong) - sum(wrong)) / sum(wrong))

    def rows(self, held_out: bool) -> list[dict[str, Any]]:
        from ddd_llm.training.reward.model import as_pairs, as_sequences

        chosen: Any = self.held_out if held_out else self.train
        return as_pairs(chosen) if self.error_weight is None else as_sequences(chosen)

    def figures(self, scores: Sequence[Sequence[float]]) -> dict[str, Any]:
        if self.error_weight is None:
            return pair_figures(self.held_out, scores)
        train: Any = self.train
        held_out: Any = self.held_out
        return segment_figures(train, held_out, scores)


def run(job: RewardJob, stop: StopRequest, report: Report) -> None:
    """Train, resume if there is a checkpoint of this very job, and leave the output folder.

    Raises:
        BadData: nothing to train on, fewer than a batch, or no segment of one class.
        BadRecipe: several processes, or the machine lacks what is asked for.
        NonFiniteLoss: the loss or gradient is no number.
        Preempted: `stop` was requested; a checkpoint is there.
    """
    from transformers.utils.logging import disable_progress_bar

    from ddd_llm.training.callbacks import watch_plan
    from ddd_llm.training.reward.model import fresh_model, scores_of

    started = time.perf_counter(), time.process_time()
    disable_progress_bar()
    recipe = job.recipe
    if recipe.processes != 1:
        raise BadRecipe("Reward models are trained in one process: set reward_models.processes to 1")
    report({"kind": "phase", "message": "loading tokenizer and feedback"})
    base = base_info(job.base)
    tokenizer = load_tokenizer(job.base)
    data = _Data(job, tokenizer)
    plan = _plan(data.lengths, recipe)
    machine, config = resolve_machine(job)
    job_digest = job.digest(base.digest, {**machine.asdict(), "plan": plan.digest})
    model = fresh_model(job.base, config, machine, recipe).to(machine.device)
    said = f"{len(data.train)} rows to train on, {len(data.held_out)} held out, refused: {data.told}"
    report({"kind": "phase", "message": said})
    trainer = _trainer(job, machine, model, tokenizer, plan, data)
    found = find_checkpoint(job.scratch, job_digest, trainer, report)
    progress = watch_plan(trainer, job, plan, job_digest, stop, report)
    with matching_types(trainer.model, machine):
        trainer.train(resume_from_checkpoint=str(found.folder) if found.folder else None)
        if trainer.state.global_step < recipe.steps:
            raise Preempted(f"Stopped after step {trainer.state.global_step} of {recipe.steps}")
        tuned = trainer.accelerator.unwrap_model(trainer.model)
        report({"kind": "phase", "message": "measuring held-out feedback"})
        scores = scores_of(tuned, data.rows(True), tokenizer.pad_token_id, machine, recipe.batch_size)
    timings = timings_of(plan, recipe, found.step, progress.seconds, started)
    _write_output(job, base, machine, trainer, data, plan, scores, timings)


def _plan(lengths: Sequence[int], recipe: RewardRecipe) -> BatchPlan:
    batches = recipe.steps * recipe.gradient_accumulation
    try:
        return plan_batches(lengths, recipe.batch_size, batches, recipe.seed, recipe.length_window)
    except ValueError as error:
        raise BadData(f"No batch can be made: {error}") from error


def _trainer(job: RewardJob, machine: Machine, model: Any, tokenizer: Any, plan: BatchPlan, data: _Data) -> Any:
    from datasets import Dataset
    from transformers import TrainingArguments

    from ddd_llm.training.reward.model import Collator, ScoreTrainer

    return ScoreTrainer(
        plan=plan,
        machine=machine,
        error_weight=data.error_weight,
        model=model,
        args=TrainingArguments(**training_arguments(job, machine)),
        train_dataset=Dataset.from_list(data.rows(False)),
        data_collator=Collator(tokenizer.pad_token_id),
        processing_class=tokenizer,
    )


def _write_output(
    job: RewardJob,
    base: BaseModelInfo,
    machine: Machine,
    trainer: Any,
    data: _Data,
    plan: BatchPlan,
    scores: Sequence[Sequence[float]],
    timings: dict[str, float],
) -> None:
    part = fresh_folder(job.output.with_name(f"{job.output.name}.part"))
    write_adapter(trainer.accelerator.unwrap_model(trainer.model).float(), part / "adapter", base)
    trained_on = write_times([row.id for row in data.train], plan, part / "trained_on.parquet")
    write_refused(data.refused, part / "refused.parquet")
    _write_scores(data, scores, part / "held_out.parquet")
    losses = [
        {
            "step": int(row["step"]),
            "loss": row["loss"],
            "lr": row.get("learning_rate"),
            "grad_norm": row.get("grad_norm"),
        }
        for row in trainer.state.log_history
        if "loss" in row
    ]
    (part / "losses.json").write_bytes(canonical_json(losses))
    last = losses[-10:]
    metrics = {
        "steps": job.recipe.steps,
        "rows_trained_on": trained_on,
        "rows_available": len(data.train),
        "rows_refused": data.refusals,
        "error_weight": data.error_weight,
        "train_loss_first": losses[0]["loss"],
        "train_loss_last_10": sum(row["loss"] for row in last) / len(last),
        **{f"held_out_{name}": value for name, value in data.figures(scores).items()},
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


def _write_scores(data: _Data, scores: Sequence[Sequence[float]], path: Path) -> None:
    """`id`, `place` among the row's targets, `wrong`, `score`: of segments, or of the better (0) and other (1) answer."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    held_out: Any = data.held_out
    rows = []
    for row, found in zip(held_out, scores, strict=True):
        wrong = [False, True] if data.error_weight is None else [target.wrong for target in row.targets]
        rows += [(row.id, i, bad, score) for i, (bad, score) in enumerate(zip(wrong, found, strict=True))]
    schema = pa.schema([("id", pa.string()), ("place", pa.int64()), ("wrong", pa.bool_()), ("score", pa.float64())])
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
    pq.write_table(pa.table(columns, schema=schema), path, compression="zstd", version="2.6")
