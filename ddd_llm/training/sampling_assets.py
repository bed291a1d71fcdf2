"""Assets of answers that the supervised model itself gives: sampled for comparison, and compared by a machine."""

import json

from ddd_llm.feedback.steps import plan_config, plan_of
from ddd_llm.platform.cluster import GPU_POOL, gpu_tags
from ddd_llm.platform.inputs import InputError, load_section
from ddd_llm.platform.lineage import lineage_asset, lineage_check, refuse
from ddd_llm.platform.nodes import Config
from ddd_llm.platform.settings import Settings
from ddd_llm.platform.step import Step
from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.session import Held
from ddd_llm.training.steps import OWNER

GROUP = "feedback"


def _sampling_config(settings: Settings) -> Config:
    from ddd_llm.corpus.governors import privacy_config
    from ddd_llm.training.sampling import SamplingRecipe

    recipe = load_section(settings.recipe, "feedback", SamplingRecipe)
    return {"sampling": recipe.model_dump(mode="json"), **privacy_config(settings)}


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"pytorch", "huggingface"},
    inputs=["base_model", "sft_model", "instruction_dataset"],
    config=_sampling_config,
    columns={
        "id": "Digest of what is shown.",
        "responses": "Two answers of the supervised model.",
        "source_ids": "Documents that the prompt shows.",
    },
    op_tags=gpu_tags(),
    pool=GPU_POOL,
)
def sampled_answers(step: Step) -> None:
    """Two answers of the supervised model to each of some training prompts, as items for people to compare.

    `items.jsonl` is what `ddd-llm annotate take-samples` hands to annotators: preferences on a model's own answers teach it more
    than those on somebody else's. Identifiers that the model made up or recited are replaced, as `annotations` does it: the same
    answers have the same ids there.
    """
    from ddd_llm.corpus.governors import masks_of
    from ddd_llm.feedback.masking import masked_items
    from ddd_llm.feedback.reading import items_table
    from ddd_llm.feedback.records import line_of
    from ddd_llm.training.errors import TrainingError
    from ddd_llm.training.sampling import SamplingRecipe, sample_items

    recipe = SamplingRecipe.model_validate(step.config["sampling"])
    base = step.checkout(step.held("base_model"), "model/", "base")
    adapter = step.checkout(step.held("sft_model"), "adapter/", "supervised")
    try:
        with step.timed("sample"):
            found = sample_items(
                base, adapter, step.table("instruction_dataset", "examples"), recipe, step.progress("prompts answered")
            )
    except TrainingError as error:
        raise refuse(error, retry=error.retry) from error
    items = masked_items(found.items, masks_of(step.settings))
    step.put_table("items", items_table(items))
    step.put_file("items.jsonl", b"".join(line_of(item) for item in items))
    step.summary |= {"items": len(items), "passed_over": found.passed_over}


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"python", "parquet"},
    inputs=["base_model", "sampled_answers", "adjudicated_labels"],
    config=plan_config("judge", "acceptance"),
    columns={
        "item_id": "What was compared.",
        "preferred": "first, second or tie; null where the judge gave none.",
        "reason": "Why there is none.",
        "judge": "Which machine.",
    },
)
def ai_preferences(step: Step) -> None:
    """Sampled answers compared by a machine in place of people (RLAIF): an OpenAI-compatible endpoint or the base model itself.

    Each item is judged in both orders. A random sample by risk goes to people (`to_label.jsonl`); only a batch whose sample they
    agree with, by the stated operating characteristic, is trained on. With `judge.kind: none` in the plan nothing is judged.
    """
    from ddd_llm.feedback.pair_reports import report_ai_preferences
    from ddd_llm.feedback.preferences.batch import judge_batch
    from ddd_llm.feedback.preferences.judge import EndpointJudge
    from ddd_llm.feedback.reading import items_of, items_table
    from ddd_llm.feedback.records import line_of
    from ddd_llm.instructions.prompts import stable_hash
    from ddd_llm.training.recipe import MachineRecipe

    plan = plan_of(step)
    items = sorted(
        items_of(step.table("sampled_answers", "items")).values(), key=lambda item: stable_hash("judge", item.id)
    )
    chosen = items[: plan.judge.items] if plan.judge.kind != "none" else []
    if not chosen:
        judge = None
    elif plan.judge.kind == "local":
        from ddd_llm.training.local_judge import LocalJudge

        judge = LocalJudge(step.checkout(step.held("base_model"), "model/", "base"), MachineRecipe(max_length=2048))
    else:
        try:
            judge = EndpointJudge(plan.judge)
        except ValueError as error:
            raise InputError(str(error)) from error
    settled = {
        row["item_id"]: json.loads(row["value"])["preferred"]
        for row in step.table("adjudicated_labels", "adjudicated").to_pylist()
        if row["kind"] == "preference"
    }
    said = step.progress("items judged")
    with step.timed("judge"):
        batch = judge_batch(chosen, judge, settled, plan.acceptance, lambda done: said(done, len(chosen)))
    step.put_table("judged", batch.judged)
    step.put_table("items", items_table(chosen))
    step.put_json("acceptance.json", batch.acceptance())
    step.put_file("to_label.jsonl", b"".join(line_of(item) for item in batch.sample))
    report_ai_preferences(step, batch)


@lineage_check(
    asset="ai_preferences",
    checks={"batch_accepted": "People agree with the judge on a sample, as the plan's operating characteristic asks."},
)
def acceptance_checks(
    held: Held, store: ArtifactStore, settings: Settings
) -> dict[str, tuple[bool, str, dict[str, object]]]:
    """Reads the verdict that the record holds; it warns, and a batch that is not accepted gives no pair."""
    found = json.loads(store.read_bytes(held.record.files["acceptance.json"]))
    if not held.record.rows:
        return {"batch_accepted": (True, "no machine judges in place of people", {"judged": 0})}
    passed = found["outcome"] == "accepted"
    return {"batch_accepted": (passed, f"{found['outcome']}: {found['sentence']}", {"judged": found["judged"]})}
