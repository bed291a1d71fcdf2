"""One run of reinforcement learning from its job to its output folder, resuming where an earlier one was stopped.

Belongs here: the order of events. Does not: the process around it (`worker`), nor any one of the parts; files are `output`'s.
Heavy inside functions: torch, transformers, trl, peft, datasets.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ddd_llm.platform.signals import StopRequest
from ddd_llm.training.adapters import load_adapter
from ddd_llm.training.assemble import (
    base_info,
    load_model,
    load_tokenizer,
    matching_types,
    resolve_machine,
    training_arguments,
)
from ddd_llm.training.base_model import BaseModelInfo
from ddd_llm.training.batching import BatchPlan, plan_batches
from ddd_llm.training.errors import BadData, BadRecipe, Preempted
from ddd_llm.training.job import TrainingJob
from ddd_llm.training.lora import lora_config
from ddd_llm.training.machine import Machine
from ddd_llm.training.reporting import Report
from ddd_llm.training.resume import find_checkpoint
from ddd_llm.training.reward.recipe import RewardKind, RewardRecipe
from ddd_llm.training.rlhf.output import Measured, Results, TraceFolder, write_output
from ddd_llm.training.rlhf.prompts import PolicyPrompt, Prompts, read_prompts
from ddd_llm.training.rlhf.recipe import TOXICITY, RlhfRecipe
from ddd_llm.training.rlhf.rerank import best_of, taken
from ddd_llm.training.rlhf.rewards import Reward, score
from ddd_llm.training.timing import attempt_timings


class RlhfJob(TrainingJob):
    """Reinforcement learning of the supervised model's adapter, or of a fresh one on the bare base where the job names none.

    `dataset` holds instruction examples, whose prompts are answered, `inputs` the folder of each reward model by its name.
    """

    entry: str = __name__
    recipe: RlhfRecipe = RlhfRecipe()  # pyright: ignore[reportIncompatibleVariableOverride]


JOB = RlhfJob
_AT_ONCE = 48  # answers measured together, where a rollout is smaller: the weights are read once for all of them


def run(job: RlhfJob, stop: StopRequest, report: Report) -> None:
    """Train, resume if there is a checkpoint of this very job, and leave the output folder.

    Raises:
        BadData: no prompts, fewer than a rollout takes, or an adapter or reward model that belongs to another base.
        BadRecipe: a reward without its model, several processes, or the machine lacks what is asked for.
        NonFiniteLoss: the loss or gradient is no number.
        Preempted: `stop` was requested; a checkpoint is there.
    """
    from transformers.utils.logging import disable_progress_bar

    from ddd_llm.training.callbacks import Checkpoints, FiniteLoss, watch
    from ddd_llm.training.rlhf.progress import RolloutProgress

    started = time.perf_counter(), time.process_time()
    disable_progress_bar()
    recipe = job.recipe
    if recipe.processes != 1:
        raise BadRecipe("Reinforcement learning runs in one process: set rlhf.processes to 1")
    report({"kind": "phase", "message": "loading policy, critic and reward models"})
    base = base_info(job.base)
    tokenizer = load_tokenizer(job.base)
    prompts = read_prompts(job.dataset, tokenizer, recipe.max_length, recipe.held_out_prompts)
    plan = _plan(prompts, recipe)
    machine, config = resolve_machine(job)
    job_digest = job.digest(base.digest, {**machine.asdict(), "plan": plan.digest})
    trainer = _trainer(job, base, machine, config, tokenizer, prompts, plan)
    counts = f"{len(prompts.train)} prompts, {len(prompts.held_out)} held out, refused: {prompts.told()}"
    report({"kind": "phase", "message": f"{counts}; {recipe.rollouts} rollouts"})
    with matching_types(trainer.model, machine):
        asked = f"answering {len(prompts.held_out)} held-out prompts"
        report({"kind": "phase", "message": f"{asked} before training, once and {recipe.best_of} times"})
        before = _measure(trainer, prompts.held_out)
        chosen = _measure(trainer, prompts.held_out, recipe.best_of) if recipe.best_of > 1 else None
        found = find_checkpoint(job.scratch, job_digest, trainer, report)
        progress = RolloutProgress(report)
        watch(trainer, FiniteLoss(), progress, Checkpoints(recipe, job.scratch, job_digest, stop, report))
        trainer.train(resume_from_checkpoint=str(found.folder) if found.folder else None)
        if trainer.state.global_step < recipe.steps:
            raise Preempted(f"Stopped after step {trainer.state.global_step} of {recipe.steps}")
        report({"kind": "phase", "message": f"{asked} after training"})
        after = _measure(trainer, prompts.held_out)
    timings = attempt_timings(recipe, found.step, progress.seconds, started)
    write_output(job, base, machine, trainer, tokenizer, Results(prompts, plan, before, after, chosen, timings))


def _plan(prompts: Prompts, recipe: RlhfRecipe) -> BatchPlan:
    lengths = [prompt.tokens for prompt in prompts.train]
    try:
        return plan_batches(lengths, recipe.prompts, recipe.rollouts, recipe.seed, recipe.length_window)
    except ValueError as error:
        raise BadData(f"No rollout can be made: {error}") from error


def _trainer(
    job: RlhfJob,
    base: BaseModelInfo,
    machine: Machine,
    config: Any,
    tokenizer: Any,
    prompts: Prompts,
    plan: BatchPlan,
) -> Any:
    import copy

    from datasets import Dataset
    from transformers import set_seed
    from trl import GRPOConfig  # pyright: ignore[reportPrivateImportUsage]

    from ddd_llm.training.reward.model import fresh_model
    from ddd_llm.training.rlhf.trainer import DenseRewardTrainer

    recipe = job.recipe
    rewards = _rewards(job, base, machine, tokenizer)
    settings = RewardRecipe(
        lora=recipe.critic_lora, layers=recipe.critic_layers, seed=recipe.seed, kind=RewardKind(learns_from="pairs")
    )
    critic = fresh_model(job.base, copy.deepcopy(config), machine, settings).to(machine.device)
    model = _policy(job, base, machine, config)
    order = [i for batch in plan.batches for i in batch]
    rows = {
        "prompt": [prompts.train[i].prompt for i in order],
        "row": order,
    }
    arguments = GRPOConfig(
        **training_arguments(job, machine),
        beta=0.0,
        loss_type="bnpo",
        epsilon=recipe.clip,
        num_generations=recipe.samples,
        steps_per_generation=recipe.answers // recipe.batch_size,
        num_iterations=recipe.passes,
        shuffle_dataset=False,
        max_completion_length=recipe.max_new_tokens,
        temperature=recipe.temperature,
    )
    set_seed(recipe.seed)  # what was loaded before drew numbers, as many as there are reward models
    return DenseRewardTrainer(
        recipe=recipe,
        machine=machine,
        critic=critic,
        rewards=rewards,
        facts=[prompt.facts for prompt in prompts.train],
        planned=plan.batches,
        on_rollout=TraceFolder(job.scratch, [prompt.id for prompt in prompts.train], recipe),
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict(rows),
        processing_class=tokenizer,
    )


def _policy(job: RlhfJob, base: BaseModelInfo, machine: Machine, config: Any) -> Any:
    """The model whose adapter `default` is trained; the adapter `reference`, or the bare base where there is none, is what it is
    held to."""
    from peft import get_peft_model
    from transformers import set_seed

    from ddd_llm.training.rlhf.trainer import REFERENCE

    model = load_model(job.base, config, machine)
    if job.adapter is None:
        set_seed(job.recipe.seed)
        return get_peft_model(model, lora_config(job.recipe.lora)).to(machine.device)
    model = load_adapter(model, job.adapter, base)
    model = load_adapter(model, job.adapter, base, REFERENCE, trainable=False).to(machine.device)
    model.set_adapter("default")
    return model


def _rewards(job: RlhfJob, base: BaseModelInfo, machine: Machine, tokenizer: Any) -> dict[str, Reward]:
    from ddd_llm.training.rlhf.brevity import brevity
    from ddd_llm.training.rlhf.listing import listing, names, omissions
    from ddd_llm.training.rlhf.model_reward import ModelReward
    from ddd_llm.training.rlhf.toxicity import HttpScorer, NonToxicity, ToxicityDelta, packaged_scorer

    found: dict[str, Reward] = {}
    rules: dict[str, Reward] = {"listing": listing, "names": names, "omissions": omissions, "brevity": brevity}
    for name, spec in sorted(job.recipe.rewards.items()):
        if spec.source in rules:
            found[name] = rules[spec.source]
        elif spec.source in TOXICITY:
            scorer = HttpScorer(spec.url) if spec.url else packaged_scorer
            found[name] = (ToxicityDelta if spec.source == "toxicity" else NonToxicity)(scorer)
        elif name not in job.inputs:
            there = ", ".join(sorted(job.inputs)) or "none"
            raise BadRecipe(f"rlhf.rewards names {name}, and there is no such reward model: there are {there}")
        else:
            size, pad = job.recipe.batch_size, tokenizer.pad_token_id
            found[name] = ModelReward(job.inputs[name], job.base, base, spec, machine, pad, size)
    return found


def _measure(trainer: Any, prompts: Sequence[PolicyPrompt], samples: int = 1) -> Measured:
    """One sampled answer for each prompt, the best of `samples`; the same random numbers before and after, and the training's own
    are put back."""
    import torch

    recipe = trainer.recipe
    measured = Measured([], {name: [] for name in recipe.rewards}, [])
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    model = trainer.accelerator.unwrap_model(trainer.model)
    was_training = model.training
    model.eval()
    with torch.random.fork_rng(devices):
        torch.manual_seed(recipe.seed)
        at_once = max(1, max(recipe.answers, _AT_ONCE) // samples)
        for start in range(0, len(prompts), at_once):
            here = prompts[start : start + at_once]
            part = [{"prompt": p.prompt, "facts": p.facts} for p in here for _ in range(samples)]
            answers, batch = trainer.sample(part)
            scores = score(trainer.rewards, answers)
            places = best_of(scores, recipe, samples)
            measured.answers.extend(answers[i] for i in places)
            measured.reference += trainer.reference_likelihoods({name: rows[places] for name, rows in batch.items()})
            for name, rows in taken(scores, places).items():
                measured.scores[name].extend(rows)
    model.train(was_training)
    trainer.forget_figures()
    return measured
