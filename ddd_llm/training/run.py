"""Start the training worker as a subprocess through Dagster Pipes, wait for it, and say in one typed error how it ended.

Belongs here: the one place where Dagster and the worker meet. Does not: the command (`launch`) or what it does (`worker`).
"""

import subprocess
from pathlib import Path

import dagster as dg

from ddd_llm.training.errors import classify
from ddd_llm.training.job import TrainingJob
from ddd_llm.training.launch import command, environment

GRACE_SECONDS = 240.0


def train(job: TrainingJob, context: dg.AssetExecutionContext) -> None:
    """Run a training job to its end; logs, losses and progress stream into the run's log.

    Raises:
        TrainingError: out of memory, stopped from outside, bad data, ... each its own type with a cure.
    """
    job.scratch.mkdir(parents=True, exist_ok=True)
    path = job.scratch / "job.json"
    path.write_text(job.model_dump_json())
    log = job.scratch / "worker.log"
    with (
        dg.open_pipes_session(context, dg.PipesTempFileContextInjector(), dg.PipesTempFileMessageReader()) as pipes,
        log.open("wb") as output,
    ):
        process = subprocess.Popen(
            command(path, job.recipe),
            env={**environment(job.recipe), **pipes.get_bootstrap_env_vars()},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            code = process.wait()
        except BaseException:
            # Cancelled, or the machine shuts down: the worker gets the time to write its checkpoint.
            process.terminate()
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
    if code:
        raise classify(code, _tail(log))


def _tail(log: Path, size: int = 4000) -> str:
    """The end of the worker's own output."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - size))
        return stream.read().decode("utf-8", "replace")
