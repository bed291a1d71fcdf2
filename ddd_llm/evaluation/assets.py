"""Assets of the evaluation stage: held-out questions, every model's answers to them, and the verdict on the difference."""

from __future__ import annotations

import ddd_llm.evaluation.plans  # noqa: F401  (adds its plan to those a training asks for)
from ddd_llm.platform.inputs import load_section
from ddd_llm.platform.lineage import lineage_asset, lineage_check
from ddd_llm.platform.nodes import Config
from ddd_llm.platform.settings import Settings
from ddd_llm.platform.step import Step
from ddd_llm.platform.versions import registrations
from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.session import Held, Session, ancestors

GROUP = "evaluation"
OWNER = "ml-engineering"
TUNED = "sft_model"


def _suite_config(settings: Settings) -> Config:
    from ddd_llm.evaluation.recipe import EvaluationRecipe

    return load_section(settings.recipe, "evaluation", EvaluationRecipe).suite.model_dump(mode="json")


@lineage_asset(
    group=GROUP, owner=OWNER, kinds={"python", "parquet"}, inputs=["instruction_dataset"], config=_suite_config
)
def evaluation_suite(step: Step) -> None:
    """Held-out questions that every model is asked, with the facts by which a program checks the answers.

    Chosen from the test split by a stable hash, evenly over tasks. `closed_book` questions come without their passage and are
    reported apart: they test memory, not the skill.
    """
    from ddd_llm.evaluation.suite import SuiteConfig, select_suite

    suite = select_suite(step.table("instruction_dataset", "examples"), SuiteConfig.model_validate(step.config))
    step.put_table("suite", suite)
    tasks: dict[str, int] = {}
    for task, slice_ in zip(suite["task"].to_pylist(), suite["slice"].to_pylist(), strict=True):
        tasks[f"{task} ({slice_})"] = tasks.get(f"{task} ({slice_})", 0) + 1
    step.summary |= {"items": len(suite), "items_per_task": tasks}


def champion_before(session: Session, settings: Settings) -> list[Held]:
    """The tuned model of the latest registered champion that differs from the candidate; none before the first.

    The candidate itself does not count even after its registration, so that registering it makes nothing stale.
    """
    candidate = session.read(TUNED).record.content
    for version in reversed(registrations(session.store)[0]):
        if version.alias != "champion" or version.name != settings.model_name:
            continue
        record = session.store.get_record(version.record)
        for digest, ancestor in ancestors(session.store, record.inputs, baselines=False).items():
            if ancestor.asset == TUNED and ancestor.content != candidate:
                return [Held(digest, ancestor)]
    return []


def _generation_config(settings: Settings) -> Config:
    from ddd_llm.evaluation.recipe import EvaluationRecipe

    return load_section(settings.recipe, "evaluation", EvaluationRecipe).generation.model_dump(mode="json")


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"pytorch", "parquet"},
    inputs=["evaluation_suite", "base_model", "sft_model"],
    config=_generation_config,
    baselines=champion_before,
)
def model_answers(step: Step) -> None:
    """Answers of the base model, the tuned model and (once there is one) the champion to the same questions: greedy decoding with
    the same settings in the same batches."""
    from ddd_llm.evaluation.generate import GenerationConfig, answers_for

    config = GenerationConfig.model_validate(step.config)
    suite = step.table("evaluation_suite", "suite")
    base = step.held("base_model")
    base_folder = step.checkout(base, "model/", "base")
    models = {"base": None, "tuned": step.checkout(step.held("sft_model"), "adapter/", "tuned")}
    champions = step.inputs("baseline")
    elsewhere = None
    for champion in champions:
        folder = step.checkout(champion, "adapter/", "champion")
        below = next(pin for pin in champion.record.inputs if pin.asset == "base_model")
        if below.content == base.record.content:
            models["champion"] = folder
        else:
            elsewhere = (
                step.checkout(Held(below.record, step.store.get_record(below.record)), "model/", "champion-base"),
                folder,
            )
    told = step.progress("answers")
    with step.timed("generate"):
        answers = answers_for(
            base_folder, models, suite, config, lambda done, of, rate: told(done, of, f"{rate:.0f} tokens/s")
        )
        if elsewhere is not None:
            answers |= answers_for(elsewhere[0], {"champion": elsewhere[1]}, suite, config)
    for name, table in answers.items():
        step.put_table(name, table)
    step.summary |= {
        "questions": len(suite),
        "models": list(answers),
        "tokens_generated": sum(sum(table["tokens"].to_pylist()) for table in answers.values()),
        "cut_off": {name: table["finish_reason"].to_pylist().count("length") for name, table in answers.items()},
    }


def _gate_config(settings: Settings) -> Config:
    from ddd_llm.evaluation.gate import load_gate
    from ddd_llm.platform.approvals import FIELDS

    return {"gate": load_gate(settings).model_dump(mode="json", exclude=set(FIELDS))}


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"python", "html"},
    inputs=["evaluation_suite", "model_answers", "instruction_dataset"],
    config=_gate_config,
    checks=("gate",),
)
def delta_report(step: Step) -> None:
    """Base against tuned (and champion) item by item: facts right and invented, refusals right, over-refusal; paired bootstrap
    interval, exact McNemar test, items that flipped either way, and the smallest difference that so many items can show.

    The gate's verdict is a required check of this asset: without it nothing is registered.
    """
    from ddd_llm.evaluation.delta import compare
    from ddd_llm.evaluation.gate import GatePolicy, decide
    from ddd_llm.evaluation.publish import publish

    suite = step.table("evaluation_suite", "suite")
    names = [name for name in ("base", "tuned", "champion") if name in step.held("model_answers").record.tables]
    answers = {name: step.table("model_answers", name) for name in names}
    with step.timed("score"):
        result = compare(suite, answers)
    verdict = decide(result, GatePolicy.model_validate(step.config["gate"]))
    publish(step, suite, answers, result, verdict)


@lineage_check(asset="delta_report", checks={"gate": "The tuned model may be registered: assets/policies/gate.yaml."})
def gate_check(held: Held, store: ArtifactStore, settings: Settings) -> dict[str, tuple[bool, str, dict[str, object]]]:
    """Reads the verdict that the report holds; anything but a clear pass is a failure."""
    from ddd_llm.evaluation.publish import gate_verdict

    return {"gate": gate_verdict(store.read_bytes(held.record.files["gate.json"]))}
