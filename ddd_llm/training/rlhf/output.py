"""What reinforcement learning leaves behind: adapter, figures, curves, and a trace of every token.

Belongs here: the output folder's files. Does not: computing what is in them (`figures`, `trace`). Heavy inside functions: torch.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddd_llm.training.artifacts import write_adapter, write_refused, write_times
from ddd_llm.training.base_model import BaseModelInfo
from ddd_llm.training.batching import BatchPlan
from ddd_llm.training.files import canonical_json, fresh_folder, sync_folder
from ddd_llm.training.machine import Machine
from ddd_llm.training.rlhf.answers import SampledAnswer
from ddd_llm.training.rlhf.figures import held_out_figures
from ddd_llm.training.rlhf.prompts import Prompts
from ddd_llm.training.rlhf.recipe import RlhfRecipe
from ddd_llm.training.rlhf.rewards import Scores, totals
from ddd_llm.training.rlhf.trace import TRACE_SCHEMA, trace_rows

if TYPE_CHECKING:
    from ddd_llm.training.rlhf.run import RlhfJob
    from ddd_llm.training.rlhf.trainer import Rollout

_TRACES = "traces"


@dataclass
class Measured:
    """Answers to held-out prompts, their scores, and their log-likelihood under the reference."""

    answers: list[SampledAnswer]
    scores: Scores
    reference: list[float]


@dataclass(frozen=True)
class Results:
    """What there is when training is done, and what this attempt took. `chosen`: the supervised model's best of several."""

    prompts: Prompts
    plan: BatchPlan
    before: Measured
    after: Measured
    chosen: Measured | None
    timings: dict[str, float]


class TraceFolder:
    """Keeps the trace of each rollout in scratch space; a resumed run writes those after its checkpoint again, the same."""

    def __init__(self, scratch: Path, ids: Sequence[str], recipe: RlhfRecipe) -> None:
        self._folder, self._ids, self._recipe = scratch / _TRACES, ids, recipe

    def __call__(self, step: int, rollout: Rollout) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._folder.mkdir(parents=True, exist_ok=True)
        rows = trace_rows(step, rollout, self._ids, self._recipe)
        part = self._folder / f"{step:08d}.part"
        pq.write_table(pa.Table.from_pylist(rows, schema=TRACE_SCHEMA), part, compression="zstd", version="2.6")
        part.replace(part.with_suffix(".parquet"))


_LOGGED = {
    "loss": "loss",
    "learning_rate": "lr",
    "grad_norm": "grad_norm",
    "critic_grad_norm": "critic_grad_norm",
    "policy_loss": "policy_loss",
    "value_loss": "value_loss",
    "moved": "moved",
    "stopped_early": "stopped_early",
    "clip_ratio/region_mean": "clipped",
    "entropy": "entropy",
}


def losses_from(history: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of losses.json, one per step: `loss`, `policy_loss`, `value_loss`, gradient norms, `clipped` (share of tokens),
    `moved` (nats per token from the policy that sampled), `entropy`; and on steps that sampled `rollout`: reward per answer,
    each reward's own sum, log-ratio, tokens, and the share of the returns' variance that the critic explained."""
    rows = []
    for entry in history:
        if "loss" not in entry:
            continue
        row: dict[str, Any] = {"step": int(entry["step"]), **{name: entry.get(key) for key, name in _LOGGED.items()}}
        sampled = {key.removeprefix("rollout/"): value for key, value in entry.items() if key.startswith("rollout/")}
        rows.append({**row, "rollout": sampled} if sampled else row)
    return rows


def write_output(
    job: RlhfJob, base: BaseModelInfo, machine: Machine, trainer: Any, tokenizer: Any, results: Results
) -> None:
    """Write the output folder, whole or not at all."""
    from ddd_llm.training.probe import write_probe

    recipe, prompts = job.recipe, results.prompts
    part = fresh_folder(job.output.with_name(f"{job.output.name}.part"))
    model = trainer.accelerator.unwrap_model(trainer.model).float()
    if "reference" in model.peft_config:
        model.delete_adapter("reference")
    write_adapter(model, part / "adapter", base)
    write_probe(model, tokenizer, part / "probe.safetensors")
    trained_on = write_times([prompt.id for prompt in prompts.train], results.plan, part / "trained_on.parquet")
    write_refused(prompts.refused, part / "refused.parquet")
    _write_traces(job.scratch / _TRACES, recipe.steps, part / "traces.parquet")
    _write_held_out(results, recipe, part / "held_out.parquet")
    losses = losses_from(trainer.state.log_history)
    (part / "losses.json").write_bytes(canonical_json(losses))
    sampled = [row["rollout"] for row in losses if "rollout" in row]
    figures = held_out_figures(
        (results.before.answers, results.before.scores, results.before.reference),
        (results.after.answers, results.after.scores, results.after.reference),
        [prompt.component for prompt in prompts.held_out],
        recipe,
        results.chosen.scores if results.chosen is not None else None,
    )
    metrics = {
        "steps": recipe.steps,
        "rollouts": len(sampled),
        "stopped_early": sum(int(row["stopped_early"] or 0) for row in losses),
        "prompts_trained_on": trained_on,
        "prompts_available": len(prompts.train),
        "prompts_refused": prompts.refusals(),
        "train_reward_first": sampled[0]["reward"],
        "train_reward_last": sampled[-1]["reward"],
        "train_kl_last": sampled[-1]["kl"],
        **{f"held_out_{name}": value for name, value in figures.items()},
        "weights": {name: spec.weight for name, spec in sorted(recipe.rewards.items())},
        "credit": recipe.credit,
        "base_model": base.id,
        "base_model_digest": base.digest,
        "rollout_plan_digest": results.plan.digest,
        **machine.asdict(),
    }
    (part / "metrics.json").write_bytes(canonical_json(metrics))
    (part / "timings.json").write_bytes(canonical_json(results.timings))
    for folder in (part / "adapter", part):
        sync_folder(folder)
    shutil.rmtree(job.output, ignore_errors=True)
    part.replace(job.output)


def _write_traces(folder: Path, steps: int, path: Path) -> None:
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, TRACE_SCHEMA, compression="zstd", version="2.6") as writer:
        for part in sorted(folder.glob("*.parquet")):
            if int(part.stem) < steps:
                writer.write_table(pq.read_table(part, schema=TRACE_SCHEMA))


def _write_held_out(results: Results, recipe: RlhfRecipe, path: Path) -> None:
    """`id`, `component`, and of before, after and best_of: `answer`, `reward` and `log_likelihood` under the reference."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {
        "id": pa.array([prompt.id for prompt in results.prompts.held_out], pa.string()),
        "component": pa.array([prompt.component for prompt in results.prompts.held_out], pa.string()),
    }
    parts = {"before": results.before, "after": results.after, "best_of": results.chosen}
    for when, part in ((name, part) for name, part in parts.items() if part is not None):
        columns[f"answer_{when}"] = pa.array([answer.text for answer in part.answers], pa.string())
        columns[f"reward_{when}"] = pa.array(totals(part.scores, recipe) if part.answers else [], pa.float64())
        columns[f"log_likelihood_{when}"] = pa.array(part.reference, pa.float64())
    pq.write_table(pa.table(columns), path, compression="zstd", version="2.6")
