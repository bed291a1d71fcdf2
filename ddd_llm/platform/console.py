"""What a person at a terminal sees of a run: one line per step and message, without Dagster's own detail."""

from __future__ import annotations

import logging
import sys
from datetime import datetime
from typing import Any

import dagster as dg


class Compact(logging.Formatter):
    """`12:03:04  message`; step starts and ends get a mark."""

    def format(self, record: logging.LogRecord) -> str:
        meta = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event") if isinstance(meta, dict) else None
        clock = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        if event is None:
            message = meta.get("orig_message", record.getMessage()) if isinstance(meta, dict) else record.getMessage()
            return f"{clock}    {message}"
        return f"{clock}  {describe(event)}"


def describe(event: Any) -> str:
    """One line for a Dagster event that people want to see; empty for the rest."""
    kind, step = event.event_type_value, event.step_key
    if kind == "STEP_START":
        return f"> {step}"
    if kind == "STEP_SUCCESS":
        return f"  {step} done in {event.event_specific_data.duration_ms / 1000:.1f} s"
    if kind == "STEP_FAILURE":
        data = event.event_specific_data
        said = (data.user_failure_data and data.user_failure_data.description) or data.error.message
        return f"! {step} failed: {str(said).strip()}"
    return ""


class Wanted(logging.Filter):
    """Messages of ours, and the few Dagster events that `describe` has words for."""

    def filter(self, record: logging.LogRecord) -> bool:
        meta = getattr(record, "dagster_meta", None)
        event = meta.get("dagster_event") if isinstance(meta, dict) else None
        if event is not None:
            return bool(describe(event))
        # What follows from a failed step needs no line of its own for each of the steps behind it.
        return record.levelno >= logging.INFO and "Dependencies for step" not in record.getMessage()


def _logger(context: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.getLogger(f"ddd_llm.console.{id(context)}")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Compact())
    handler.addFilter(Wanted())
    logger.handlers = [handler]
    return logger


console = dg.LoggerDefinition(_logger, description="Short lines for people at a terminal.")
"""Dagster's `console` logger, made readable."""
