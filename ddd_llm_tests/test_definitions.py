"""What Dagster loads: light, complete, and described for a newcomer."""

from __future__ import annotations

import subprocess
import sys

import dagster as dg

from ddd_llm.definitions import defs
from ddd_llm.platform.nodes import GRAPH

HEAVY = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "mlflow",
    "great_expectations",
    "datasets",
    "matplotlib",
    "scipy",
    "sklearn",
)


def test_loading_the_definitions_loads_nothing_heavy() -> None:
    code = f"import sys, ddd_llm.definitions; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_asset_says_what_it_is_and_who_owns_it() -> None:
    for spec in defs.resolve_all_asset_specs():
        assert len(spec.description or "") > 80, spec.key
        assert spec.owners, spec.key
        assert spec.kinds, spec.key
        assert spec.code_version, spec.key


def test_groups_follow_the_pipeline() -> None:
    # By their last asset. The base model has a group of its own: instructions and training both need it.
    order = list(dict.fromkeys(node.group for node in reversed(list(GRAPH))))[::-1]
    assert order == ["corpus", "base", "instructions", "training", "feedback", "alignment", "evaluation", "release"]
    groups = {spec.key.to_user_string(): spec.group_name for spec in defs.resolve_all_asset_specs()}
    assert groups == {node.name: node.group for node in GRAPH}


def test_required_verdicts_have_a_check_that_gives_them() -> None:
    checks: dict[str, set[str]] = {}
    for key in defs.resolve_asset_graph().asset_check_keys:
        checks.setdefault(key.asset_key.to_user_string(), set()).add(key.name)
    for node in GRAPH:
        given = checks.get(node.name, set()) | ({"registered"} if node.after is not None else set())
        assert set(node.checks) <= given, node.name


def test_the_definitions_hold_together() -> None:
    dg.Definitions.validate_loadable(defs)
    assert {s.name for s in defs.sensors or []} == {"stale_assets", "new_documents"}
    assert {s.name for s in defs.schedules or []} == {"nightly_ingest"}  # type: ignore[union-attr]
