"""Dagster's view of runs brought in line with what is true: dead runs are failed, batches of the store are partitions."""

from __future__ import annotations

import json
import socket

import dagster as dg

from ddd_llm.platform.lineage import BATCHES
from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.backend import pid_alive
from ddd_llm.store.errors import NotFound
from ddd_llm.store.log import safe_name

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def unfinished(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs that are queued or under way."""
    return list(instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)))


def reconcile(instance: dg.DagsterInstance, store: ArtifactStore) -> list[str]:
    """Fail runs whose process of this machine is dead (a kill -9 leaves them "started"). Returns their ids."""
    failed = []
    for run in unfinished(instance):
        try:
            snapshot = json.loads(store.backend.read(f"runs/{safe_name(run.run_id)}.json"))
        except NotFound:
            continue
        if snapshot["host"] == socket.gethostname() and not pid_alive(snapshot["pid"]):
            instance.report_run_failed(run, "its process is gone (killed, or the machine went down): materialise again")
            failed.append(run.run_id)
    return failed


def register_batches(instance: dg.DagsterInstance, batches: list[str]) -> None:
    """Make the store's batches known to Dagster (its database may be new, or lost)."""
    known = set(instance.get_dynamic_partitions(BATCHES.name or ""))
    missing = [batch for batch in batches if batch not in known]
    if missing:
        instance.add_dynamic_partitions(BATCHES.name or "", missing)
