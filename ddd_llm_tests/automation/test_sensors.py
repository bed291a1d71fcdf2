"""When automation starts runs: on new files that came to rest, on stale fingerprints, never twice, never while something runs."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ddd_llm.automation.jobs import ALIGNMENT, LINEAGE, VARIANTS, job_of
from ddd_llm.automation.runs import reconcile, register_batches, unfinished
from ddd_llm.automation.sensors import (
    MOST_ATTEMPTS,
    RETRY_AFTER_SECONDS,
    Asked,
    cooled_down,
    may_ask,
    new_documents,
    spare_training,
    stale_assets,
)
from ddd_llm.automation.staleness import Request, Stale, Survey, requests
from ddd_llm.definitions import defs
from ddd_llm.platform.lineage import Lineage
from ddd_llm.platform.settings import Settings, load_settings
from ddd_llm.store.artifact_store import ArtifactStore, open_store
from ddd_llm.store.records import Record
from ddd_llm.store.session import Session


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home with one folder source of two documents."""
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in ("one", "two"):
        (docs / f"{name}.txt").write_text(f"A document about {name}, of several words.")
    source = {
        "name": "handbook", "kind": "folder", "path": str(docs), "owner": "us", "licence": "MIT", "licence_evidence": "LICENSE",
        "legal_basis": "own_work", "purpose": ["training"], "collected": "2026-01-01",
        "personal_data": False, "provenance": {
            "description": "d", "origin_geography": ["DE"], "method": {"kinds": ["other"], "description": "written"},
        },
    }  # fmt: skip
    sources = tmp_path / "sources.yaml"
    sources.write_text(yaml.safe_dump({"version": 1, "sources": [source]}))
    monkeypatch.setenv("DDD_LLM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DDD_LLM_KEYS", str(tmp_path / "keys"))
    monkeypatch.setenv("DDD_LLM_SOURCES", str(sources))
    return load_settings()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as made:
        yield made


def tick(
    sensor: dg.SensorDefinition, instance: dg.DagsterInstance, cursor: str | None
) -> tuple[list[dg.RunRequest], str, str | None]:
    """(requests, reason for none, new cursor) of one evaluation."""
    context = dg.SensorEvaluationContext(
        instance_ref=instance.get_ref(),  # without it Dagster cannot look partitions up, as the daemon does
        last_tick_completion_time=None,
        last_run_key=None,
        cursor=cursor,
        repository_name=None,
        instance=instance,
        repository_def=defs.get_repository_def(),
        resources={"lineage": Lineage()},  # pyright: ignore[reportArgumentType]
    )
    data = sensor.evaluate_tick(context)
    return list(data.run_requests or []), data.skip_message or "", data.cursor


def ingest(instance: dg.DagsterInstance, batch: str) -> dg.ExecuteInProcessResult:
    """Make everything that is made per batch."""
    register_batches(instance, [batch])
    per_batch = [dg.AssetKey(name) for name in ("raw_documents", "governed_documents", "document_signatures")]
    job = defs.resolve_job_def("lineage")
    return job.execute_in_process(instance=instance, partition_key=batch, asset_selection=per_batch)


def test_new_files_are_ingested_once_they_rest(
    settings: Settings, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    asked, why, cursor = tick(new_documents, instance, None)
    assert (asked, "waiting for one more look" in why) == ([], True)
    asked, _, cursor = tick(new_documents, instance, cursor)
    assert [r.partition_key for r in asked] == ["batch-00001"]
    assert {k.to_user_string() for k in asked[0].asset_selection or []} >= {
        "raw_documents",
        "curated_documents",
        "sft_model",
    }
    assert ingest(instance, "batch-00001").success
    asked, why, cursor = tick(new_documents, instance, cursor)
    assert (asked, why) == ([], "the sources hold nothing new")

    (tmp_path / "docs" / "three.txt").write_text("Half a docu")
    asked, why, cursor = tick(new_documents, instance, cursor)
    assert asked == []
    (tmp_path / "docs" / "three.txt").write_text("Half a document, and the rest of it.")
    asked, why, cursor = tick(new_documents, instance, cursor)
    assert (asked, "waiting" in why) == ([], True)
    asked, _, cursor = tick(new_documents, instance, cursor)
    assert [r.partition_key for r in asked] == ["batch-00002"]
    assert ingest(instance, "batch-00002").success
    store = open_store(settings.store)
    held = Session.current(store).read("raw_documents", "batch-00002")
    rows = store.read_table(held.record.tables["documents"]).to_pylist()
    assert [(r["op"], r["locator"]) for r in rows] == [("add", "three.txt")]


def test_a_deleted_file_is_a_deletion_and_an_unreadable_folder_is_not(
    settings: Settings, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    assert ingest(instance, "batch-00001").success
    (tmp_path / "docs" / "two.txt").unlink()
    assert ingest(instance, "batch-00002").success
    store = open_store(settings.store)
    rows = store.read_table(Session.current(store).read("raw_documents", "batch-00002").record.tables["documents"])
    assert rows.select(["op", "locator"]).to_pylist() == [{"op": "delete", "locator": "two.txt"}]
    (tmp_path / "docs").rename(tmp_path / "elsewhere")
    assert ingest(instance, "batch-00003").success
    held = Session.current(store).head("raw_documents", "batch-00003")
    assert held is not None
    assert store.read_table(held.record.tables["documents"]).num_rows == 0
    assert held.record.summary["dropped_by_reason"] == {"folder_missing": 1}


def test_nothing_starts_while_something_runs(settings: Settings, instance: dg.DagsterInstance) -> None:
    assert ingest(instance, "batch-00001").success
    job = defs.resolve_job_def("lineage")
    run = instance.create_run_for_job(
        job, tags={"dagster/partition": "batch-00001"}, status=dg.DagsterRunStatus.STARTED
    )
    assert [r.run_id for r in unfinished(instance)] == [run.run_id]
    for sensor in (stale_assets, new_documents):
        asked, why, _ = tick(sensor, instance, None)
        assert (asked, why) == ([], "1 run(s) in progress")


def test_a_run_whose_process_died_is_failed_and_the_next_one_starts(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    assert ingest(instance, "batch-00001").success
    job = defs.resolve_job_def("lineage")
    run = instance.create_run_for_job(
        job, tags={"dagster/partition": "batch-00001"}, status=dg.DagsterRunStatus.STARTED
    )
    store = open_store(settings.store)
    body = {"run_id": run.run_id, "heads": [], "at": "", "host": __import__("socket").gethostname(), "pid": 2**22 + 1}
    store.backend.create(f"runs/{run.run_id}.json", json.dumps(body).encode())
    assert reconcile(instance, store) == [run.run_id]
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE  # type: ignore[union-attr]
    asked, _, cursor = tick(stale_assets, instance, None)
    assert len(asked) == 1
    again, why, _ = tick(stale_assets, instance, cursor)
    assert again == []
    assert "asked 1 times already" in why


def test_a_lost_dagster_database_is_refilled_from_the_store(
    settings: Settings, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    assert ingest(instance, "batch-00001").success
    (tmp_path / "fresh").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "fresh")) as fresh:
        tick(stale_assets, fresh, None)
        assert fresh.get_dynamic_partitions("batch") == ["batch-00001"]


def test_a_broken_sources_file_skips_with_line_and_field(settings: Settings, instance: dg.DagsterInstance) -> None:
    settings.sources.write_text("version: 1\nsources:\n  - name: x\n    kind: folder\n    path: 5\n")
    asked, why, _ = tick(new_documents, instance, None)
    assert asked == []
    assert f"{settings.sources}:5: sources.0.path" in why


@given(times=st.integers(1, MOST_ATTEMPTS + 2), waited=st.floats(0, 10**6))
def test_asking_again_takes_ever_longer_and_ends(times: int, waited: float) -> None:
    allowed = may_ask(Asked(0.0, times), waited)
    assert allowed == (times < MOST_ATTEMPTS and waited >= RETRY_AFTER_SECONDS * 2 ** (times - 1))
    assert may_ask(None, waited)


def trained(store: ArtifactStore, finished: str) -> None:
    record = Record(
        asset="sft_model", fingerprint="f", code_version="c", run_id=finished, started="s", finished=finished
    )
    Session.begin(store, finished).commit(record)


def test_training_cools_down(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    now = time.time()
    assert cooled_down(store, now, hours=6)
    trained(store, "2026-01-01T00:00:00.000+00:00")
    assert cooled_down(store, now, hours=6)
    from ddd_llm.store.artifact_store import now as stamp

    trained(store, stamp())
    assert not cooled_down(store, time.time(), hours=6)
    assert cooled_down(store, time.time() + 7 * 3600, hours=6)
    assert cooled_down(store, time.time() - 24 * 3600, hours=6), "a clock that was set back does not block for ever"


def test_a_cool_down_spares_training_and_what_reads_it() -> None:
    stale = Survey((Stale("curated_documents", None, ("x",)),), (), ())
    todo = requests(stale, None)
    (request,) = spare_training(stale, todo)
    assert "instruction_dataset" in request.assets
    assert not {"sft_model", "model_answers", "delta_report", "model_version"} & set(request.assets)
    only_training = Survey((Stale("sft_model", None, ("x",)),), (), ())
    assert spare_training(only_training, requests(only_training, None)) == []


def test_batches_are_prepared_one_by_one_before_the_rest() -> None:
    found = Survey(tuple(Stale("governed_documents", f"batch-0000{i}", ("code",)) for i in (1, 2)), (), ())
    first, last, *after = requests(found, None)
    assert first == Request("batch-00001", ("governed_documents", "document_signatures"))
    assert last.partition == "batch-00002"
    assert "model_version" in last.assets
    assert "reward_models" not in last.assets
    assert [(r.partition, r.assets) for r in after] == [
        *((kind, ("reward_models",)) for kind in ("completeness", "factuality", "holistic", "relevance")),
        (None, ("rlhf_model", "red_team_report", "tone_report")),
    ]
    assert [job_of(r.assets) for r in (last, after[0], after[-1])] == [LINEAGE, VARIANTS, ALIGNMENT]
