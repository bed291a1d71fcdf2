"""How a training run can end badly: one type per cause, each with its exit code and the sentence that names the cure.

Belongs here: the types, their exit codes, and reading a dead worker's exit code and last words. Does not: raising them
(`worker`, `examples`, `trainer`) or deciding what to retry (the asset, by `retry`).
"""

from __future__ import annotations

import json
from typing import ClassVar

LAST_WORDS = "training-failed: "
"""What a worker's last line of output starts with; a JSON object {"kind", "message"} follows."""

_SIGKILL, _SIGTERM, _SIGINT = 9, 15, 2


class TrainingError(Exception):
    """Training did not end well.

    Attributes:
        kind: stable snake_case name of the cause.
        exit_code: what the worker exits with.
        retry: whether the same job, started again unchanged, can end well.
        cure: one sentence, what a person does about it.
        message: what happened, without document text.
    """

    kind: ClassVar[str] = "crashed"
    exit_code: ClassVar[int] = 70
    retry: ClassVar[bool] = False
    cure: ClassVar[str] = "Read the end of worker.log beside the job file, and report it if the cause is not yours."

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(f"{message.rstrip('.')}. {self.cure}")

    def last_words(self) -> str:
        """The line from which `classify` makes this error again in another process."""
        return LAST_WORDS + json.dumps({"kind": self.kind, "message": self.message})


class Crashed(TrainingError):
    """The worker ended for a reason nobody foresaw."""


class OutOfMemory(TrainingError):
    """Memory ran out: torch said so, Python said so, or the kernel killed the worker (SIGKILL, exit code 137)."""

    kind = "out_of_memory"
    exit_code = 137
    cure = "Lower batch_size (and raise gradient_accumulation to match) or max_length in the recipe, or use a larger machine."


class Preempted(TrainingError):
    """Somebody asked the worker to stop (SIGTERM: eviction, drain, cancellation); it left a checkpoint behind."""

    kind = "preempted"
    exit_code = 143
    retry = True
    cure = "Materialise the asset again: training resumes from its last checkpoint to the same weights."


class BadData(TrainingError):
    """The examples cannot be trained on."""

    kind = "bad_data"
    exit_code = 65
    cure = "Mend the instruction dataset (or max_length, if the examples are too long) and materialise it again."


class BadRecipe(TrainingError):
    """The job asks for something that this machine or this base model cannot do."""

    kind = "bad_recipe"
    exit_code = 78
    cure = "Correct the recipe."


class NonFiniteLoss(TrainingError):
    """The loss or its gradient became NaN or infinite: the weights are lost from that step on."""

    kind = "non_finite_loss"
    exit_code = 79
    cure = "Lower learning_rate, raise warmup_steps, or train in float32."


class DiskFull(TrainingError):
    """A checkpoint or a result could not be written for want of space."""

    kind = "disk_full"
    exit_code = 74
    retry = True
    cure = "Free space under the home folder and materialise the asset again: training resumes from its last whole checkpoint."


_BY_KIND = {
    error.kind: error for error in (Crashed, OutOfMemory, Preempted, BadData, BadRecipe, NonFiniteLoss, DiskFull)
}
_BY_CODE = {error.exit_code: error for error in _BY_KIND.values()}


def classify(returncode: int, last_message: str = "") -> TrainingError:
    """Say in a typed error why a worker died.

    A signal outranks what was said before it: a worker that announced bad data and was then killed was killed.

    Args:
        returncode: as subprocess gives it: negative for a signal, or the shell's 128 + signal.
        last_message: the end of the worker's output; its last line of `last_words`, if any, gives the message.

    Raises:
        ValueError: the return code is 0, which is no failure.
    """
    if returncode == 0:
        raise ValueError("a return code of 0 is no failure")
    signal = -returncode if returncode < 0 else returncode - 128 if 128 < returncode < 160 else 0
    said = _read_last_words(last_message)
    if signal and not (said and said.exit_code == returncode):
        if signal == _SIGKILL:
            return OutOfMemory("The worker was killed (SIGKILL), as the kernel does when memory runs out")
        if signal in (_SIGTERM, _SIGINT):
            return Preempted("The worker was asked to stop")
        return Crashed(f"The worker was ended by signal {signal}")
    if said:
        return said
    return _BY_CODE.get(returncode, Crashed)(f"The worker ended with exit code {returncode} and gave no reason")


def _read_last_words(text: str) -> TrainingError | None:
    for line in reversed(text.splitlines()):
        _, mark, rest = line.partition(LAST_WORDS)
        if not mark:
            continue
        try:
            said = json.loads(rest)
            return _BY_KIND[said["kind"]](str(said["message"]))
        except (ValueError, KeyError, TypeError):
            continue  # half a line: the worker died while it wrote it, an earlier line may be whole
    return None
