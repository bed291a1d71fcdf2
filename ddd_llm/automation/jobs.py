"""The jobs: what one run may hold. A run has one kind of partition, so what comes per variant has a job of its own.

Belongs here: which assets a job selects. Does not: when a run is asked for (`sensors`).
"""

from __future__ import annotations

import dagster as dg

from ddd_llm.platform.nodes import GRAPH

LINEAGE = "lineage"
VARIANTS = "reward_model_training"
ALIGNMENT = "alignment"

_varied = dg.AssetSelection.assets("reward_models")

lineage = dg.define_asset_job(
    LINEAGE,
    selection=dg.AssetSelection.all() - _varied.downstream(),
    description="The lineage, from raw documents to a registered model version.",
)
variants = dg.define_asset_job(VARIANTS, selection=_varied, description="One run per reward model.")
alignment = dg.define_asset_job(
    ALIGNMENT,
    selection=_varied.downstream(include_self=False),
    description="What reads every reward model: reinforcement learning from feedback.",
)
JOBS = [lineage, variants, alignment]


def job_of(assets: tuple[str, ...]) -> str:
    """The job that a run of these assets belongs to."""
    if any(GRAPH[name].variants for name in assets):
        return VARIANTS
    return ALIGNMENT if GRAPH.reads_variants() & set(assets) else LINEAGE
