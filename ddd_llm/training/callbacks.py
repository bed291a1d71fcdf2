"""What happens between optimizer steps: measuring, telling, saving, stopping, and proving the order.

Belongs here: the trainer's callbacks. Does not: the loss (`trainer`) or the form of a checkpoint (`resume`).
Heavy: imports transformers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from ddd_llm.platform.signals import StopRequest
from ddd_llm.training.batching import BatchPlan
from ddd_llm.training.errors import Crashed, NonFiniteLoss
from ddd_llm.training.examples import Encoded
from ddd_llm.training.job import TrainingJob
from ddd_llm.training.recipe import SftRecipe, TrainingRecipe
from ddd_llm.training.reporting import Report
from ddd_llm.training.resume import checkpoint_folder, rotate, seal
from ddd_llm.training.trainer import ResponseTrainer


class FollowsOrder(Protocol):
    """A trainer that remembers the positions of the examples it computed."""

    visited: list[int]


class FollowsPlan(TrainerCallback):
    """Compares what went through the loss with the plan at every step: the plan is what `trained_on` is written from.

    Raises:
        Crashed: another example than planned was computed.
    """

    def __init__(self, trainer: FollowsOrder, plan: BatchPlan, accumulation: int) -> None:
        self._trainer = trainer
        self._plan = plan
        self._accumulation = accumulation

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        size, rank = args.world_size, args.process_index
        first = (state.global_step - 1) * self._accumulation * size
        mine = [first + k * size + rank for k in range(self._accumulation)]
        planned = [i for batch in mine for i in self._plan.batches[batch]]
        if self._trainer.visited != planned:
            raise Crashed(f"Step {state.global_step} computed other examples than the batch plan says")
        self._trainer.visited.clear()


class FiniteLoss(TrainerCallback):
    """Stops at the first loss or gradient that is no number, before a checkpoint can be made of it.

    Raises:
        NonFiniteLoss: always then.
    """

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, logs: Any = None, **kwargs: Any) -> None:
        for name in ("loss", "grad_norm"):
            if logs and name in logs and not math.isfinite(logs[name]):
                what = "loss" if name == "loss" else "norm of the gradient"
                raise NonFiniteLoss(f"At step {state.global_step} the {what} is {logs[name]}")


class Validation(TrainerCallback):
    """Measures the validation loss when it is due. Values lie in the trainer's history and survive a resume."""

    def __init__(
        self, trainer: ResponseTrainer, recipe: SftRecipe, examples: Sequence[Encoded], report: Report
    ) -> None:
        self._trainer = trainer
        self._recipe = recipe
        self._examples = examples
        self._report = report

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._measure(state)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._measure(state)

    def _measure(self, state: TrainerState) -> None:
        step, every = state.global_step, self._recipe.eval_every
        due = step in (0, state.max_steps) or (every > 0 and step % every == 0)
        measured = any("validation_loss" in entry and entry["step"] == step for entry in state.log_history)
        if not due or measured or not self._examples or not state.is_world_process_zero:
            return
        loss = self._trainer.mean_loss(self._examples, self._recipe.batch_size)
        state.log_history.append({"step": step, "validation_loss": loss})
        self._report({"kind": "validation", "step": step, "validation_loss": loss})


class Checkpoints(TrainerCallback):
    """Seals what the trainer saved, and turns a request to stop into a checkpoint and an end."""

    def __init__(
        self, recipe: TrainingRecipe, scratch: Path, job_digest: str, stop: StopRequest, report: Report
    ) -> None:
        self._recipe = recipe
        self._scratch = scratch
        self._job_digest = job_digest
        self._stop = stop
        self._report = report

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> TrainerControl:
        if _any_process(self._stop.requested, args.device):
            self._stop.requested = True
            control.should_save = True
            control.should_training_stop = True
        return control

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if _distributed():
            torch.distributed.barrier()  # every process has written its random state
        if state.is_world_process_zero:
            seal(checkpoint_folder(self._scratch, state.global_step), self._job_digest)
            rotate(self._scratch, self._recipe.keep_checkpoints)
            self._report({"kind": "checkpoint", "step": state.global_step})


class Progress(TrainerCallback):
    """Reports each step with its speed. It comes before `Validation`, whose time is not the step's.

    Attributes:
        seconds: wall time inside steps so far.
    """

    def __init__(self, plan: BatchPlan, batches_per_step: int, report: Report) -> None:
        self._plan = plan
        self._per_step = batches_per_step
        self._report = report
        self._since = 0.0
        self._last = 0.0
        self.seconds = 0.0

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._since = time.perf_counter()

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._last = time.perf_counter() - self._since
        self.seconds += self._last

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, logs: Any = None, **kwargs: Any) -> None:
        if not logs or "loss" not in logs:
            return
        step = state.global_step
        tokens = self._plan.tokens(step * self._per_step)
        new = tokens - self._plan.tokens((step - 1) * self._per_step)
        self._report(
            {
                "kind": "step",
                "step": step,
                "steps": state.max_steps,
                "loss": logs["loss"],
                "lr": logs["learning_rate"],
                "tokens": tokens,
                "tokens_per_s": new / max(self._last, 1e-9),
            }
        )


def watch(trainer: Any, *callbacks: TrainerCallback) -> None:
    """Give a trainer these callbacks, in this order, in place of those that print."""
    for unwanted in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(unwanted)
    for callback in callbacks:
        trainer.add_callback(callback)


def watch_plan(
    trainer: Any,
    job: TrainingJob,
    plan: BatchPlan,
    job_digest: str,
    stop: StopRequest,
    report: Report,
    *more: TrainerCallback,
) -> Progress:
    """Give a trainer that follows a plan what all of them have; `more` comes between progress and checkpoints."""
    recipe = job.recipe
    progress = Progress(plan, recipe.gradient_accumulation * recipe.processes, report)
    watch(
        trainer,
        FollowsPlan(trainer, plan, recipe.gradient_accumulation),
        FiniteLoss(),
        progress,
        *more,
        Checkpoints(recipe, job.scratch, job_digest, stop, report),
    )
    return progress


def _distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _any_process(value: bool, device: torch.device) -> bool:
    """Whether the value is true on any process: all must stop at the same step."""
    if not _distributed():
        return value
    flag = torch.tensor(float(value), device=device)
    torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
    return bool(flag.item())
