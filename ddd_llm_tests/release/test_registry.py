"""Registration in a real MLflow on SQLite: once per digest, verified, and completed after a crash at any point."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ddd_llm.release import registry
from ddd_llm.release.package import PackageError
from ddd_llm.release.registry import RegistryConfig, RegistryUnavailable, champion, find, register, set_champion
from ddd_llm.release.round_trip import RoundTripError, load_tuned
from ddd_llm_tests.release.conftest import Trained, make_adapter, make_base, write_probe


def _client(config: RegistryConfig) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=config.tracking_uri, registry_uri=config.tracking_uri)


def _versions(config: RegistryConfig) -> list[Any]:
    return list(_client(config).search_model_versions(f"name = '{config.name}'"))


def test_a_version_is_made_once_and_holds_digests_metrics_and_a_loadable_adapter(
    config: RegistryConfig, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model
    from safetensors.torch import load_file

    made = register(config, **trained.arguments())
    again = register(config, **trained.arguments())
    assert (made.version, made.created, again.created) == (1, True, False)
    assert (again.version, again.run_id) == (made.version, made.run_id)
    assert find(config, "ab" * 32) == again
    [version] = _versions(config)
    assert version.tags["record_digest"] == "cd" * 32
    assert version.tags["model_digest"] == "ab" * 32
    assert float(version.tags["logit_error"]) < 0.01 < float(version.tags["adapter_effect"])
    run = _client(config).get_run(made.run_id)
    assert run.data.metrics == {"score_tuned": 0.93}
    assert run.data.params == {"learning_rate": "0.0005", "rank": "4"}

    assert set_champion(config, made.version) is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", config.tracking_uri)
    folder = download_artifacts("models:/demo@champion", dst_path=str(tmp_path / "user"))
    assert json.loads((Path(folder) / "base.json").read_text())["sha256"] == "0" * 64
    assert "peft" in Model.load(folder).flavors
    probe = load_file(trained.probe)
    with torch.inference_mode():
        tuned = load_tuned(trained.base, Path(folder))
        logits = tuned(input_ids=probe["input_ids_1"][None]).logits[0, -1]
    assert torch.allclose(logits, probe["logits_1"], atol=1e-4)


def test_another_digest_is_another_version_and_the_alias_moves_when_told(
    config: RegistryConfig, trained: Trained
) -> None:
    assert champion(config) is None
    first = register(config, **trained.arguments("11" * 32))
    second = register(config, **trained.arguments("22" * 32))
    assert (first.version, second.version) == (1, 2)
    assert champion(config) is None
    assert set_champion(config, 1) is None
    assert set_champion(config, 2) == 1
    assert set_champion(config, 2) == 2
    assert champion(config) == 2
    with pytest.raises(RegistryUnavailable):
        set_champion(config, 9)
    assert champion(config) == 2


def test_a_crash_between_logging_and_registering_is_completed_with_the_same_run(
    config: RegistryConfig, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(registry, "_create", killed)
    with pytest.raises(KeyboardInterrupt):
        register(config, **trained.arguments())
    monkeypatch.undo()
    assert _versions(config) == []
    made = register(config, **trained.arguments())
    experiment = _client(config).get_experiment_by_name("demo")
    assert [run.info.run_id for run in _client(config).search_runs([experiment.experiment_id])] == [made.run_id]
    assert made.version == 1


def test_a_crash_while_logging_leaves_a_failed_run_and_no_version(
    config: RegistryConfig, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(registry, "build_package", full)
    with pytest.raises(OSError, match="No space left"):
        register(config, **trained.arguments())
    monkeypatch.undo()
    assert register(config, **trained.arguments()).version == 1
    experiment = _client(config).get_experiment_by_name("demo")
    statuses = sorted(run.info.status for run in _client(config).search_runs([experiment.experiment_id]))
    assert statuses == ["FAILED", "FINISHED"]


def test_on_a_server_whoever_comes_second_gives_way(
    config: RegistryConfig, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = register(config, **trained.arguments())
    real, calls = registry._version, iter([None])
    monkeypatch.setattr(registry, "_version", lambda *given: next(calls, real(*given)))
    assert register(config, **trained.arguments()).version == first.version
    assert [int(version.version) for version in _versions(config)] == [first.version]


_REGISTER = """
import sys
from pathlib import Path
from ddd_llm.release.registry import RegistryConfig, register
from ddd_llm_tests.release.conftest import Trained
config = RegistryConfig.model_validate_json(sys.argv[1])
made = register(config, **Trained(*map(Path, sys.argv[2:5])).arguments())
print("version", made.version, made.created)
"""


def test_two_threads_at_once_make_one_version(config: RegistryConfig, trained: Trained) -> None:
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: register(config, **trained.arguments()), range(2)))
    assert sorted(one.created for one in made) == [False, True]
    assert {one.version for one in made} == {1}
    assert len(_versions(config)) == 1


@pytest.mark.slow
def test_two_processes_at_once_make_one_version(config: RegistryConfig, trained: Trained) -> None:
    given = [config.model_dump_json(), str(trained.base), str(trained.adapter), str(trained.probe)]
    command = [sys.executable, "-c", _REGISTER, *given]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = []
    for process in both:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        said.append(out.strip().splitlines()[-1])
    assert sorted(said) == ["version 1 False", "version 1 True"]
    assert len(_versions(config)) == 1


@pytest.mark.parametrize("lost", ["base", "adapter", "nothing_learned", "not_finite", "probe"])
def test_what_is_not_the_trained_model_is_not_registered(
    config: RegistryConfig, trained: Trained, tmp_path: Path, lost: str
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    changes: dict[str, Any] = {}
    if lost == "base":
        make_base(tmp_path / "other", 2)
        changes["base_dir"] = tmp_path / "other"
    elif lost == "adapter":
        make_adapter(make_base(tmp_path / "b", 1), tmp_path / "silent", 0.0)
        changes["adapter_dir"] = tmp_path / "silent"
    elif lost == "nothing_learned":
        silent = make_adapter(make_base(tmp_path / "b", 1), tmp_path / "silent", 0.0)
        write_probe(silent, tmp_path / "probe.safetensors")
        changes |= {"adapter_dir": tmp_path / "silent", "probe": tmp_path / "probe.safetensors"}
    elif lost == "probe":
        changes["probe"] = tmp_path / "probe.safetensors"
        changes["probe"].write_bytes(trained.probe.read_bytes()[:-9])
    else:
        tensors = load_file(trained.probe)
        tensors["logits_2"][5] = torch.nan
        save_file(tensors, tmp_path / "probe.safetensors")
        changes["probe"] = tmp_path / "probe.safetensors"
    with pytest.raises(RoundTripError):
        register(config, **trained.arguments(**changes))
    assert _versions(config) == []
    assert register(config, **trained.arguments()).version == 1


def test_artifacts_that_changed_in_mlflow_are_noticed_before_there_is_a_version(
    config: RegistryConfig, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = registry._download

    def tampered(config: RegistryConfig, source: str, folder: Path) -> Path:
        got = real(config, source, folder)
        shutil.copyfile(tmp_path / "other" / "adapter_model.safetensors", got / "adapter_model.safetensors")
        return got

    make_adapter(make_base(tmp_path / "b", 1), tmp_path / "other", 0.1)
    monkeypatch.setattr(registry, "_download", tampered)
    with pytest.raises(RoundTripError, match="differ"):
        register(config, **trained.arguments())
    assert _versions(config) == []


def test_files_that_may_hold_code_are_refused(config: RegistryConfig, trained: Trained, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(trained.adapter, folder)
    (folder / "training_args.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(PackageError, match=r"training_args\.bin"):
        register(config, **trained.arguments(adapter_dir=folder))
    (folder / "training_args.bin").unlink()
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(PackageError, match="lacks"):
        register(config, **trained.arguments(adapter_dir=folder))
    assert _versions(config) == []


def test_mlflow_down_says_so_without_the_password_and_is_completed_later(
    config: RegistryConfig, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    down = config.model_copy(update={"tracking_uri": f"http://user:s3cret@127.0.0.1:{port}"})
    with pytest.raises(RegistryUnavailable, match="materialise this again") as raised:
        register(down, **trained.arguments())
    assert "s3cret" not in str(raised.value)
    assert register(config, **trained.arguments()).version == 1


def test_a_digest_that_is_none_is_refused(config: RegistryConfig, trained: Trained) -> None:
    with pytest.raises(ValueError, match="digest"):
        register(config, **trained.arguments("x' or name = 'y"))
