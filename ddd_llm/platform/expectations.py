"""Great Expectations 1.x over a table of the store: one verdict per expectation of a suite that people edit.

Belongs here: suites as files, and results without document text. Does not: which table is validated (a stage's checks).
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, field_validator

from ddd_llm.platform.inputs import InputError, load_yaml
from ddd_llm.platform.settings import CHECKOUT

# What of a result may leave the store: counts, never values of a column.
COUNTS = ("element_count", "unexpected_count", "unexpected_percent", "missing_count")


class Expectation(BaseModel):
    """One expectation: `type` as Great Expectations names it (`expect_column_values_to_be_unique`), with its arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Name of the check in Dagster; stable.")
    description: str = Field(min_length=1, description="What it protects, for people.")
    type: str = Field(pattern=r"^expect_[a-z_]+$")
    arguments: dict[str, Any] = Field(default_factory=dict)


class Suite(BaseModel):
    """A suite file in `assets/expectations/`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    expectations: tuple[Expectation, ...] = Field(min_length=1)

    @field_validator("expectations")
    @classmethod
    def _names_differ(cls, value: tuple[Expectation, ...]) -> tuple[Expectation, ...]:
        names = [e.name for e in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"given twice: {', '.join(twice)}")
        return value


def load_suite(path: Path) -> tuple[Expectation, ...]:
    """The expectations of a suite file, in its order. Raises InputError."""
    return load_yaml(path, Suite).expectations


@cache
def suite_names(*suites: str) -> dict[str, str]:
    """Names and descriptions of the expectations of suites of the checkout, for the definitions of checks."""
    folder = CHECKOUT / "assets" / "expectations"
    return {e.name: e.description for suite in suites for e in load_suite(folder / f"{suite}.yaml")}


def suite_verdicts(table: pa.Table, path: Path) -> dict[str, tuple[bool, str, dict[str, object]]]:
    """Validate a table: name -> (passed, sentence, counts). An expectation that cannot be evaluated has failed.

    Raises:
        InputError: the suite file is not well formed, or names an expectation that does not exist.
    """
    suite = load_suite(path)
    results = {r["name"]: r for r in _validate(table, suite, path)}
    return {e.name: _verdict(e, results.get(e.name)) for e in suite}


def _verdict(expectation: Expectation, result: dict[str, Any] | None) -> tuple[bool, str, dict[str, object]]:
    if result is None or result["raised"]:
        return False, f"{expectation.description} Could not be evaluated: is its column there?", {}
    counts = result["counts"]
    if result["success"]:
        return True, expectation.description, counts
    unexpected, seen = counts.get("unexpected_count"), counts.get("element_count")
    detail = (
        f"Not so in {unexpected:,} of {seen:,} rows."
        if isinstance(unexpected, int) and isinstance(seen, int)
        else f"Observed: {counts.get('observed')}."
    )
    return False, f"{expectation.description} {detail}", counts


def _validate(table: pa.Table, suite: tuple[Expectation, ...], path: Path) -> list[dict[str, Any]]:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.expectations.registry import get_expectation_impl

    made = []
    for expectation in suite:
        try:
            kind = get_expectation_impl(expectation.type)
            made.append(kind(**expectation.arguments, meta={"name": expectation.name}))
        except Exception as error:
            # Great Expectations raises a type of its own per fault; all mean that the file must be mended.
            raise InputError(
                f"{path}: {expectation.name}: {type(error).__name__}: {str(error).splitlines()[0]}"
            ) from None
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[attr-defined]
    asset = context.data_sources.add_pandas("store").add_dataframe_asset("table")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": table.to_pandas()})
    validated = batch.validate(gx.ExpectationSuite(path.stem, expectations=made), result_format="SUMMARY")
    return [_result(one) for one in validated.results]


def _result(one: Any) -> dict[str, Any]:
    found = {name: one.result[name] for name in COUNTS if name in one.result}
    observed = one.result.get("observed_value")
    if isinstance(observed, int | float | bool):
        found["observed"] = observed
    information = one.exception_info or {}
    raised = bool(information.get("raised_exception")) or any(
        isinstance(part, dict) and part.get("raised_exception") for part in information.values()
    )
    meta = one.expectation_config.meta
    return {"name": meta["name"], "success": bool(one.success), "raised": raised, "counts": found}
