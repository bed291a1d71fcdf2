"""Registration of a model version in MLflow: once per model digest, verified before it exists.

Here belong MLflow's run, version and alias. Here do not belong how MLflow is reached (`connection`), whether a model may be
registered (the gate) or what records say (the store). MLflow gets parameters, metrics, digests and the adapter; never the
text of a document.

Order of events, so that a kill at any point leaves something that a second call completes: run and artifacts; download and
logit round trip; version with its tags in one write. A version therefore exists only if it was verified. On a local
database a file lock keeps two processes apart; on a server, whoever finds an older version of the same digest after
creating one deletes their own.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddd_llm.release.connection import RegistryConfig, RegistryUnavailable, connected, exclusive
from ddd_llm.release.package import build_package
from ddd_llm.release.round_trip import RoundTrip, RoundTripError, check_round_trip

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

__all__ = [
    "CHAMPION",
    "Registration",
    "RegistryConfig",
    "RegistryUnavailable",
    "champion",
    "find",
    "register",
    "set_champion",
]

CHAMPION = "champion"
MODEL_DIGEST, ADAPTER_EFFECT, LOGIT_ERROR = "model_digest", "adapter_effect", "logit_error"
_FOLDER = "model"
_DIGEST = re.compile(r"[A-Za-z0-9:._-]+")


@dataclass(frozen=True)
class Registration:
    """A model version; `created` is false when it was already there."""

    name: str
    version: int
    run_id: str
    created: bool
    model_digest: str


def register(
    config: RegistryConfig,
    *,
    adapter_dir: Path,
    base_dir: Path,
    base_identity: dict[str, Any],
    probe: Path,
    model_digest: str,
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
    params: Mapping[str, str | int | float | bool],
) -> Registration:
    """Register a model version, or find the one that this model digest already has.

    The adapter is logged, downloaded again from MLflow, loaded on its base and compared with the probe; only then is there a
    version. The alias is not moved: see `set_champion`.

    Args:
        config: where and under which name.
        adapter_dir: PEFT adapter (safetensors and JSON only).
        base_dir: its base model.
        base_identity: what identifies the base (id, revision or file digests); written beside the adapter.
        probe: logits of the trained model, see `round_trip.check_round_trip`.
        model_digest: full digest of the model; the key of idempotence.
        tags: more tags of run and version, such as the full record digest.
        metrics: numbers shown in MLflow.
        params: settings shown in MLflow.

    Raises:
        ValueError: the model digest holds characters that no digest has.
        PackageError: the adapter folder holds what must not be released.
        RoundTripError: what was logged is not the model that was trained; there is no version.
        RegistryUnavailable: MLflow is down, or another process held the lock too long.
    """
    if not _DIGEST.fullmatch(model_digest):
        raise ValueError("a model digest is letters, digits and :._- only")
    every = {**tags, MODEL_DIGEST: model_digest}
    with connected(config) as client, exclusive(config):
        found = _version(client, config.name, model_digest)
        if found is not None:
            return _registration(found, model_digest, created=False)
        run_id, source = _logged_run(client, config, adapter_dir, base_identity, every, metrics, params)
        try:
            with tempfile.TemporaryDirectory(prefix="ddd-llm-round-trip-") as folder:
                logged = _download(config, source, Path(folder))
                trip = check_round_trip(base_dir, logged, probe, config.logit_tolerance)
        except RoundTripError:
            client.set_terminated(run_id, "FAILED")  # so that the next call logs the files again
            raise
        made = _create(client, config.name, source, run_id, every, trip)
        first = _version(client, config.name, model_digest) or made
        if int(first.version) != int(made.version):
            client.delete_model_version(config.name, str(made.version))
        return _registration(first, model_digest, created=int(first.version) == int(made.version))


def find(config: RegistryConfig, model_digest: str) -> Registration | None:
    """The version of a model digest; None when it is not registered.

    Raises:
        RegistryUnavailable: MLflow is down.
    """
    with connected(config) as client:
        found = _version(client, config.name, model_digest)
        return None if found is None else _registration(found, model_digest, created=False)


def champion(config: RegistryConfig) -> int | None:
    """The version that the alias `champion` names; None before the first.

    Raises:
        RegistryUnavailable: MLflow is down.
    """
    with connected(config) as client:
        held = [m for m in client.search_registered_models(f"name = '{config.name}'") if CHAMPION in m.aliases]
        return int(held[0].aliases[CHAMPION]) if held else None


def set_champion(config: RegistryConfig, version: int) -> int | None:
    """Move the alias `champion` to a version and return the version it named before (None: none did).

    Raises:
        RegistryUnavailable: MLflow is down, or there is no such version.
    """
    before = champion(config)
    with connected(config) as client:
        client.get_model_version(config.name, str(version))
        if before != version:
            client.set_registered_model_alias(config.name, CHAMPION, str(version))
    return before


def _version(client: MlflowClient, name: str, model_digest: str) -> ModelVersion | None:
    """The oldest version that carries the digest; sorted here because a server need not sort."""
    found = client.search_model_versions(f"name = '{name}' and tags.{MODEL_DIGEST} = '{model_digest}'")
    return min(found, key=lambda version: int(version.version), default=None)


def _registration(version: ModelVersion, model_digest: str, created: bool) -> Registration:
    return Registration(version.name, int(version.version), version.run_id or "", created, model_digest)


def _logged_run(
    client: MlflowClient,
    config: RegistryConfig,
    adapter_dir: Path,
    base_identity: dict[str, Any],
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
    params: Mapping[str, str | int | float | bool],
) -> tuple[str, str]:
    """Run id and artifact URI of a finished run with this digest: the one a killed call left, or a new one."""
    experiment = _experiment(client, config)
    wanted = f"tags.{MODEL_DIGEST} = '{tags[MODEL_DIGEST]}' and attributes.status = 'FINISHED'"
    left = client.search_runs([experiment], wanted, max_results=1)
    if left:
        return left[0].info.run_id, f"{left[0].info.artifact_uri}/{_FOLDER}"
    from mlflow.entities import Metric, Param

    run = client.create_run(experiment, run_name=f"{config.name} {tags[MODEL_DIGEST][:12]}", tags=dict(tags))
    run_id = run.info.run_id
    try:
        made = run.info.start_time
        client.log_batch(
            run_id,
            metrics=[Metric(key, float(value), made, 0) for key, value in sorted(metrics.items())],
            params=[Param(key, str(value)) for key, value in sorted(params.items())],
        )
        with tempfile.TemporaryDirectory(prefix="ddd-llm-package-") as folder:
            build_package(adapter_dir, Path(folder), config.name, tags[MODEL_DIGEST], base_identity)
            client.log_artifacts(run_id, folder, _FOLDER)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")
    return run_id, f"{run.info.artifact_uri}/{_FOLDER}"


def _experiment(client: MlflowClient, config: RegistryConfig) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(config.name)
    if found is None:
        try:
            root = config.artifact_root
            where = Path(root).resolve().as_uri() if "://" not in root else root
            return client.create_experiment(config.name, artifact_location=f"{where.rstrip('/')}/{config.name}")
        except MlflowException:
            found = client.get_experiment_by_name(config.name)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        client.restore_experiment(found.experiment_id)
    return found.experiment_id


def _download(config: RegistryConfig, source: str, folder: Path) -> Path:
    from mlflow.artifacts import download_artifacts

    return Path(download_artifacts(artifact_uri=source, dst_path=str(folder), tracking_uri=config.tracking_uri))


def _create(
    client: MlflowClient, name: str, source: str, run_id: str, tags: Mapping[str, str], trip: RoundTrip
) -> ModelVersion:
    from mlflow.exceptions import MlflowException

    if not client.search_registered_models(f"name = '{name}'"):
        try:
            client.create_registered_model(name)
        except MlflowException:
            if not client.search_registered_models(f"name = '{name}'"):
                raise
    measured = {LOGIT_ERROR: f"{trip.error:.3g}", ADAPTER_EFFECT: f"{trip.adapter_effect:.3g}"}
    return client.create_model_version(name, source, run_id, tags={**tags, **measured})
