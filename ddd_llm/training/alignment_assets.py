"""Assets that train on feedback: preference optimisation, reward models, and reinforcement learning from them."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from ddd_llm.platform.inputs import InputError, load_section, section_of
from ddd_llm.platform.lineage import lineage_check
from ddd_llm.platform.nodes import Config, Input
from ddd_llm.platform.settings import Settings, load_settings
from ddd_llm.platform.step import Step
from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.session import Held
from ddd_llm.training.steps import keep, require_plans, run_job, training_asset

GROUP = "alignment"


def _dpo_config(settings: Settings) -> Config:
    from ddd_llm.training.recipe import DpoRecipe

    return load_section(settings.recipe, "dpo", DpoRecipe).model_dump(mode="json")


DPO_CHECKS = {
    "likelihood_kept": "The chosen answers of held-out pairs have not become much less likely: no likelihood collapse.",
    "better_than_supervised": "On held-out pairs it prefers the better answer more strongly than the supervised model.",
}


@training_asset(
    group=GROUP,
    kinds={"pytorch", "huggingface", "trl"},
    inputs=["base_model", "sft_model", "preference_pairs"],
    config=_dpo_config,
    columns={"id": "Pair that was trained on.", "times": "How often."},
)
def dpo_model(step: Step, context: dg.AssetExecutionContext) -> None:
    """The supervised adapter trained on preference pairs (direct preference optimisation); the supervised model is the reference.

    Held-out pairs are measured before and after: how often the better answer is the likelier one per token, the implicit
    reward's margin, and how the likelihood of the chosen answers moved, paired and with an interval over components.
    `trained_on` lists the pairs that were really trained on.
    """
    from ddd_llm.training.dpo import DpoJob
    from ddd_llm.training.recipe import DpoRecipe

    require_plans(step)
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
    run_job(step, job, context)
    keep(step, output, "nats per pair or segment")
    _put_rows(step, output, "held_out", "refused")


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


@training_asset(
    group=GROUP,
    kinds={"pytorch", "huggingface"},
    inputs=["base_model", "span_feedback", "preference_pairs"],
    variants=_reward_kinds(),
    config=_reward_config,
    columns={"id": "Answer or pair that was trained on.", "times": "How often."},
)
def reward_models(step: Step, context: dg.AssetExecutionContext) -> None:
    """One model per kind of reward, which scores an answer at the end of every segment: relevance per clause, factuality per
    sentence, completeness of the whole (from span feedback), and the holistic baseline (from preferences).

    Each has its own held-out figures: F1 of errors with an interval, calibration, and trivial baselines it must beat.
    `trained_on` lists what was really trained on, with annotators and documents in the feedback's own table.
    """
    from ddd_llm.training.reward.recipe import RewardModelsRecipe
    from ddd_llm.training.reward.run import RewardJob

    require_plans(step)
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
    run_job(step, job, context)
    keep(step, output, "nats per pair or segment")
    _put_rows(step, output, "held_out", "refused")
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


def _rlhf_config(settings: Settings) -> Config:
    from ddd_llm.training.rlhf.recipe import RlhfRecipe

    return load_section(settings.recipe, "rlhf", RlhfRecipe).model_dump(mode="json")


RLHF_CHECKS = {
    "reward_grew": "Answers to held-out prompts earn more than the supervised model's, beyond chance.",
    "fluency_kept": "Their perplexity under the supervised model has not grown beyond the recipe's factor.",
}


@training_asset(
    group=GROUP,
    kinds={"pytorch", "huggingface", "trl"},
    inputs=["base_model", "sft_model", Input("reward_models", over="all"), "instruction_dataset"],
    config=_rlhf_config,
    columns={"id": "Example whose prompt was answered.", "times": "In how many rollouts."},
)
def rlhf_model(step: Step, context: dg.AssetExecutionContext) -> None:
    """The supervised adapter trained by fine-grained reinforcement learning: answers are sampled, every reward model scores its
    segments, and proximal policy optimisation with a critic learns from the reward of each token.

    The page shows sampled answers coloured by reward, the curves, and how far the rewards pull in different directions.
    `traces` holds state, action and reward of every token of every rollout.
    """
    from ddd_llm.training.rlhf.recipe import RlhfRecipe
    from ddd_llm.training.rlhf.report import report_rlhf
    from ddd_llm.training.rlhf.run import RlhfJob

    require_plans(step)
    recipe = RlhfRecipe.model_validate(step.config)
    data = step.scratch() / "prompts.parquet"
    pq.write_table(step.table("instruction_dataset", "examples"), data)
    models = {
        held.record.partition: step.checkout(held, "", f"reward-{held.record.partition}")
        for held in step.inputs("reward_models")
        if held.record.partition in recipe.rewards
    }
    output = step.scratch() / "output"
    job = RlhfJob(
        base=step.checkout(step.held("base_model"), "model/", "base"),
        adapter=step.checkout(step.held("sft_model"), "adapter/", "supervised"),
        dataset=data,
        inputs={str(name): folder for name, folder in models.items()},
        recipe=recipe,
        scratch=step.resumable(),
        output=output,
    )
    run_job(step, job, context)
    keep(step, output, None)
    _put_rows(step, output, "held_out", "traces", "refused")
    report_rlhf(step, output, recipe)


@lineage_check(asset="rlhf_model", checks=RLHF_CHECKS)
def rlhf_checks(held: Held, store: ArtifactStore, settings: Settings) -> dict[str, tuple[bool, str, dict[str, object]]]:
    """Reads the figures that the record holds; they warn."""
    found = json.loads(store.read_bytes(held.record.files["metrics.json"]))
    if "held_out_gain" not in found:
        return dict.fromkeys(RLHF_CHECKS, (False, "no prompt was held out, so nothing is known", {}))
    low = found["held_out_gain_low"]
    said = (
        f"reward per answer {found['held_out_reward_before']:.3f} -> {found['held_out_reward_after']:.3f}, "
        f"{_interval(found, 'held_out_gain')}, on {found['held_out_prompts']} prompts"
    )
    ratio, most = found["held_out_fluency_ratio"], held.record.config["fluency_at_most"]
    before, after = found["held_out_perplexity_before"], found["held_out_perplexity_after"]
    two = f"{found['held_out_distinct_2_before']:.3f} -> {found['held_out_distinct_2_after']:.3f}"
    fluent = f"perplexity {before:.2f} -> {after:.2f} (factor {ratio:.2f}, at most {most}); distinct bigrams {two}"
    return {
        "reward_grew": (low is not None and low > 0, said, {"gain": found["held_out_gain"]}),
        "fluency_kept": (ratio <= most, fluent, {"ratio": ratio}),
    }


def _put_rows(step: Step, output: Path, *names: str) -> None:
    """Tables that the worker left beside `trained_on`."""
    for name in names:
        step.put_table(name, pq.read_table(output / f"{name}.parquet"))


def _interval(found: dict[str, Any], name: str) -> str:
    low, high = found[f"{name}_low"], found[f"{name}_high"]
    return f"{found[name]:+.3f} ({f'{low:+.3f} to {high:+.3f}' if low is not None else 'interval undefined'})"
