"""From the record of a gated model to a version in MLflow and a statement in the store.

Belongs here: what is registered under which tags. Does not: how MLflow is spoken to (`registry`).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ddd_llm.platform.settings import Settings
from ddd_llm.platform.step import Step
from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.canonical import digest_value
from ddd_llm.store.records import Record
from ddd_llm.store.session import Held

ALIAS = "champion"


def model_digest(base: Record, tuned: Record) -> str:
    """Digest of a model's weights: every file of the base and of the adapter on it."""
    base_files = {name: ref.digest for name, ref in base.files.items() if name.startswith("model/")}
    adapter = {name: ref.digest for name, ref in tuned.files.items() if name.startswith("adapter/")}
    return digest_value([base_files, adapter])


def describe(step: Step) -> None:
    """Write what the version consists of; the registration itself follows the commit."""
    base, tuned, report = step.held("base_model"), step.held("sft_model"), step.held("delta_report")
    said = {
        "name": step.config["name"],
        "model_digest": model_digest(base.record, tuned.record),
        "base": {"model": base.record.config, "data_version": base.record.data_version},
        "adapter": {"data_version": tuned.record.data_version},
        "gate": {"data_version": report.record.data_version},
    }
    step.put_json("model.json", said)
    step.summary |= {"name": said["name"], "model_digest": said["model_digest"], "base_model": base.record.config["id"]}
    step.summary |= {name: report.record.summary.get(name) for name in ("base_score", "tuned_score", "delta", "items")}


def _inputs(store: ArtifactStore, held: Held) -> dict[str, Record]:
    return {pin.asset: store.get_record(pin.record) for pin in held.record.inputs}


def register_record(store: ArtifactStore, held: Held, settings: Settings) -> str:
    """Register the model of a `model_version` record, move the alias, attest it. Returns a sentence for the log.

    Raises:
        RegistryUnavailable, RoundTripError, PackageError: as `registry.register` raises them.
    """
    from ddd_llm.release.registry import RegistryConfig, register, set_champion

    inputs = _inputs(store, held)
    base, tuned, report = inputs["base_model"], inputs["sft_model"], inputs["delta_report"]
    name, digest = held.record.config["name"], model_digest(base, tuned)
    config = RegistryConfig(
        tracking_uri=settings.tracking_uri, artifact_root=settings.mlflow_artifacts.as_uri(), name=name
    )
    with tempfile.TemporaryDirectory(dir=settings.work) as scratch:
        folder = Path(scratch)
        probe = folder / "probe.safetensors"
        store.fetch(tuned.files["probe.safetensors"], probe)
        done = register(
            config,
            adapter_dir=store.checkout(tuned, "adapter/", folder / "adapter"),
            base_dir=store.checkout(base, "model/", folder / "base"),
            base_identity={**base.config, "data_version": base.data_version},
            probe=probe,
            tags=_tags(store, held, inputs),
            metrics=_metrics(report),
            params=_params(tuned),
            model_digest=digest,
        )
        set_champion(config, done.version)
    detail = {
        "name": name,
        "version": str(done.version),
        "alias": ALIAS,
        "model_digest": digest,
        "mlflow_run": done.run_id,
    }
    store.attest(held.digest, "registered", "registered", True, detail, by="release")
    word = "registered" if done.created else "was registered already, alias moved"
    return f"{name} version {done.version} {word}"


def _tags(store: ArtifactStore, held: Held, inputs: dict[str, Record]) -> dict[str, str]:
    dataset = next(pin for pin in inputs["sft_model"].inputs if pin.asset == "instruction_dataset")
    return {
        "ddd_llm.record": held.digest,
        "ddd_llm.dataset_record": dataset.record,
        "ddd_llm.dataset_data_version": store.get_record(dataset.record).data_version,
        "ddd_llm.base_data_version": inputs["base_model"].data_version,
        "ddd_llm.adapter_data_version": inputs["sft_model"].data_version,
        "ddd_llm.report_data_version": inputs["delta_report"].data_version,
        "ddd_llm.code_version": inputs["sft_model"].code_version,
    }


def _metrics(report: Record) -> dict[str, float]:
    names = ("base_score", "tuned_score", "delta", "delta_low", "delta_high", "items")
    return {name: float(report.summary[name]) for name in names if report.summary.get(name) is not None}


def _params(tuned: Record) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tuned.config.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": str(v) for inner, v in value.items()}
        else:
            flat[key] = str(value)
    return flat
