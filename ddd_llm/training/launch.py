"""How a training run is started: its command line and its environment, the same on a laptop, on a GPU and on several.

Belongs here: command, environment, and a plain start for notebooks. Does not: Dagster (`run`) or training (`worker`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ddd_llm.platform.home import DEFAULTS
from ddd_llm.training.errors import classify
from ddd_llm.training.job import TrainingJob
from ddd_llm.training.recipe import TrainingRecipe
from ddd_llm.training.worker import OUTCOME_FILE


def command(job_path: Path, recipe: TrainingRecipe) -> list[str]:
    """The command that trains the job in a file, under a supervisor that passes signals on.

    `accelerate launch` starts several processes with GPUs. It is left out where it would start a single process, which it
    loads torch for, and where it would do so although told of several: on CPUs.
    """
    if recipe.processes == 1:
        launch = [sys.executable]
    elif recipe.device == "cpu":
        launch = _torchrun(recipe)
    else:
        launch = _accelerate(recipe)
    worker = ["-m", "ddd_llm.training.worker", str(job_path)]
    supervisor = [
        sys.executable,
        "-m",
        "ddd_llm.training.supervisor",
        "--outcome",
        str(job_path.with_name(OUTCOME_FILE)),
        "--",
    ]
    return [*supervisor, *launch, *worker]


def _accelerate(recipe: TrainingRecipe) -> list[str]:
    return [
        *(sys.executable, "-m", "accelerate.commands.launch"),
        *("--num_processes", str(recipe.processes)),
        *("--num_machines", "1"),
        *("--mixed_precision", "no"),
        *("--dynamo_backend", "no"),
        *("--num_cpu_threads_per_process", str(recipe.threads)),
        *("--multi_gpu", "--main_process_port", "0"),
    ]


def _torchrun(recipe: TrainingRecipe) -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(recipe.processes)]


def environment(recipe: TrainingRecipe) -> dict[str, str]:
    """This process's environment with what training needs: threads, no network, no telemetry."""
    threads = str(recipe.threads)
    return {
        **os.environ,
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "GOMP_SPINCOUNT": DEFAULTS["GOMP_SPINCOUNT"],
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DISABLE_MLFLOW_INTEGRATION": "TRUE",  # of TRL: two seconds, for a tracker that the worker does not write to
        "DO_NOT_TRACK": "1",
        "PYTHONUNBUFFERED": "1",
    }


def run_plain(job: TrainingJob) -> str:
    """Run a job as a subprocess without Dagster and wait for it.

    Returns:
        What it printed; its results lie in `job.output`.

    Raises:
        TrainingError: it did not end well, by type.
    """
    job.scratch.mkdir(parents=True, exist_ok=True)
    path = job.scratch / "job.json"
    path.write_text(job.model_dump_json())
    done = subprocess.run(
        command(path, job.recipe),
        env=environment(job.recipe),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise classify(done.returncode, done.stdout)
    return done.stdout
