"""The one process that trains.

    accelerate launch -m ddd_llm.training.worker JOB.json
    python -m ddd_llm.training.worker JOB.json

Belongs here: the process: its signals, its channel to whoever started it, its exit code. Does not: training itself
(the job's entry module, such as `sft`). Importing this module is light; torch and its friends load when a job begins.

Exit codes are those of `errors`. The last line of output of a failed worker and `outcome.json` beside the job file
say the same.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
import traceback
import warnings
from importlib import import_module
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from ddd_llm.platform.signals import StopRequest, terminate_with_parent
from ddd_llm.training.errors import BadRecipe, Crashed, DiskFull, OutOfMemory, TrainingError
from ddd_llm.training.files import canonical_json, write_atomic
from ddd_llm.training.job import ENTRY, TrainingJob
from ddd_llm.training.reporting import Report, reporting

OUTCOME_FILE = "outcome.json"
_OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "cannot allocate memory", "out of memory")
_QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
}


def run(job: TrainingJob, stop: StopRequest, report: Report) -> None:
    """Do a job in this process.

    Raises:
        TrainingError: always one of its types, whatever went wrong.
    """
    try:
        job.scratch.mkdir(parents=True, exist_ok=True)
        import_module(job.entry).run(job, stop, report)
    except Exception as error:
        typed = as_training_error(error)
        if typed is error:
            raise
        raise typed from error


def as_training_error(error: Exception) -> TrainingError:
    """The typed error for anything that was raised. Messages of unknown errors are left out: they may quote a
    document."""
    if isinstance(error, TrainingError):
        return error
    text = str(error)
    name = type(error).__name__
    if isinstance(error, MemoryError) or name == "OutOfMemoryError":
        return OutOfMemory(f"Memory ran out ({name})")
    if isinstance(error, RuntimeError) and any(sign in text.lower() for sign in _OUT_OF_MEMORY):
        return OutOfMemory("Memory ran out (torch could not allocate a tensor)")
    if (
        isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    ) or "No space left on device" in text:
        return DiskFull("No space is left on the device")
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return Crashed(f"{name}{place}")


def main(arguments: list[str]) -> int:
    """Do the job in a file and return the exit code."""
    stop = StopRequest()
    stop.listen()
    terminate_with_parent()
    if len(arguments) != 1:
        print("usage: python -m ddd_llm.training.worker JOB.json", file=sys.stderr)
        return BadRecipe.exit_code
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", category=FutureWarning)  # libraries talking about their own next versions
    path = Path(arguments[0])
    with reporting(int(os.environ.get("RANK", "0"))) as report:
        try:
            run(_read_job(path), stop, report)
        except TrainingError as error:
            if isinstance(error, Crashed) and error.__cause__ is not None:
                traceback.print_tb(error.__cause__.__traceback__)
            _leave(path, {"exit_code": error.exit_code, "kind": error.kind, "message": error.message})
            report({"kind": "failed", "error": error.kind, "exit_code": error.exit_code, "message": str(error)})
            _say(error.last_words())
            return error.exit_code
        _leave(path, {"exit_code": 0, "kind": "done", "message": ""})
        report({"kind": "done"})
        return 0


class _Entry(BaseModel):
    """The one field by which the rest is read."""

    entry: str = Field(pattern=ENTRY)


def _read_job(path: Path) -> TrainingJob:
    try:
        data = path.read_bytes()
        module = import_module(_Entry.model_validate_json(data).entry)
        _load_libraries()
        return module.JOB.model_validate_json(data)
    except (ImportError, AttributeError) as error:
        raise BadRecipe("The job file names an entry that is no kind of training") from error
    except OSError as error:
        raise BadRecipe(f"The job file cannot be read ({error.strerror})") from error
    except ValidationError as error:
        where = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise BadRecipe(f"The job file is not valid: {where}") from error


def _load_libraries() -> None:
    # Four thousand modules, none of which is garbage: the collector, looking again and again, takes a fifth of the time.
    gc.disable()
    try:
        for name in ("peft", "transformers.trainer", "ddd_llm.training.callbacks", "ddd_llm.training.trainer"):
            import_module(name)
    finally:
        gc.freeze()
        gc.enable()


def _leave(job: Path, outcome: dict[str, object]) -> None:
    """Leave the outcome for the supervisor. Of several processes the first one to fail knows the cause, the rest were
    stopped."""
    path = job.with_name(OUTCOME_FILE)
    if path.exists() or not job.parent.is_dir():
        return
    try:
        write_atomic(path, canonical_json(outcome))
    except OSError as error:  # the disk may be full, which is then what there is to say
        _say(f"the outcome could not be written ({error.strerror})")


def _say(line: str) -> None:
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        return  # nobody reads standard error any more; the exit code still tells


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # everything is written: taking torch apart would take two more seconds
