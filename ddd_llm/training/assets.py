"""Assets of the training stage: the pinned base model and the adapter trained on it. `worker` is the process that trains."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from ddd_llm.platform.cluster import GPU_POOL, gpu_tags
from ddd_llm.platform.inputs import InputError, load_section, section_of
from ddd_llm.platform.lineage import lineage_asset, lineage_check, refuse
from ddd_llm.platform.nodes import Config
from ddd_llm.platform.settings import Settings, load_settings
from ddd_llm.platform.step import Step
from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.session import Held

GROUP = "training"
OWNER = "ml-engineering"


def _require_plans(step: Step) -> None:
    """Refuse to train without approved plans, and record which ones it rested on. Raises InputError."""
    from datetime import date

    from ddd_llm.platform.readiness import require

    rows = require(step.settings, date.today())
    names = ("plan", "version", "digest", "approved_by", "approved_on")
    step.summary["plans"] = [{name: getattr(row, name) for name in names} for row in rows]


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
    from ddd_llm.training.sft import SftJob

    _require_plans(step)
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
    try:
        with step.timed("train", speaks=True):
            train(job, context)
    except TrainingError as error:
        raise refuse(error, retry=error.retry) from error
    _store(step, output)


def _dpo_config(settings: Settings) -> Config:
    from ddd_llm.training.recipe import DpoRecipe

    return load_section(settings.recipe, "dpo", DpoRecipe).model_dump(mode="json")


DPO_CHECKS = {
    "likelihood_kept": "The chosen answers of held-out pairs have not become much less likely: no likelihood collapse.",
    "better_than_supervised": "On held-out pairs it prefers the better answer more strongly than the supervised model.",
}


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"pytorch", "huggingface", "trl"},
    inputs=["base_model", "sft_model", "preference_pairs"],
    config=_dpo_config,
    columns={"id": "Pair that was trained on.", "times": "How often."},
    op_tags=gpu_tags(),
    pool=GPU_POOL,
    retry_policy=dg.RetryPolicy(max_retries=3, delay=30, backoff=dg.Backoff.EXPONENTIAL),
)
def dpo_model(step: Step, context: dg.AssetExecutionContext) -> None:
    """The supervised adapter trained on preference pairs (direct preference optimisation); the supervised model is the reference.

    Held-out pairs are measured before and after: how often the better answer is the likelier one per token, the implicit
    reward's margin, and how the likelihood of the chosen answers moved, paired and with an interval over components.
    `trained_on` lists the pairs that were really trained on.
    """
    from ddd_llm.training.dpo import DpoJob
    from ddd_llm.training.errors import TrainingError
    from ddd_llm.training.recipe import DpoRecipe
    from ddd_llm.training.run import train

    _require_plans(step)
    data = step.scratch() / "pairs.parquet"
    pq.write_table(step.table("preference_pairs", "pairs"), data)
    output = step.scratch() / "output"
    job = DpoJob(
        base=step.checkout(step.held("base_model"), "model/", "base"),
        adapter=step.checkout(step.held("sft_model"), "adapter/", "supervised"),
        dataset=data,
        recipe=DpoRecipe.model_validate(step.config),
        scratch=step.resumable(),
        output=output,
    )
    try:
        with step.timed("train", speaks=True):
            train(job, context)
    except TrainingError as error:
        raise refuse(error, retry=error.retry) from error
    _store(step, output, "nats per pair or segment")
    step.put_table("held_out", pq.read_table(output / "held_out.parquet"))
    step.put_table("refused", pq.read_table(output / "refused.parquet"))


@lineage_check(asset="dpo_model", checks=DPO_CHECKS)
def dpo_checks(held: Held, store: ArtifactStore, settings: Settings) -> dict[str, tuple[bool, str, dict[str, object]]]:
    """Reads the figures that the record holds; they warn."""
    found = json.loads(store.read_bytes(held.record.files["metrics.json"]))
    if "held_out_pairs" not in found:
        nothing = (False, "no pair was held out, so nothing is known", {})
        return dict.fromkeys(DPO_CHECKS, nothing)
    margin, accuracy = (_interval(found, f"held_out_{name}") for name in ("margin_gain", "gain"))
    change = (
        f"margin {found['held_out_margin_before']:.3f} -> {found['held_out_margin_after']:.3f} nats per token, {margin}; "
        f"accuracy {found['held_out_accuracy_before']:.3f} -> {found['held_out_accuracy_after']:.3f}, {accuracy}; on "
        f"{found['held_out_pairs']} pairs of {found['held_out_components']} components"
    )
    # The margin must have grown beyond chance, and accuracy, which may have been near 1 already, not fallen beyond it.
    low, top = found["held_out_margin_gain_low"], found["held_out_gain_high"]
    better = low is not None and low > 0 and top is not None and top >= 0
    before, after = found["held_out_chosen_nats_before"], found["held_out_chosen_nats_after"]
    nats = f"chosen answers {before:.3f} -> {after:.3f} nats per token"
    return {
        "likelihood_kept": (not found["held_out_collapsed"], nats, {"change": found["held_out_chosen_change"]}),
        "better_than_supervised": (better, change, {"margin_gain": found["held_out_margin_gain"]}),
    }


def _reward_config(settings: Settings) -> Config:
    from ddd_llm.training.reward.recipe import RewardModelsRecipe

    return load_section(settings.recipe, "reward_models", RewardModelsRecipe).model_dump(mode="json")


def _reward_kinds() -> tuple[str, ...]:
    """The built-in reward models and those that the recipe names. Where it cannot be read, a run says so."""
    built_in = {"completeness", "factuality", "holistic", "relevance"}
    try:
        return tuple(sorted(built_in | section_of(load_settings().recipe, "reward_models").get("kinds", {}).keys()))
    except (InputError, AttributeError):
        return tuple(sorted(built_in))


REWARD_CHECKS = {"beats_baselines": "On held-out feedback it is better than every trivial baseline, beyond chance."}


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"pytorch", "huggingface"},
    inputs=["base_model", "span_feedback", "preference_pairs"],
    variants=_reward_kinds(),
    config=_reward_config,
    columns={"id": "Answer or pair that was trained on.", "times": "How often."},
    op_tags=gpu_tags(),
    pool=GPU_POOL,
    retry_policy=dg.RetryPolicy(max_retries=3, delay=30, backoff=dg.Backoff.EXPONENTIAL),
)
def reward_models(step: Step, context: dg.AssetExecutionContext) -> None:
    """One model per kind of reward, which scores an answer at the end of every segment: relevance per clause, factuality per
    sentence, completeness of the whole (from span feedback), and the holistic baseline (from preferences).

    Each has its own held-out figures: F1 of errors with an interval, calibration, and trivial baselines it must beat.
    `trained_on` lists what was really trained on, with annotators and documents in the feedback's own table.
    """
    from ddd_llm.training.errors import TrainingError
    from ddd_llm.training.reward.recipe import RewardModelsRecipe
    from ddd_llm.training.reward.run import RewardJob
    from ddd_llm.training.run import train

    _require_plans(step)
    recipe = RewardModelsRecipe.model_validate(step.config).of(step.partition or "")
    source = ("span_feedback", "feedback") if recipe.kind.granularity else ("preference_pairs", "pairs")
    data = step.scratch() / "feedback.parquet"
    pq.write_table(step.table(*source), data)
    output = step.scratch() / "output"
    job = RewardJob(
        base=step.checkout(step.held("base_model"), "model/", "base"),
        dataset=data,
        recipe=recipe,
        scratch=step.resumable(),
        output=output,
    )
    try:
        with step.timed("train", speaks=True):
            train(job, context)
    except TrainingError as error:
        raise refuse(error, retry=error.retry) from error
    _store(step, output, "nats per pair or segment")
    step.put_table("held_out", pq.read_table(output / "held_out.parquet"))
    step.put_table("refused", pq.read_table(output / "refused.parquet"))
    step.put_json("recipe.json", recipe.model_dump(mode="json"))


@lineage_check(asset="reward_models", checks=REWARD_CHECKS)
def reward_checks(
    held: Held, store: ArtifactStore, settings: Settings
) -> dict[str, tuple[bool, str, dict[str, object]]]:
    """Reads the figures that the record holds; it warns."""
    found = json.loads(store.read_bytes(held.record.files["metrics.json"]))
    if "held_out_beats_baselines" not in found:
        return {"beats_baselines": (False, "too little is held out to tell", {})}
    if "held_out_f1" in found:
        said = (
            f"F1 of errors {found['held_out_f1']:.3f} ({found['held_out_f1_low']:.3f} to {found['held_out_f1_high']:.3f}) on "
            f"{found['held_out_segments']} segments; everything an error {found['held_out_f1_everything']:.3f}, by shape "
            f"{found['held_out_f1_shape']:.3f}; AUROC {found['held_out_auroc']:.3f}"
        )
    else:
        said = (
            f"the better answer scores higher in {found['held_out_accuracy']:.3f} of {found['held_out_pairs']} pairs; the "
            f"longer one is the better in {found['held_out_accuracy_longer']:.3f}"
        )
    return {"beats_baselines": (bool(found["held_out_beats_baselines"]), said, {})}


def _interval(found: dict[str, Any], name: str) -> str:
    low, high = found[f"{name}_low"], found[f"{name}_high"]
    return f"{found[name]:+.3f} ({f'{low:+.3f} to {high:+.3f}' if low is not None else 'interval undefined'})"


def _store(step: Step, output: Path, unit: str = "nats per response token") -> None:
    """Put what the worker left into the record."""
    from ddd_llm.training.curve import loss_curve_png

    step.put_folder("adapter/", output / "adapter")
    for name in ("losses.json", "metrics.json", "probe.safetensors"):
        if (output / name).is_file():  # a reward model has no probe: it is not registered by itself
            step.put_file(name, output / name)
    step.put_table("trained_on", pq.read_table(output / "trained_on.parquet"))
    losses = json.loads((output / "losses.json").read_bytes())
    step.put_picture("loss", loss_curve_png(losses, unit))
    step.summary |= json.loads((output / "metrics.json").read_bytes())
    measured = json.loads((output / "timings.json").read_bytes())
    seconds = {name for name in measured if name.endswith("_s") and not name.endswith("per_s")}
    step.timings |= {name: measured[name] for name in seconds}
    step.summary |= {name: value for name, value in measured.items() if name not in seconds}
