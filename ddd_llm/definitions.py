"""What Dagster loads: the stages in pipeline order, resources, jobs, executor. Nothing else."""

from __future__ import annotations

import dagster as dg

# The order of these imports is the pipeline's: each stage's assets name assets of the stages before it as inputs.
from ddd_llm.corpus import assets as corpus  # isort: skip
from ddd_llm.corpus import checks as corpus_checks  # isort: skip
from ddd_llm.instructions import assets as instructions  # isort: skip
from ddd_llm.feedback import assets as feedback  # isort: skip
from ddd_llm.training import assets as training  # isort: skip
from ddd_llm.evaluation import assets as evaluation  # isort: skip
from ddd_llm.release import assets as release  # isort: skip
from ddd_llm.automation.sensors import JOB, SCHEDULES, SENSORS
from ddd_llm.platform.cluster import executor
from ddd_llm.platform.console import console
from ddd_llm.platform.lineage import Lineage
from ddd_llm.platform.nodes import GRAPH

STAGES = [corpus, instructions, feedback, training, evaluation, release]

# A run has one kind of partition: what comes per variant, and what reads all of them, have jobs of their own.
_varied = dg.AssetSelection.assets(*(node.name for node in GRAPH if node.variants))
_after = dg.AssetSelection.assets(*GRAPH.reads_variants())

jobs = [
    dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.all() - _varied - _after,
        description="The lineage, from raw documents to a registered model version.",
    ),
    dg.define_asset_job("reward_models", selection=_varied, description="One run per reward model."),
    dg.define_asset_job("alignment", selection=_after, description="What all reward models together train."),
]

defs = dg.Definitions(
    assets=dg.load_assets_from_modules(STAGES),
    asset_checks=dg.load_asset_checks_from_modules([*STAGES, corpus_checks]),
    jobs=jobs,
    sensors=SENSORS,
    schedules=SCHEDULES,
    resources={"lineage": Lineage()},
    executor=executor(),
    loggers={"console": console},
)
