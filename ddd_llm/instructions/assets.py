"""Assets of the instructions stage: curated documents become question and answer pairs that a program can check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import ddd_llm.instructions.plans  # noqa: F401  (adds its plan to those a training asks for)
from ddd_llm.platform.expectations import load_suite, suite_verdicts
from ddd_llm.platform.inputs import InputError, load_section
from ddd_llm.platform.lineage import lineage_asset, lineage_check
from ddd_llm.platform.nodes import Config
from ddd_llm.platform.settings import CHECKOUT, Settings
from ddd_llm.platform.step import Step
from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.canonical import file_digest
from ddd_llm.store.session import Held

if TYPE_CHECKING:
    import pyarrow as pa

    from ddd_llm.instructions.own import OwnExamples
    from ddd_llm.instructions.recipe import DatasetConfig

GROUP = "instructions"
OWNER = "ml-engineering"
SUITE = "expectations/instruction_dataset.yaml"
EXAMPLE_COLUMNS = {
    "id": "Digest of task, sources and conversation.",
    "task": "What is asked: summary, parameters, default_value, unknown_parameter, ...",
    "split": "train, validation or test; never separated from its module and its near-duplicates.",
    "slice": "open_book when the prompt carries the passage, else closed_book.",
    "messages": "Conversation as JSON; the last message is the answer.",
    "facts": "What a program checks in an answer.",
    "source_ids": "Ids of the documents it was made from.",
    "component": "Modules and near-duplicates that stay in one split.",
    "generator": "What made it, and in which version (generator_version).",
}
DATASET_COLUMNS = {
    **EXAMPLE_COLUMNS,
    "author": "program, model or person.",
    "guideline": "Guideline and version that a person wrote it under; null where there was none.",
    "stage": "instruction, or what the recipe's dataset.mix lets in beside it.",
}


def _candidate_config(settings: Settings) -> Config:
    from ddd_llm.instructions.candidates import CandidateConfig

    return load_section(settings.recipe, "candidates", CandidateConfig).model_dump(mode="json")


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"python", "parquet"},
    inputs=["curated_documents"],
    config=_candidate_config,
    columns=EXAMPLE_COLUMNS,
)
def instruction_candidates(step: Step) -> None:
    """Every question that the documents can answer: what a function does, its parameters, defaults, return values, exceptions,
    examples, and questions about parameters that do not exist, which must be refused.

    Answers follow from the passage alone and carry the facts by which a program checks them.
    """
    from ddd_llm.instructions.candidates import CandidateConfig, candidates
    from ddd_llm.instructions.report import report_candidates

    with step.timed("generate"):
        made = candidates(step.table("curated_documents"), CandidateConfig.model_validate(step.config))
    step.put_table("candidates", made.table)
    step.put_table("decisions", made.decisions)
    report_candidates(step, made)


def own_example_paths(settings: Settings) -> list[Path]:
    """The files of the user's own examples that the recipe names; relative paths count from the recipe."""
    from ddd_llm.instructions.recipe import DatasetConfig

    entries = load_section(settings.recipe, "dataset", DatasetConfig).own_examples
    return [(settings.recipe.parent / Path(entry.path).expanduser()) for entry in entries]


def _dataset_config(settings: Settings) -> Config:
    from ddd_llm.instructions.coverage_plan import load_plan
    from ddd_llm.instructions.recipe import DatasetConfig
    from ddd_llm.platform.approvals import FIELDS

    config = load_section(settings.recipe, "dataset", DatasetConfig)
    files = [file_digest(path)[0] if path.is_file() else "absent" for path in own_example_paths(settings)]
    plan = load_plan(settings).model_dump(mode="json", exclude=set(FIELDS))
    made: Config = {"dataset": config.model_dump(mode="json"), "own_examples": files, "coverage_plan": plan}
    if config.own_examples:
        from ddd_llm.corpus.governors import governance_config

        made["own_governance"] = governance_config(settings, [entry.source for entry in config.own_examples])
    return made


def _own_examples(step: Step, config: DatasetConfig) -> list[OwnExamples]:
    # What may be learned from of each file that the recipe names.
    if not config.own_examples:
        return []
    from ddd_llm.corpus.governors import governors
    from ddd_llm.instructions.own import permitted, read_own_examples

    sources = [entry.source for entry in config.own_examples]
    permissions, masks = governors(step.settings, step.config["own_governance"], sources)
    paths = [_existing(path, step.settings) for path in own_example_paths(step.settings)]
    return [
        permitted(read_own_examples(path), source.name, permissions, masks)
        for path, source in zip(paths, sources, strict=True)
    ]


def _existing(path: Path, settings: Settings) -> Path:
    if not path.is_file():
        raise InputError(f"{settings.recipe}: dataset.own_examples: there is no file {path}")
    return path


EXPECTATIONS = {e.name: e.description for e in load_suite(CHECKOUT / "assets" / SUITE)}
COVERAGE = {"coverage_plan_met": "Every line of assets/policies/coverage.yaml is met; a shortfall warns."}
CHECKS = {**EXPECTATIONS, "no_leakage": "Nothing of the test split, nor anything like it, is in another split."}
ALL_CHECKS = {**CHECKS, **COVERAGE}


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"python", "parquet", "greatexpectations"},
    inputs=["instruction_candidates", "synthetic_candidates", "curated_documents", "similar_documents"],
    config=_dataset_config,
    checks=tuple(CHECKS),
    columns=DATASET_COLUMNS,
)
def instruction_dataset(step: Step) -> None:
    """The instruction pairs to train, validate and test on.

    Split by components of one module or near-duplicate documents (J >= .5), assigned by a stable hash, so that held-out
    modules test a skill and not memory, and a growing corpus moves no example. The user's own examples, and those that a model
    wrote, are mixed in only where the recipe says so; the latter in train alone.
    """
    from ddd_llm.instructions.build import build_dataset
    from ddd_llm.instructions.recipe import DatasetConfig
    from ddd_llm.instructions.report import report_dataset

    config = DatasetConfig.model_validate(step.config["dataset"])
    own = _own_examples(step, config)
    documents = step.table("curated_documents", columns=["id", "locator", "batch"])
    batches = [name for name, _, _ in step.segments("curated_documents")]
    with step.timed("build"):
        built = build_dataset(
            step.table("instruction_candidates", "candidates"),
            documents,
            step.table("similar_documents", "pairs"),
            config,
            own,
            batches,
            step.table("synthetic_candidates", "candidates"),
        )
    step.put_table("examples", built.table)
    step.put_table("decisions", built.decisions)
    step.put_table("coverage", built.coverage.table)
    step.put_table("quarantine", built.quarantine)
    report_dataset(step, built)


def _coverage(held: Held, examples: pa.Table) -> tuple[bool, str, dict[str, object]]:
    # The plan as it stood when the dataset was made.
    from ddd_llm.instructions.coverage_plan import CoveragePlan, hold_against

    cells = hold_against(CoveragePlan.model_validate(held.record.config["coverage_plan"]), examples)
    short = [f"{cell.what} ({cell.split}): {cell.found:,} of {cell.wanted:,}" for cell in cells if not cell.met]
    sentence = f"short of the plan: {'; '.join(short[:5])}" if short else f"all {len(cells)} lines of the plan are met"
    return not short, sentence, {"lines": len(cells), "short": len(short), "first": short[:20]}


@lineage_check(asset="instruction_dataset", checks=ALL_CHECKS, files=[SUITE])
def instruction_checks(
    held: Held, store: ArtifactStore, settings: Settings
) -> dict[str, tuple[bool, str, dict[str, object]]]:
    """Great Expectations suite `assets/expectations/instruction_dataset.yaml`, the coverage plan, and the search for leaks
    between splits."""
    from ddd_llm.instructions.leakage import find_leaks

    examples = store.read_table(held.record.tables["examples"])
    verdicts = suite_verdicts(examples, settings.assets / SUITE)
    leaks = find_leaks(examples)
    shown = [
        f"{leak.kind}: {leak.left_id} ({leak.left_split}), {leak.right_id} ({leak.right_split})" for leak in leaks[:20]
    ]
    sentence = (
        f"{len(leaks)} leaks between splits" if leaks else "no module, document, prompt or near-duplicate in two splits"
    )
    verdicts["coverage_plan_met"] = _coverage(held, examples)
    verdicts["no_leakage"] = (not leaks, sentence, {"leaks": len(leaks), "first": shown})
    return verdicts
