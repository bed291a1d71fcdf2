"""Telling how training goes: through Dagster Pipes when Dagster started the worker, else on standard output.

Belongs here: the two channels and the forms of messages. Does not: what is worth telling (`callbacks`, `worker`).
Messages are dictionaries with a `kind`: `phase`, `step`, `validation`, `checkpoint`, `done`, `failed`. Never document
text.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Report = Callable[[dict[str, Any]], None]


def silent(message: dict[str, Any]) -> None:
    """A report that nobody hears: for processes other than the first."""


@contextmanager
def reporting(rank: int) -> Iterator[Report]:
    """The channel of this process. If its other end is gone it falls silent: training is worth more than its log."""
    if rank != 0:
        yield silent
    elif "DAGSTER_PIPES_CONTEXT" in os.environ:
        from dagster_pipes import open_dagster_pipes

        with open_dagster_pipes() as pipes:

            def through_pipes(message: dict[str, Any]) -> None:
                pipes.log.info(sentence(message))
                pipes.report_custom_message(message)

            yield _while_open(through_pipes)
    else:
        yield _while_open(lambda message: print(sentence(message), flush=True))


def sentence(message: dict[str, Any]) -> str:
    """A message as one line for people."""
    match message["kind"]:
        case "step":
            return (
                f"step {message['step']}/{message['steps']}: loss {message['loss']:.4f}, learning rate {message['lr']:.2e}, "
                f"{message['tokens']:,} tokens, {message['tokens_per_s']:.0f} tokens/s"
            )
        case "validation":
            return f"step {message['step']}: validation loss {message['validation_loss']:.4f}"
        case "checkpoint":
            return f"step {message['step']}: checkpoint written"
        case "phase" | "failed":
            return str(message["message"])
        case "done":
            return "training is done"
    return json.dumps(message, sort_keys=True)


def _while_open(send: Report) -> Report:
    closed = False

    def report(message: dict[str, Any]) -> None:
        nonlocal closed
        if closed:
            return
        try:
            send(message)
        except (OSError, ValueError) as error:  # a broken pipe, or a stream closed with its reader
            closed = True
            print(f"nobody listens any more ({type(error).__name__}); training goes on", file=_working_stderr())

    return report


def _working_stderr() -> Any:
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        return open(os.devnull, "w")
    return sys.stderr
