"""The plan that this stage adds to those a training asks for. Light: the plan's model is imported when it is read."""

from __future__ import annotations

from pathlib import Path

from ddd_llm.platform.approvals import Approvable
from ddd_llm.platform.readiness import add_plan
from ddd_llm.platform.settings import Settings


def _documents(settings: Settings) -> list[tuple[str, Path, Approvable]]:
    from ddd_llm.evaluation.gate import FILE, load_gate

    return [("the evaluation criteria", settings.assets / FILE, load_gate(settings))]


add_plan("evaluation criteria", _documents)
