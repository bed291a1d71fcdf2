"""What Dagster loads: the stages in pipeline order, resources, jobs, executor. Nothing else."""

from __future__ import annotations

import dagster as dg

# The order of these imports is the pipeline's: each stage's assets name assets of the stages before it as inputs.
from ddd_llm.corpus import assets as corpus  # isort: skip
from ddd_llm.corpus import checks as corpus_checks  # isort: skip
from ddd_llm.training import base_assets as base  # isort: skip
from ddd_llm.training import synthetic_assets as synthetic  # isort: skip
from ddd_llm.instructions import assets as instructions  # isort: skip
from ddd_llm.training import assets as training  # isort: skip
from ddd_llm.feedback import assets as feedback  # isort: skip
from ddd_llm.training import sampling_assets as sampling  # isort: skip
from ddd_llm.feedback import pair_assets as pairs  # isort: skip
from ddd_llm.training import alignment_assets as alignment  # isort: skip
from ddd_llm.evaluation import assets as evaluation  # isort: skip
from ddd_llm.evaluation import safety_assets as safety  # isort: skip
from ddd_llm.evaluation import tone_assets as tone  # isort: skip
from ddd_llm.evaluation import curve_assets as curve  # isort: skip
from ddd_llm.release import assets as release  # isort: skip
from ddd_llm.automation.jobs import JOBS
from ddd_llm.automation.sensors import SCHEDULES, SENSORS
from ddd_llm.platform.cluster import executor
from ddd_llm.platform.console import console
from ddd_llm.platform.lineage import Lineage

STAGES = [
    *(corpus, base, synthetic, instructions, training, feedback, sampling, pairs, alignment),
    *(evaluation, safety, tone, curve, release),
]

defs = dg.Definitions(
    assets=dg.load_assets_from_modules(STAGES),
    asset_checks=dg.load_asset_checks_from_modules([*STAGES, corpus_checks]),
    jobs=JOBS,
    sensors=SENSORS,
    schedules=SCHEDULES,
    resources={"lineage": Lineage()},
    executor=executor(),
    loggers={"console": console},
)
