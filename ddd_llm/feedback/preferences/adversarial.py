"""Preference pairs that a red team wrote, each tied to a declared safety gap.

Belongs here: the declared gaps, and a file of such pairs to rows. Does not: merging them with others (`pairs`), attacks on a
model (`evaluation.red_team`).
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ddd_llm.feedback.labels import LabelError
from ddd_llm.feedback.masking import Masks
from ddd_llm.feedback.preferences.pairs import Pair, pair, prompt_of, refused_row
from ddd_llm.feedback.records import checked
from ddd_llm.feedback.rights import FileRights
from ddd_llm.feedback.splits import Splits
from ddd_llm.store.canonical import digest

GAPS = "preferences/safety-gaps.yaml"
"""The declared gaps, below the folder of assets."""


class SafetyGap(BaseModel):
    """Something the model is known to do wrong under attack."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    description: str = Field(min_length=1)
    severity: int = Field(ge=1, le=4, description="1 nuisance, 2 misleading, 3 harm to systems, 4 harm to people.")


class SafetyGaps(BaseModel):
    """The declared gaps, `assets/preferences/safety-gaps.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gaps: tuple[SafetyGap, ...]

    @field_validator("gaps")
    @classmethod
    def _ids_differ(cls, gaps: tuple[SafetyGap, ...]) -> tuple[SafetyGap, ...]:
        if len({gap.id for gap in gaps}) != len(gaps):
            raise ValueError("two gaps share an id")
        return gaps


class AdversarialPair(BaseModel):
    """A red-team prompt with an answer to prefer and one to avoid. `author` says who wrote it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gap: str
    prompt: str = Field(min_length=1)
    passage: str | None = None
    chosen: str = Field(min_length=1)
    rejected: str = Field(min_length=1)
    author: str = Field(min_length=1)


def from_red_team(
    path: Path, gaps: SafetyGaps, splits: Splits, rights: FileRights | None = None, masks: Masks | None = None
) -> tuple[list[Pair], list[dict[str, str]]]:
    """Adversarial pairs of a JSON Lines file, and quarantine rows: invalid_adversarialpair, invalid_json, undeclared_gap,
    and reasons of rights.

    Args:
        rights: judges each line; None: all may be used.
        masks: replaces identifiers in every text; None: nothing is replaced.

    Raises:
        OSError: the file cannot be read.
    """
    declared = {gap.id for gap in gaps.gaps}
    pairs, refused = [], []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            found = checked(AdversarialPair, json.loads(line))
            if found.gap not in declared:
                raise LabelError("undeclared_gap", f"{found.gap} is none of the declared gaps")
            if against := rights and rights.against(path, f"line {number}"):
                raise LabelError(*against)
        except LabelError as error:
            refused.append(refused_row("adversarial", f"{path.name}:{number}", error.reason, str(error)))
            continue
        except (ValueError, RecursionError):
            refused.append(refused_row("adversarial", f"{path.name}:{number}", "invalid_json", "no JSON value"))
            continue
        found = found if masks is None else _masked(found, masks)
        prompt = prompt_of(found.passage, found.prompt)
        component = digest(prompt.encode())[:32]
        more = {"gap": found.gap, "annotators": [found.author], "component": component}
        split = splits.side(component)
        pairs.append(pair(prompt, found.chosen, found.rejected, "adversarial", split=split, **more))
    return pairs, refused


def _masked(one: AdversarialPair, masks: Masks) -> AdversarialPair:
    texts = {name: getattr(one, name) for name in ("prompt", "passage", "chosen", "rejected")}
    return one.model_copy(update={name: text and masks.apply(text)[0] for name, text in texts.items()})
