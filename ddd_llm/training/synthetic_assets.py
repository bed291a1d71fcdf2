"""The asset of examples that a model writes: the base model itself, or one behind an endpoint."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ddd_llm.platform.cluster import GPU_POOL, gpu_tags
from ddd_llm.platform.inputs import InputError, load_section
from ddd_llm.platform.lineage import lineage_asset, lineage_check, refuse
from ddd_llm.platform.nodes import Config
from ddd_llm.platform.settings import Settings
from ddd_llm.platform.step import Step
from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.session import Held
from ddd_llm.training.steps import OWNER

if TYPE_CHECKING:
    from ddd_llm.instructions.writers import Remembering, SyntheticConfig

GROUP = "instructions"
CHECKS = {
    "worth_its_tokens": "Enough of what the model wrote is kept; where no model writes there is nothing to check."
}


def _config(settings: Settings) -> Config:
    from ddd_llm.instructions.writers import SyntheticConfig

    return load_section(settings.recipe, "synthetic", SyntheticConfig).model_dump(mode="json")


@lineage_asset(
    group=GROUP,
    owner=OWNER,
    kinds={"huggingface", "parquet"},
    inputs=["base_model", "curated_documents"],
    config=_config,
    columns={
        "id": "Digest of task, document and conversation.",
        "task": "synthetic.",
        "messages": "Conversation as JSON; the last message is the answer.",
        "source_ids": "The document it was written from.",
        "generator": "synthetic; generator_version names the model that wrote it.",
    },
    op_tags=gpu_tags(),
    pool=GPU_POOL,
)
def synthetic_candidates(step: Step) -> None:
    """Questions and answers that a model writes from documents, within a budget of tokens: the base model, or any
    OpenAI-compatible endpoint. Off (`kind: none`) unless the recipe's `synthetic` section says who writes.

    Each names its document and its writer. What is not in the form asked for, or whose answer has words that the passage lacks,
    is dropped with the reason; tokens per example kept say what one costs. What was written about a passage is not asked
    for again when documents join the corpus.
    """
    from ddd_llm.instructions.synthetic import choose_documents, write
    from ddd_llm.instructions.synthetic_page import report_synthetic
    from ddd_llm.instructions.writers import SyntheticConfig
    from ddd_llm.training.errors import TrainingError

    config = SyntheticConfig.model_validate(step.config)
    documents = choose_documents(step.table("curated_documents", columns=["id", "locator", "text"]), config)
    try:
        with step.timed("write"):
            writer = _writer(step, config) if documents else None
            made = write(documents, writer, config, step.progress("documents"))
    except TrainingError as error:
        raise refuse(error, retry=error.retry) from error
    step.put_table("candidates", made.table)
    step.put_table("decisions", made.decisions)
    step.put_table("replies", made.replies)
    if writer:
        step.log.info(
            f"{step.node.name}: {writer.asked} of {len(documents)} passages were asked about, the others before"
        )
    report_synthetic(step, made, config, writer.name if writer else None)


def _writer(step: Step, config: SyntheticConfig) -> Remembering:
    # With what the same writer wrote when this asset was last made.
    from ddd_llm.instructions.writers import EndpointWriter, Remembering, Written

    if config.kind == "local":
        from ddd_llm.training.local_writer import LocalWriter

        writer = LocalWriter(step.checkout(step.held("base_model"), "model/", "base"), config)
    else:
        try:
            writer = EndpointWriter(config)
        except ValueError as error:
            raise InputError(str(error)) from error
    known = {}
    before = step.previous()
    if before is not None and before.record.summary.get("writer") == writer.name:
        rows = step.store.read_table(before.record.tables["replies"]).to_pylist()
        known = {row["passage"]: Written(row["text"], row["tokens"]) for row in rows}
    return Remembering(writer, known)


@lineage_check(asset="synthetic_candidates", checks=CHECKS)
def synthetic_checks(
    held: Held, store: ArtifactStore, settings: Settings
) -> dict[str, tuple[bool, str, dict[str, object]]]:
    """Reads the figures that the record holds; it warns."""
    found = json.loads(store.read_bytes(held.record.files["synthetic.json"]))
    if found["writer"] is None:
        return {"worth_its_tokens": (True, "no model writes examples", {"kept": 0})}
    share = found["kept"] / found["documents"] if found["documents"] else 0.0
    said = f"{found['kept']} of {found['documents']} kept, {found['tokens']:,} tokens"
    if found["kept"]:
        said += f", {found['tokens'] / found['kept']:,.0f} for each"
    least = held.record.config["kept_at_least"]
    return {"worth_its_tokens": (share >= least, f"{said} (at least {least:.0%} are asked for)", {"share": share})}
