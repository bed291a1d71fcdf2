"""Make the folder that everything is written to, and the environment that keeps every tool inside it."""

from __future__ import annotations

import os
import shutil

from ddd_llm.platform.settings import CHECKOUT, Settings

# No telemetry, no surprise downloads, and threads that spin a little at a barrier before they sleep. GNU OpenMP's default spins
# for milliseconds: ten times slower where anything else runs. Hardly any spinning makes the small products of a model that writes
# token by token ten times slower on quiet cores (16 x 576 x 16 in float32 on two: 185 us at 0, 108 at 300, 12 at 1,000).
DEFAULTS = {
    "GOMP_SPINCOUNT": "2000",
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}


def prepare_home(settings: Settings) -> dict[str, str]:
    """Create the folders, copy the Dagster settings, and return the environment for this installation's processes.

    `HF_HUB_OFFLINE` stays as the caller set it, so that a base model can be named by hub id.
    """
    dagster_home = settings.home / "dagster"
    for folder in (
        dagster_home,
        settings.home / "store",
        settings.mlflow_artifacts,
        settings.work,
        settings.home / "logs",
    ):
        folder.mkdir(parents=True, exist_ok=True)
    source, target = CHECKOUT / "dagster.yaml", dagster_home / "dagster.yaml"
    if not target.exists() or source.read_bytes() != target.read_bytes():
        shutil.copyfile(source, target)
    return {
        **DEFAULTS,
        **os.environ,
        "DAGSTER_HOME": str(dagster_home),
        "DDD_LLM_HOME": str(settings.home),
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
    }
