"""How MLflow is reached: where it is, a client whose failures are one clear error, and a lock for a local database.

Here belongs the way to MLflow. Here does not belong what is registered there (`registry`).
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
}


class RegistryConfig(BaseModel):
    """Where MLflow lives, and under which name versions are registered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tracking_uri: str = Field(min_length=1)
    artifact_root: str = Field(min_length=1, description="URI or absolute folder under which artifacts are kept")
    name: str = Field(default="ddd-llm-demo", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,120}$")
    logit_tolerance: float = Field(
        default=0.01, gt=0, description="largest logit difference allowed after the round trip"
    )
    lock_seconds: float = Field(default=600, gt=0, description="how long to wait for another process that registers")


class RegistryUnavailable(RuntimeError):
    """MLflow could not be reached or refused; what was made is kept, and registering again completes it."""


@contextmanager
def connected(config: RegistryConfig) -> Iterator[MlflowClient]:
    """A client for the block; what MLflow, its database or the network raises in it becomes `RegistryUnavailable`.

    MLflow's telemetry is off and a request gives up after a minute or so, unless the environment says otherwise.
    """
    for key, value in _DEFAULTS.items():
        os.environ.setdefault(key, value)
    import requests
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from sqlalchemy.exc import SQLAlchemyError

    for noisy in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        yield MlflowClient(tracking_uri=config.tracking_uri, registry_uri=config.tracking_uri)
    except (MlflowException, SQLAlchemyError, requests.RequestException) as error:
        detail = str(error).replace(config.tracking_uri, "MLflow").splitlines()[:1]
        raise RegistryUnavailable(
            f"MLflow at {_redacted(config.tracking_uri)} did not answer as it should ({type(error).__name__}: "
            f"{_redacted(detail[0] if detail else '')}). Nothing is lost: start it and materialise this again."
        ) from None


def _redacted(text: str) -> str:
    return re.sub(r"(\w+://[^\s/:@]*):[^\s@]*@", r"\1:***@", text)


def exclusive(config: RegistryConfig) -> AbstractContextManager[Any]:
    """On a local database, one process at a time per registered name; on a server, nothing.

    Raises:
        RegistryUnavailable: another process held the lock too long, or the database is in memory.
    """
    from filelock import FileLock, Timeout
    from sqlalchemy.engine import make_url

    if not config.tracking_uri.startswith("sqlite:"):
        return nullcontext()
    database = make_url(config.tracking_uri).database
    if not database:
        raise RegistryUnavailable("an in-memory database holds no registration: name a file in the tracking URI")
    folder = Path(database).resolve().parent
    folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def held() -> Iterator[None]:
        lock = FileLock(folder / f"{config.name}.register.lock")
        try:
            lock.acquire(timeout=config.lock_seconds)
        except Timeout:
            raise RegistryUnavailable(f"another process registers '{config.name}' and did not finish in time") from None
        try:
            yield
        finally:
            lock.release()

    return held()
