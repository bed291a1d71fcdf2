"""Assets of the training stage: the pinned base model and the adapter trained on it. `worker` is the process that trains."""

import json
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq

from ddd_llm.platform.cluster import GPU_POOL, gpu_tags
from ddd_llm.platform.inputs import load_section
from ddd_llm.platform.lineage import lineage_asset, refuse
from ddd_llm.platform.nodes import Config
from ddd_llm.platform.settings import Settings
from ddd_llm.platform.step import Step

GROUP = "training"
OWNER = "ml-engineering"


def _base_config(settings: Settings) -> Config:
    from ddd_llm.training.recipe import BaseModelSpec

    return load_section(settings.recipe, "base_model", BaseModelSpec).model_dump(mode="json")


@lineage_asset(group=GROUP, owner=OWNER, kinds={"huggingface", "safetensors"}, config=_base_config)
def base_model(step: Step) -> None:
    """The open-weight model that fine-tuning starts from, pinned by revision or file hash, with its licence.

    Kept in the store as safetensors, tokenizer and chat template, so that a file changed upstream under the same name is refused
    and training never downloads. The recipe's `base_model` section names another one.
    """
    from ddd_llm.training.base_model import BaseModelError, prepare
    from ddd_llm.training.recipe import BaseModelSpec

    spec = BaseModelSpec.model_validate(step.config)
    folder = step.scratch() / "model"
    try:
        with step.timed("prepare"):
            info = prepare(spec, folder, step.log.info)
    except BaseModelError as error:
        raise refuse(error) from error
    step.put_folder("model/", folder)
    step.sources = [{"name": spec.id, "licence": spec.licence, "kind": spec.kind}]
    step.summary |= {"model": spec.id, "licence": spec.licence, **info.summary()}


def _sft_config(settings: Settings) -> Config:
    from ddd_llm.training.recipe import SftRecipe

    return load_section(settings.recipe, "sft", SftRecipe).model_dump(mode="json")


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"pytorch", "huggingface", "trl"},
    inputs=["base_model", "instruction_dataset"],
    config=_sft_config,
    columns={"id": "Example that was trained on.", "times": "How often.", "loss_tokens": "Tokens that gave a loss."},
    op_tags=gpu_tags(),
    pool=GPU_POOL,
    retry_policy=dg.RetryPolicy(max_retries=3, delay=30, backoff=dg.Backoff.EXPONENTIAL),
)
def sft_model(step: Step, context: dg.AssetExecutionContext) -> None:
    """A LoRA adapter trained on the instruction pairs (supervised fine-tuning, loss on the responses only).

    One subprocess trains, here or in a Kubernetes job with a GPU; its loss runs live in the log. Deterministic under the
    recipe's seed; stopped at any moment, it resumes from its last verified checkpoint to the same weights. `trained_on` lists the
    examples that were really trained on: being in the dataset is not yet that.
    """
    from ddd_llm.training.errors import TrainingError
    from ddd_llm.training.recipe import SftRecipe
    from ddd_llm.training.run import train
    from ddd_llm.training.worker import TrainingJob

    resumable = step.resumable()
    base = step.checkout(step.held("base_model"), "model/", "base")
    data = step.scratch() / "examples.parquet"
    pq.write_table(step.table("instruction_dataset", "examples"), data)
    output = step.scratch() / "output"
    job = TrainingJob(
        kind="sft",
        base=base,
        dataset=data,
        recipe=SftRecipe.model_validate(step.config),
        scratch=resumable,
        output=output,
    )
    try:
        with step.timed("train", speaks=True):
            train(job, context)
    except TrainingError as error:
        raise refuse(error, retry=error.retry) from error
    _store(step, output)


def _store(step: Step, output: Path) -> None:
    """Put what the worker left into the record."""
    from ddd_llm.training.curve import loss_curve_png

    step.put_folder("adapter/", output / "adapter")
    for name in ("losses.json", "metrics.json", "probe.safetensors"):
        step.put_file(name, output / name)
    step.put_table("trained_on", pq.read_table(output / "trained_on.parquet"))
    losses = json.loads((output / "losses.json").read_bytes())
    step.put_picture("loss", loss_curve_png(losses))
    step.summary |= json.loads((output / "metrics.json").read_bytes())
    measured = json.loads((output / "timings.json").read_bytes())
    seconds = {name for name in measured if name.endswith("_s") and not name.endswith("per_s")}
    step.timings |= {name: measured[name] for name in seconds}
    step.summary |= {name: value for name, value in measured.items() if name not in seconds}
