"""The jobs: what one run may hold. A run has one kind of partition, so what comes per variant has a job of its own.

Belongs here: which assets a job selects. Does not: when a run is asked for (`sensors`).
"""

from __future__ import annotations

import dagster as dg

from ddd_llm.platform.nodes import GRAPH

LINEAGE = "lineage"
VARIANTS = "reward_model_training"

_varied = dg.AssetSelection.assets("reward_models")

lineage = dg.define_asset_job(
    LINEAGE,
    selection=dg.AssetSelection.all() - _varied.downstream(),
    description="The lineage, from raw documents to a registered model version.",
)
variants = dg.define_asset_job(VARIANTS, selection=_varied, description="One run per reward model.")
JOBS = [lineage, variants]


def job_of(assets: tuple[str, ...]) -> str:
    """The job that a run of these assets belongs to."""
    return VARIANTS if any(GRAPH[name].variants for name in assets) else LINEAGE
