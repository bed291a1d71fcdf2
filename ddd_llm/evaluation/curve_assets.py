"""The asset that says whether more examples would help."""

from __future__ import annotations

import dagster as dg

from ddd_llm.platform.inputs import load_section
from ddd_llm.platform.lineage import lineage_check
from ddd_llm.platform.nodes import Config
from ddd_llm.platform.settings import Settings
from ddd_llm.platform.step import Step
from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.session import Held
from ddd_llm.training.steps import require_plans, run_job, training_asset

GROUP = "evaluation"


def _config(settings: Settings) -> Config:
    from ddd_llm.evaluation.learning_curve import CurveConfig
    from ddd_llm.evaluation.recipe import EvaluationRecipe
    from ddd_llm.training.recipe import SftRecipe

    decoding = load_section(settings.recipe, "evaluation", EvaluationRecipe).generation
    return {
        "curve": load_section(settings.recipe, "learning_curve", CurveConfig).model_dump(mode="json"),
        "sft": load_section(settings.recipe, "sft", SftRecipe).model_dump(mode="json"),
        "decoding": decoding.model_dump(mode="json", include={"dtype", "device"}),
    }


@training_asset(
    group=GROUP,
    kinds={"pytorch", "huggingface", "trl"},
    inputs=["base_model", "sft_model", "instruction_dataset"],
    config=_config,
    columns={
        "id": "Held-out example.",
        "component": "Modules and near-duplicates that it belongs to.",
        "examples": "How many examples the model was trained on; 0 is the base.",
        "nats": "Loss per token of the answer.",
    },
)
def learning_curve(step: Step, context: dg.AssetExecutionContext) -> None:
    """Whether more examples would help: models trained on nested parts of what `sft_model` was trained on, with the same recipe
    and as many steps fewer, measured on the same held-out answers.

    The gain of each step is paired, with an interval over components, and given per doubling of the examples: what another
    doubling may bring, if it goes on like that.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from ddd_llm.evaluation.curve_page import report_curve
    from ddd_llm.evaluation.generate import GenerationConfig
    from ddd_llm.evaluation.learning_curve import CurveConfig, gains, losses, parts
    from ddd_llm.training.recipe import SftRecipe
    from ddd_llm.training.sft import SftJob

    require_plans(step)
    config, recipe = CurveConfig.model_validate(step.config["curve"]), SftRecipe.model_validate(step.config["sft"])
    examples = step.table("instruction_dataset", "examples")
    trained = step.table("sft_model", "trained_on", columns=["id"])["id"].to_pylist()
    base = step.checkout(step.held("base_model"), "model/", "base")
    adapters = {}
    for part in parts(examples, trained, recipe, config):
        size = len(part.ids)
        data, output = step.scratch() / f"{size}.parquet", step.scratch() / f"output-{size}"
        pq.write_table(examples.filter(pc.field("id").isin(part.ids)), data)
        step.log.info(f"{step.node.name}: {size:,} of {len(trained):,} examples, {part.recipe.steps} steps")
        job = SftJob(base=base, dataset=data, recipe=part.recipe, scratch=step.resumable() / str(size), output=output)
        run_job(step, job, context)
        adapters[size] = output / "adapter"
    adapters[len(trained)] = step.checkout(step.held("sft_model"), "adapter/", "supervised")
    with step.timed("measure"):
        decoding = GenerationConfig.model_validate(step.config["decoding"])
        found = losses(base, adapters, examples, recipe.max_length, config, decoding, step.progress("held-out answers"))
    step.put_table("losses", found)
    report_curve(step, found, gains(found))


CHECKS = {"more_examples_help": "The last step of the curve lowers the loss of held-out answers, beyond chance."}


@lineage_check(asset="learning_curve", checks=CHECKS)
def curve_checks(
    held: Held, store: ArtifactStore, settings: Settings
) -> dict[str, tuple[bool, str, dict[str, object]]]:
    """Reads the figures that the record holds; it warns: where more examples stopped helping, better ones may."""
    steps = held.record.summary["gains"]
    if not steps or steps[-1]["low"] is None:
        return {"more_examples_help": (False, "nothing was held out, so nothing is known", {})}
    last = steps[-1]
    said = (
        f"from {last['from']:,} to {last['to']:,} examples the loss falls by {last['gain']:+.3f} nats per token "
        f"({last['low']:+.3f} to {last['high']:+.3f})"
    )
    if last["per_doubling"] is not None:
        said += f", {last['per_doubling']:+.3f} with each doubling"
    return {"more_examples_help": (last["low"] > 0, said, {"gain": last["gain"]})}
