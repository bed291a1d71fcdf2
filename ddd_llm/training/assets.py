"""The supervised model. `worker` is the process that trains."""

import dagster as dg
import pyarrow.parquet as pq

from ddd_llm.platform.inputs import load_section
from ddd_llm.platform.nodes import Config
from ddd_llm.platform.settings import Settings
from ddd_llm.platform.step import Step
from ddd_llm.training.steps import keep, require_plans, run_job, training_asset

GROUP = "training"


def _sft_config(settings: Settings) -> Config:
    from ddd_llm.training.recipe import SftRecipe

    return load_section(settings.recipe, "sft", SftRecipe).model_dump(mode="json")


@training_asset(
    group=GROUP,
    kinds={"pytorch", "huggingface", "trl"},
    inputs=["base_model", "instruction_dataset"],
    config=_sft_config,
    columns={"id": "Example that was trained on.", "times": "How often.", "loss_tokens": "Tokens that gave a loss."},
)
def sft_model(step: Step, context: dg.AssetExecutionContext) -> None:
    """A LoRA adapter trained on the instruction pairs (supervised fine-tuning, loss on the responses only).

    One subprocess trains, here or in a Kubernetes job with a GPU; its loss runs live in the log. Deterministic under the
    recipe's seed; stopped at any moment, it resumes from its last verified checkpoint to the same weights. `trained_on` lists the
    examples that were really trained on: being in the dataset is not yet that.
    """
    from ddd_llm.training.recipe import SftRecipe
    from ddd_llm.training.sft import SftJob

    require_plans(step)
    resumable = step.resumable()
    base = step.checkout(step.held("base_model"), "model/", "base")
    data = step.scratch() / "examples.parquet"
    pq.write_table(step.table("instruction_dataset", "examples"), data)
    output = step.scratch() / "output"
    job = SftJob(
        base=base,
        dataset=data,
        recipe=SftRecipe.model_validate(step.config),
        scratch=resumable,
        output=output,
    )
    run_job(step, job, context)
    keep(step, output, "nats per response token")
