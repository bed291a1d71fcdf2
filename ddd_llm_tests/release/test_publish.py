"""From gated records to a registered version: only through the gate, once per model, attested, findable from the store alone."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from ddd_llm.definitions import defs
from ddd_llm.platform.settings import Settings, load_settings
from ddd_llm.platform.versions import versions
from ddd_llm.store.artifact_store import ArtifactStore, open_store
from ddd_llm.store.errors import StoreError
from ddd_llm.store.records import ObjectRef, Record
from ddd_llm.store.session import Held, Session
from ddd_llm_tests.release.conftest import Trained


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DDD_LLM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    made = load_settings()
    for folder in (made.work, made.mlflow_artifacts):
        folder.mkdir(parents=True)
    return made


def files(store: ArtifactStore, prefix: str, folder: Path) -> dict[str, ObjectRef]:
    return {prefix + p.name: store.put_file(p) for p in sorted(folder.iterdir())}


def commit(store: ArtifactStore, run: str, asset: str, inputs: list[Held], **fields: object) -> Held:
    record = Record(
        asset=asset, inputs=tuple(h.pin("input") for h in inputs), fingerprint=run + asset, code_version="c", run_id=run,
        started="s", finished="f", **fields,  # type: ignore[arg-type]
    )  # fmt: skip
    return Session.begin(store, run).commit(record)


def prepare(
    store: ArtifactStore, trained: Trained, gate: bool | None, run: str = "before", forgets: bool = True
) -> None:
    """Records of everything that `model_version` reads, with a gate verdict (None: none yet)."""
    dataset = commit(store, run, "instruction_dataset", [])
    base = commit(store, run, "base_model", [], files=files(store, "model/", trained.base), config={"id": "tiny"})
    probe = {"probe.safetensors": store.put_file(trained.probe)}
    tuned = commit(store, run, "sft_model", [base, dataset], files=files(store, "adapter/", trained.adapter) | probe)
    summary = {"base_score": 0.4, "tuned_score": 0.9, "delta": 0.5, "items": 200}
    report = commit(store, run, "delta_report", [tuned], required_checks=("gate",), summary=summary)
    memory = commit(store, run, "memorisation_report", [tuned], required_checks=("not_memorised",))
    store.attest(memory.digest, "check", "not_memorised", forgets, {}, by="test")
    if gate is not None:
        store.attest(report.digest, "check", "gate", gate, {}, by="test")


def materialise() -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return defs.resolve_job_def("lineage").execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey("model_version")], raise_on_error=False
        )


def registered(settings: Settings) -> list[str]:
    import mlflow

    client = mlflow.MlflowClient(settings.tracking_uri, settings.tracking_uri)
    return [v.version for v in client.search_model_versions(f"name = '{settings.model_name}'")]


@pytest.mark.parametrize("gate", [False, None])
def test_without_a_passed_gate_nothing_is_registered(settings: Settings, trained: Trained, gate: bool | None) -> None:
    store = open_store(settings.store)
    prepare(store, trained, gate)
    result = materialise()
    assert not result.success
    failure = next(e for e in result.all_events if e.is_step_failure)
    assert "delta_report may not be read (gate" in str(failure.event_specific_data)
    assert versions(store) == []
    assert not Path(settings.home / "mlflow" / "mlflow.db").exists()


def test_a_model_that_recites_its_training_is_not_registered(settings: Settings, trained: Trained) -> None:
    store = open_store(settings.store)
    prepare(store, trained, gate=True, forgets=False)
    result = materialise()
    assert not result.success
    failure = next(e for e in result.all_events if e.is_step_failure)
    assert "memorisation_report may not be read (not_memorised" in str(failure.event_specific_data)
    assert versions(store) == []


def test_a_gated_model_is_registered_once_and_attested(settings: Settings, trained: Trained) -> None:
    store = open_store(settings.store)
    prepare(store, trained, True)
    assert materialise().success
    (version,) = versions(store)
    assert (version.name, version.version, version.alias) == (settings.model_name, "1", "champion")
    assert Session.current(store).read("model_version").digest == version.record
    assert materialise().success
    assert versions(store) == [version]
    assert registered(settings) == [1] or registered(settings) == ["1"]

    import mlflow

    client = mlflow.MlflowClient(settings.tracking_uri, settings.tracking_uri)
    found = client.get_model_version_by_alias(settings.model_name, "champion")
    assert found.tags["ddd_llm.record"] == version.record
    assert found.tags["model_digest"] == version.model_digest


def test_the_same_weights_gated_again_keep_their_version(settings: Settings, trained: Trained) -> None:
    store = open_store(settings.store)
    prepare(store, trained, True)
    assert materialise().success
    report = Session.current(store).read("delta_report")
    again = commit(
        store, "later", "delta_report", [Session.current(store).read("sft_model")], required_checks=("gate",),
        summary=report.record.summary | {"items": 300}, files={"more.json": store.put_bytes(b"{}", "application/json")},
    )  # fmt: skip
    store.attest(again.digest, "check", "gate", True, {}, by="test")
    assert materialise().success
    (version,) = versions(store)
    assert version.version == "1"
    assert version.record == Session.current(store).read("model_version").digest


def test_a_killed_registration_is_completed_by_the_next_run(
    settings: Settings, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(settings.store)
    prepare(store, trained, True)
    with monkeypatch.context() as patch:
        patch.setattr(
            ArtifactStore, "attest", lambda *args, **kwargs: (_ for _ in ()).throw(StoreError("it ended here"))
        )
        assert not materialise().success
    assert versions(store) == []
    assert materialise().success
    assert [v.version for v in versions(store)] == ["1"]
    assert len(registered(settings)) == 1


def test_an_adapter_that_is_not_the_trained_one_is_refused(
    settings: Settings, trained: Trained, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    probe = load_file(trained.probe)
    probe["logits_0"] = probe["logits_0"] + 1.0
    changed = tmp_path / "probe.safetensors"
    save_file(probe, changed)
    store = open_store(settings.store)
    prepare(store, Trained(trained.base, trained.adapter, changed), True)
    assert not materialise().success
    assert versions(store) == []
    assert registered(settings) == []
