"""Sensors and schedules: new files become batches, stale assets are made again, expensive work is not started twice.

Belongs here: when a run is asked for. Does not: what is stale (`staleness`) or what drifts (detectors of a later stage).
"""

import json
import os
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg

from ddd_llm.automation.jobs import JOBS, job_of, lineage
from ddd_llm.automation.runs import reconcile, register_batches, unfinished
from ddd_llm.automation.staleness import BATCH_ROOT, Request, Survey, requests, survey
from ddd_llm.platform.inputs import InputError
from ddd_llm.platform.lineage import BATCHES, Lineage
from ddd_llm.platform.nodes import GRAPH
from ddd_llm.platform.settings import Settings
from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.canonical import digest_value
from ddd_llm.store.errors import StoreError
from ddd_llm.store.session import Session

TRAINING = "sft_model"
GPU_COOL_DOWN_HOURS = float(os.environ.get("DDD_LLM_TRAINING_COOL_DOWN_HOURS") or 6)
RETRY_AFTER_SECONDS = 3600.0
MOST_ATTEMPTS = 5


@dataclass(frozen=True)
class Asked:
    """What was asked for before: when, and how often for the same reasons."""

    at: float
    times: int


def may_ask(asked: Asked | None, now: float) -> bool:
    """Whether to ask (again) for work that is still not done: after an hour, then two, four, eight, then never."""
    if asked is None:
        return True
    return asked.times < MOST_ATTEMPTS and now - asked.at >= RETRY_AFTER_SECONDS * 2 ** (asked.times - 1)


def cooled_down(store: ArtifactStore, now: float, hours: float = GPU_COOL_DOWN_HOURS) -> bool:
    """Whether enough time passed since the last training was recorded. A clock that went back counts as cooled down."""
    head = Session.current(store).head(TRAINING)
    if head is None:
        return True
    since = now - datetime.fromisoformat(head.record.finished).timestamp()
    return since < 0 or since >= hours * 3600


def spare_training(found: Survey, todo: list[Request]) -> list[Request]:
    """The same runs without training and what reads it, for the time of a cool-down."""
    costly = GRAPH.downstream([TRAINING, *(node.name for node in GRAPH if node.variants)])
    kept = [Request(r.partition, tuple(a for a in r.assets if a not in costly)) for r in todo]
    cheap = {item.asset for item in found.stale} - costly
    return [r for r in kept if r.assets] if cheap else []


def plan(store: ArtifactStore, settings: Settings, new_batch: str | None, now: float) -> tuple[list[Request], str]:
    """The runs to ask for now, and a sentence about it."""
    found = survey(store, settings)
    todo = requests(found, new_batch)
    if not todo:
        waiting = "; ".join(f"{item.asset}: {item.why[0]}" for item in found.blocked)
        return [], f"up to date{f' ({waiting})' if waiting else ''}"
    if any(TRAINING in r.assets for r in todo) and not cooled_down(store, now):
        todo = spare_training(found, todo)
        return todo, f"training cools down ({GPU_COOL_DOWN_HOURS:g} h since the last one): its part waits"
    return todo, "; ".join(f"{item.asset}: {item.why[0]}" for item in found.stale) or f"new batch {new_batch}"


def _run_request(request: Request, key: str) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=key,
        job_name=job_of(request.assets),
        partition_key=request.partition,
        asset_selection=[dg.AssetKey(name) for name in request.assets],
        tags={"ddd_llm/started_by": "automation"},
    )


def _ask(context: dg.SensorEvaluationContext, todo: list[Request], why: str) -> dg.SensorResult | dg.SkipReason:
    """Ask for the first run only: what comes after it is decided by what it leaves behind."""
    if not todo:
        return dg.SkipReason(why)
    request = todo[0]
    key = digest_value([request.partition, request.assets, why])[:32]
    cursor: dict[str, Any] = json.loads(context.cursor or "{}")
    before = cursor.get("asked", {}).get(key)
    asked = Asked(before["at"], before["times"]) if before else None
    now = time.time()
    if not may_ask(asked, now):
        return dg.SkipReason(f"asked {asked.times if asked else 0} times already; next try later. {why}")
    times = (asked.times if asked else 0) + 1
    cursor["asked"] = {key: {"at": now, "times": times}}
    batch = request.partition if any(GRAPH[name].partitioned for name in request.assets) else None
    new = [BATCHES.build_add_request([batch])] if batch else []
    return dg.SensorResult(
        run_requests=[_run_request(request, f"{key}-{times}")],
        dynamic_partitions_requests=new,
        cursor=json.dumps(cursor),
    )


def _busy(instance: dg.DagsterInstance, store: ArtifactStore) -> str | None:
    """Why nothing may be asked for now, or None. Dead runs are cleared first."""
    reconcile(instance, store)
    running = unfinished(instance)
    return f"{len(running)} run(s) in progress" if running else None


@dg.sensor(
    jobs=JOBS,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Makes assets again whose inputs' bytes, code or configuration changed: asks the store's fingerprints, "
    "so an upstream that merely ran again starts nothing. Training waits for a cool-down.",
)
def stale_assets(context: dg.SensorEvaluationContext, lineage: Lineage) -> dg.SensorResult | dg.SkipReason:
    """Ask for what is stale."""
    store, settings = lineage.store(), lineage.settings()
    if busy := _busy(context.instance, store):
        return dg.SkipReason(busy)
    try:
        register_batches(context.instance, Session.current(store).partitions(BATCH_ROOT))
        if not Session.current(store).partitions(BATCH_ROOT):
            return dg.SkipReason("nothing ingested yet: `new_documents` or `make demo` makes the first batch")
        return _ask(context, *plan(store, settings, None, time.time()))
    except (InputError, StoreError) as error:
        return dg.SkipReason(str(error))


@dg.sensor(
    jobs=JOBS,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Notices new, changed and removed files in folder sources (and new package versions) and ingests them as "
    "one batch, once they have been the same for two looks.",
)
def new_documents(context: dg.SensorEvaluationContext, lineage: Lineage) -> dg.SensorResult | dg.SkipReason:
    """Ask for a batch when the sources hold something new and have come to rest."""
    from ddd_llm.corpus.capture import next_batch

    store, settings = lineage.store(), lineage.settings()
    if busy := _busy(context.instance, store):
        return dg.SkipReason(busy)
    try:
        batch, state = next_batch(Session.current(store), settings)
        if batch is None:
            return dg.SkipReason("the sources hold nothing new")
        cursor: dict[str, Any] = json.loads(context.cursor or "{}")
        if cursor.get("seen") != state:
            context.update_cursor(json.dumps({**cursor, "seen": state}))
            return dg.SkipReason("something new: waiting for one more look, in case it is still being written")
        return _ask(context, *plan(store, settings, batch, time.time()))
    except (InputError, StoreError) as error:
        return dg.SkipReason(str(error))


@dg.schedule(
    job=lineage,
    cron_schedule="0 3 * * *",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every night: ingest what is new since the last batch and bring everything after it up to date.",
)
def nightly_ingest(context: dg.ScheduleEvaluationContext, lineage: Lineage) -> dg.RunRequest | dg.SkipReason:
    """Ask for a batch if there is anything new."""
    from ddd_llm.corpus.capture import next_batch

    store, settings = lineage.store(), lineage.settings()
    if busy := _busy(context.instance, store):
        return dg.SkipReason(busy)
    try:
        batch, _ = next_batch(Session.current(store), settings)
        if batch is None:
            return dg.SkipReason("the sources hold nothing new")
        todo, why = plan(store, settings, batch, time.time())
        if not todo:
            return dg.SkipReason(why)
        register_batches(context.instance, [batch])
        return _run_request(todo[0], batch)
    except (InputError, StoreError) as error:
        return dg.SkipReason(str(error))


SENSORS = [stale_assets, new_documents]
SCHEDULES = [nightly_ingest]
