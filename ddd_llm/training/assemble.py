"""The parts of a training run, each made from its job: base model, tokenizer, machine, plan, trainer.

Belongs here: turning a recipe into the arguments of the libraries. Does not: the order of events (`sft`).
Heavy inside functions: torch, transformers, trl, peft, datasets.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddd_llm.training.base_model import BaseModelError, BaseModelInfo, read_info
from ddd_llm.training.batching import BatchPlan, plan_batches
from ddd_llm.training.errors import BadData, BadRecipe
from ddd_llm.training.examples import Encoded, Examples
from ddd_llm.training.job import TrainingJob
from ddd_llm.training.lora import lora_config
from ddd_llm.training.machine import Machine, choose
from ddd_llm.training.recipe import MachineRecipe, TrainingRecipe

if TYPE_CHECKING:
    from ddd_llm.training.sft import SftJob
    from ddd_llm.training.trainer import ResponseTrainer


def base_info(folder: Path) -> BaseModelInfo:
    """The base model's identity, its bytes verified.

    Raises:
        BadRecipe: no base model, or other bytes than it was prepared with.
    """
    try:
        return read_info(folder)
    except BaseModelError as error:
        raise BadRecipe(str(error)) from error


def resolve_machine(job: TrainingJob) -> tuple[Machine, Any]:
    """What the recipe's `auto` settings mean here, and the model's configuration. Sets this process's threads.

    Raises:
        BadRecipe: the machine lacks what the recipe asks for.
    """
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(job.base, trust_remote_code=False, local_files_only=True)
    machine = choose(job.recipe, config, int(os.environ.get("WORLD_SIZE", "1")))
    torch.set_num_threads(machine.threads)
    return machine, config


def load_tokenizer(folder: Path) -> Any:
    """The base model's tokenizer, with a padding token."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def make_plan(examples: Examples, recipe: TrainingRecipe) -> BatchPlan:
    """The order of training, for all processes and accumulation steps.

    Raises:
        BadData: fewer examples than one batch takes.
    """
    lengths = [len(e.input_ids) for e in examples.train]
    batches = recipe.steps * recipe.gradient_accumulation * recipe.processes
    try:
        return plan_batches(lengths, recipe.batch_size, batches, recipe.seed, recipe.length_window, recipe.processes)
    except ValueError as error:
        raise BadData(f"No batch can be made: {error}") from error


@dataclass(frozen=True)
class Opened:
    """A model to be asked: its name with the base's digest, and everything that asking takes."""

    name: str
    config: Any
    machine: Machine
    tokenizer: Any
    model: Any


def open_model(base: Path, adapter: Path | None, recipe: MachineRecipe) -> Opened:
    """The base, with an adapter where one is given, on the machine that the recipe asks for.

    Raises:
        BadRecipe, BadData: as training, of the base and the adapter.
    """
    import torch
    from transformers import AutoConfig

    from ddd_llm.training.adapters import load_adapter

    info = base_info(base)
    config = AutoConfig.from_pretrained(base, trust_remote_code=False, local_files_only=True)
    machine = choose(recipe, config, 1)
    torch.set_num_threads(machine.threads)
    model = load_model(base, config, machine)
    if adapter is not None:
        model = load_adapter(model, adapter, info, trainable=False)
    name = f"{info.id}@sha256:{info.digest[:16]}"
    return Opened(name, config, machine, load_tokenizer(base), model.to(machine.device).eval())


def load_model(folder: Path, config: Any, machine: Machine) -> Any:
    """The base model, from safetensors and without code of its own, in the machine's number type."""
    import torch
    from transformers import AutoModelForCausalLM

    config.use_cache = False
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        config=config,
        dtype=torch.bfloat16 if machine.dtype == "bf16" else torch.float32,
        trust_remote_code=False,
        use_safetensors=True,
        local_files_only=True,
    )
    model.config.name_or_path = folder.name
    return model


def make_trainer(
    job: SftJob, machine: Machine, model: Any, tokenizer: Any, train: list[Encoded], plan: BatchPlan
) -> ResponseTrainer:
    """The trainer with a fresh adapter on the model, seeded by the recipe.

    Raises:
        BadRecipe: the model has no modules of the names in `lora.target_modules`.
    """
    import torch
    from datasets import Dataset
    from trl import SFTConfig  # pyright: ignore[reportPrivateImportUsage]

    from ddd_llm.training.trainer import Collator, ResponseTrainer

    arguments = SFTConfig(
        **training_arguments(job, machine),
        activation_checkpointing=job.recipe.gradient_checkpointing and machine.device == "cuda",
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
    )

    rows = {
        "input_ids": [e.input_ids for e in train],
        "labels": [e.labels for e in train],
        "row": list(range(len(train))),
    }
    try:
        trainer = ResponseTrainer(
            plan=plan,
            half=machine.dtype == "bf16",
            eager_up_to=machine.eager_up_to,
            model=model,
            args=arguments,
            train_dataset=Dataset.from_dict(rows),
            data_collator=Collator(tokenizer.pad_token_id),
            processing_class=tokenizer,
            peft_config=lora_config(job.recipe.lora),
        )
    except ValueError as error:
        if "target modules" in str(error).lower():
            raise BadRecipe("The base model has no modules of the names in lora.target_modules") from error
        raise
    # Deterministic mode fills every new tensor so that reading forgotten values shows; it costs time and changes no result.
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    return trainer


def matching_types(model: Any, machine: Machine) -> AbstractContextManager[Any]:
    """Under autocast the adapter's weights are cast, so PEFT need not cast the activations first."""
    from peft.helpers import disable_input_dtype_casting

    return disable_input_dtype_casting(model) if machine.dtype == "bf16" else nullcontext()


def training_arguments(job: TrainingJob, machine: Machine) -> dict[str, Any]:
    """What a recipe says in the words of `TrainingArguments`, the same for every trainer of TRL.

    Deterministic, quiet, no network; the trainer's own mixed precision is off, because its autocast would turn every output to
    float32 (`half_precision` is ours); nothing is cut, for readers refuse what is too long.
    """
    recipe = job.recipe
    return {
        "output_dir": str(job.scratch),
        "max_steps": recipe.steps,
        "per_device_train_batch_size": recipe.batch_size,
        "gradient_accumulation_steps": recipe.gradient_accumulation,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": recipe.scheduler,
        "warmup_steps": recipe.warmup_steps,
        "weight_decay": recipe.weight_decay,
        "max_grad_norm": recipe.max_grad_norm,
        "seed": recipe.seed,
        "full_determinism": True,
        "use_cpu": machine.device == "cpu",
        "bf16": False,
        "gradient_checkpointing": False,
        "remove_unused_columns": False,
        "dataloader_pin_memory": machine.device == "cuda",
        "ddp_find_unused_parameters": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "steps",
        "save_steps": recipe.save_every,
        "eval_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "log_level": "error",
    }


def half_precision(machine: Machine) -> AbstractContextManager[Any]:
    """Matrix products in bfloat16 where the machine was chosen to; nothing otherwise."""
    import torch

    return torch.autocast(machine.device, torch.bfloat16) if machine.dtype == "bf16" else nullcontext()
