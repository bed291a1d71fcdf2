"""The plans that this stage adds to those a training asks for. Light: a plan's model is imported when it is read."""

from __future__ import annotations

from pathlib import Path

from ddd_llm.platform.approvals import Approvable
from ddd_llm.platform.readiness import add_plan
from ddd_llm.platform.settings import Settings


def _guidelines(settings: Settings) -> list[tuple[str, Path, Approvable]]:
    from ddd_llm.feedback.guidelines import FOLDER, guidelines_of

    return [
        (f"the guideline {name}", settings.assets / FOLDER / f"{name}.md", guideline)
        for name, guideline in guidelines_of(settings).items()
    ]


def _alignment(settings: Settings) -> list[tuple[str, Path, Approvable]]:
    from ddd_llm.feedback.preferences.policy import FILE, alignment_plan

    return [("the alignment-data plan", settings.assets / FILE, alignment_plan(settings))]


add_plan("annotation guidelines", _guidelines)
add_plan("alignment-data plan", _alignment)
