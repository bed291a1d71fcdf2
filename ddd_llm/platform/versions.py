"""Which model versions there are, read from the store alone: records of `model_version` and their registration statements."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.errors import Corrupt, NotFound

MODEL_VERSION = "model_version"
REGISTERED = "registered"


@dataclass(frozen=True)
class Version:
    """A registered model version. `alias` is "champion" or None; `record` names the store's record of it."""

    name: str
    version: str
    alias: str | None
    record: str
    model_digest: str
    created: str

    def as_dict(self) -> dict[str, str | None]:
        """Plain data for JSON."""
        return asdict(self)


def registrations(store: ArtifactStore) -> tuple[list[Version], list[str]]:
    """Every registration in the order of the ledger (not of any clock), and what of the ledger does not verify."""
    found: list[Version] = []
    problems: list[str] = []
    log = store.head_log(MODEL_VERSION)
    for number in log.numbers():
        try:
            record = log.get(number).body["record"]
            bodies = store.attestations(record, REGISTERED)
        except (Corrupt, NotFound) as error:
            problems.append(str(error))
            continue
        for body in bodies:
            said = body["detail"]
            if body["passed"]:
                name, version = said["name"], str(said["version"])
                found.append(Version(name, version, said["alias"], record, said["model_digest"], body["at"]))
    return found, problems


def versions(store: ArtifactStore) -> list[Version]:
    """Registered versions, oldest first; an alias stays with the registration that took it last."""
    latest: dict[tuple[str, str], Version] = {}
    holder: dict[tuple[str, str], tuple[str, str]] = {}
    for version in registrations(store)[0]:
        key = (version.name, version.version)
        latest[key] = version
        if version.alias:
            holder[version.name, version.alias] = key
    resolved = []
    for key, version in latest.items():
        alias = next((a for (name, a), held in holder.items() if name == version.name and held == key), None)
        resolved.append(
            Version(version.name, version.version, alias, version.record, version.model_digest, version.created)
        )
    return resolved


def find(store: ArtifactStore, reference: str) -> Version | None:
    """The version that `NAME/VERSION` or `NAME@ALIAS` names, or None."""
    for version in versions(store):
        if reference in (f"{version.name}/{version.version}", f"{version.name}@{version.alias}"):
            return version
    return None
