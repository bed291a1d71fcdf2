"""What the feedback assets do with their steps: parts of the alignment-data plan, current labels, digests of files.

Belongs here: what is the same for all of them. Does not: the assets (`assets`, `pair_assets`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ddd_llm.platform.nodes import Config
from ddd_llm.platform.settings import Settings
from ddd_llm.platform.step import Step
from ddd_llm.store.canonical import file_digest

if TYPE_CHECKING:
    from ddd_llm.feedback.labels import Item, Label
    from ddd_llm.feedback.preferences.policy import AlignmentPlan

GROUP = "feedback"
OWNER = "annotation"


def digests_of(paths: list[Path]) -> dict[str, str]:
    """Digest of each file by its name."""
    return {path.name: file_digest(path)[0] for path in paths}


def plan_config(*sections: str):
    """Config of an asset that reads parts of the alignment-data plan."""

    def config(settings: Settings) -> Config:
        from ddd_llm.feedback.preferences.policy import alignment_plan

        return {"plan": alignment_plan(settings).model_dump(mode="json", include=set(sections))}

    return config


def plan_of(step: Step) -> AlignmentPlan:
    """The parts of the plan that are in the step's config."""
    from ddd_llm.feedback.preferences.policy import AlignmentPlan

    return AlignmentPlan.model_validate({"version": 1, **step.config["plan"]})


def current_labels(step: Step) -> tuple[list[Label], dict[str, Item]]:
    """Labels that are not stale, and the items of all."""
    from ddd_llm.feedback.reading import items_of, labels_of

    states = step.table("annotations", "states").to_pylist()
    current = {row["label_id"] for row in states if row["state"] == "current"}
    labels = [label for label in labels_of(step.table("annotations", "labels")) if label.id in current]
    return labels, items_of(step.table("annotations", "items"))
