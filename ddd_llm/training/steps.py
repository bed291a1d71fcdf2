"""What every training asset does with its step: ask for the plans, run the worker, keep what it left.

Belongs here: what is the same for all of them. Does not: the assets (`assets`, `alignment_assets`).
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq

from ddd_llm.platform.cluster import GPU_POOL, gpu_tags
from ddd_llm.platform.lineage import lineage_asset, refuse
from ddd_llm.platform.step import Step
from ddd_llm.training.job import TrainingJob

OWNER = "ml-engineering"

training_asset = partial(
    lineage_asset,
    owner=OWNER,
    op_tags=gpu_tags(),
    pool=GPU_POOL,
    retry_policy=dg.RetryPolicy(max_retries=3, delay=30, backoff=dg.Backoff.EXPONENTIAL),
)
"""An asset that trains: on a GPU where there is one, tried again where trying again helps."""


def require_plans(step: Step) -> None:
    """Refuse to train without approved plans, and record which ones it rested on. Raises InputError."""
    from datetime import date

    from ddd_llm.platform.readiness import require

    rows = require(step.settings, date.today())
    names = ("plan", "version", "digest", "approved_by", "approved_on")
    step.summary["plans"] = [{name: getattr(row, name) for name in names} for row in rows]


def run_job(step: Step, job: TrainingJob, context: dg.AssetExecutionContext) -> None:
    """Train in a subprocess and wait for it; its ways to fail become failures of the run, some of them to be tried again."""
    from ddd_llm.training.errors import TrainingError
    from ddd_llm.training.run import train

    try:
        with step.timed("train", speaks=True):
            train(job, context)
    except TrainingError as error:
        raise refuse(error, retry=error.retry) from error


def keep(step: Step, output: Path, unit: str | None) -> None:
    """Put what the worker left into the record. `unit`: of the loss, for its picture; None draws none."""
    from ddd_llm.training.curve import loss_curve_png

    step.put_folder("adapter/", output / "adapter")
    for name in ("losses.json", "metrics.json", "probe.safetensors"):
        if (output / name).is_file():  # a reward model has no probe: it is not registered by itself
            step.put_file(name, output / name)
    step.put_table("trained_on", pq.read_table(output / "trained_on.parquet"))
    if unit is not None:
        losses = json.loads((output / "losses.json").read_bytes())
        step.put_picture("loss", loss_curve_png(losses, unit))
    step.summary |= json.loads((output / "metrics.json").read_bytes())
    measured = json.loads((output / "timings.json").read_bytes())
    seconds = {name for name in measured if name.endswith("_s") and not name.endswith("per_s")}
    step.timings |= {name: measured[name] for name in seconds}
    step.summary |= {name: value for name, value in measured.items() if name not in seconds}
