"""Design before training: the plans that must exist, be approved and be current before a model is trained.

Belongs here: the list of plans and the judgement over them. Does not: what a plan says. Each stage adds its own plan when
its module is imported, as its assets are added to the graph; one that is missing is an objection like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ddd_llm.platform.approvals import Approvable, objection
from ddd_llm.platform.inputs import InputError
from ddd_llm.platform.settings import Settings

REQUIRED = (
    "annotation guidelines",
    "coverage plan",
    "curation standard",
    "evaluation criteria",
    "alignment-data plan",
)
Documents = Iterable[tuple[str, Path, Approvable]]

PLANS: dict[str, Callable[[Settings], Documents]] = {}


def add_plan(name: str, documents: Callable[[Settings], Documents]) -> None:
    """Say where a plan is read from: (what to call it in a sentence, its file, its content) of each document.

    Raises:
        ValueError: no plan of this name is asked for.
    """
    if name not in REQUIRED:
        raise ValueError(f"{name}: the plans are {', '.join(REQUIRED)}")
    PLANS[name] = documents


@dataclass(frozen=True)
class Readiness:
    """One document of a plan: who approved which version of it, and what stands against it (None: nothing)."""

    plan: str
    file: str
    version: int | None
    digest: str | None
    approved_by: str | None
    approved_on: str | None
    objection: str | None

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def survey(settings: Settings, today: date) -> list[Readiness]:
    """Every document of every required plan, as it stands on a day."""
    return [row for name in REQUIRED for row in _plan(name, settings, today)]


def _plan(name: str, settings: Settings, today: date) -> list[Readiness]:
    def absent(why: str, file: str = "") -> list[Readiness]:
        return [Readiness(name, file, None, None, None, None, why)]

    if name not in PLANS:
        return absent(f"No part of the program reads the {name}.")
    try:
        documents = list(PLANS[name](settings))
    except InputError as error:
        return absent(str(error).splitlines()[0])
    if not documents:
        return absent(f"There are no {name} in {settings.assets}.")
    return [
        Readiness(
            name,
            str(path),
            plan.version,
            plan.digest,
            plan.approved_by,
            plan.approved_on.isoformat() if plan.approved_on else None,
            objection(plan, what, today),
        )
        for what, path, plan in documents
    ]


def require(settings: Settings, today: date) -> list[Readiness]:
    """The plans, if all of them may be relied on.

    Raises:
        InputError: one is missing, not approved, changed since or expired; the message has a line for each and the cure.
    """
    rows = survey(settings, today)
    wrong = [row for row in rows if row.objection]
    if wrong:
        lines = [f"  {row.plan}: {row.objection}{f' ({row.file})' if row.file else ''}" for row in wrong]
        cure = "`ddd-llm plans` shows them all, `ddd-llm plans approve FILE --by NAME` approves one as it stands."
        raise InputError("\n".join(["Training may not begin before these are in order:", *lines, cure]))
    return rows
