"""`python -m ddd_llm.automation.refresh` (behind `make demo`): ingest what is new, make what is stale, say what came out.

The same questions the sensors ask, once, in this process; on unchanged input it writes nothing and says "up to date".
"""

from __future__ import annotations

import os
import sys
import time

import dagster as dg

from ddd_llm.automation.runs import reconcile, register_batches
from ddd_llm.automation.staleness import Request, requests, survey
from ddd_llm.automation.summary import summary
from ddd_llm.platform.home import prepare_home
from ddd_llm.platform.inputs import InputError
from ddd_llm.platform.nodes import GRAPH, status
from ddd_llm.platform.settings import Settings, load_settings
from ddd_llm.store.artifact_store import ArtifactStore, open_store
from ddd_llm.store.errors import StoreError
from ddd_llm.store.session import Session


def refresh(settings: Settings, instance: dg.DagsterInstance, store: ArtifactStore) -> bool:
    """Bring the whole lineage up to date. True when nothing failed.

    Raises:
        InputError: a file that people edit does not say what it must.
    """
    from ddd_llm.corpus.capture import RAW, next_batch
    from ddd_llm.definitions import defs

    for node in GRAPH:
        if node.config is not None:
            node.config(settings)  # a mistake in a file that people edit is said now, not after an hour of work
    for run in reconcile(instance, store):
        print(f"run {run[:8]} had died; it is marked as failed")
    store.backend.sweep()
    session = Session.current(store)
    register_batches(instance, session.partitions(RAW))
    batch, _ = next_batch(session, settings)
    found = survey(store, settings, verify=True)
    todo = requests(found, batch)
    for note in found.libraries:
        print(f"library changed since: {note} (recorded; does not retrain by itself)")
    if not todo:
        print("up to date")
        for item in found.blocked:
            print(f"  but {item.asset}: {'; '.join(item.why)}")
        return not found.blocked
    for item in found.stale:
        print(f"stale: {item.asset}{f'[{item.partition}]' if item.partition else ''}: {'; '.join(item.why)}")
    job = defs.resolve_implicit_global_asset_job_def()
    good = True
    for request in todo:
        if not good and _waits(request, store, settings):
            continue  # for what failed before: the failure has been told
        if request.partition is not None and any(GRAPH[name].partitioned for name in request.assets):
            register_batches(instance, [request.partition])
        result = job.execute_in_process(
            instance=instance,
            partition_key=request.partition,
            asset_selection=[dg.AssetKey(name) for name in request.assets],
            run_config={"loggers": {"console": {}}},
            tags={"ddd_llm/started_by": "make demo"},
            raise_on_error=False,
        )
        good = good and result.success
    return good


def _waits(request: Request, store: ArtifactStore, settings: Settings) -> bool:
    """Whether an asset of a run lacks an input that it does not make itself."""
    session = Session.current(store)
    return any(
        status(session, GRAPH[name], settings, request.partition).state == "blocked"
        or not all(session.partitions(i.asset) or session.head(i.asset) for i in GRAPH[name].inputs)
        for name in request.assets[:1]
    )


def main() -> None:
    """Refresh, then print the summary. Exit status 1 when something failed."""
    settings = load_settings()
    os.environ.update(prepare_home(settings))
    store = open_store(settings.store)
    start = time.monotonic()
    try:
        with dg.DagsterInstance.get() as instance:
            good = refresh(settings, instance, store)
    except (InputError, StoreError) as error:
        sys.exit(f"{error}")
    print(summary(store, settings, time.monotonic() - start))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
