"""The privacy policy: what is looked for, what happens to each kind, and under which key.

Belongs here: the model of `assets/policies/privacy.yaml`. Does not belong here: any detection.
"""

from __future__ import annotations

import re
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator

from ddd_llm.corpus.identity import keyed_digest, load_key
from ddd_llm.corpus.privacy.finds import Kind
from ddd_llm.corpus.privacy.ner import Ner
from ddd_llm.corpus.privacy.presidio import RECOGNIZERS


class Action(StrEnum):
    """What happens to a find: `<KIND_0123456789>` under the key, `<KIND>` for good, or nothing."""

    PSEUDONYMISE = "pseudonymise"
    MASK = "mask"
    KEEP = "keep"


class NerPolicy(BaseModel):
    """A spaCy pipeline for names of people nobody declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1, description="name of an installed spaCy package, or a folder")
    labels: tuple[str, ...] = Field(default=("PERSON", "PER"), min_length=1)


class PrivacyPolicy(BaseModel):
    """What is looked for and what happens to it; every field is part of the record of `governed_documents`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: PositiveInt = 1
    approved_by: str | None = None
    approved_on: date | None = None
    key: str = Field(
        default="pseudonym", pattern=r"^[a-z][a-z0-9_-]{0,50}$", description="name of the key file, never the key"
    )
    key_version: PositiveInt = 1
    actions: dict[Kind, Action] = Field(default_factory=dict, description="kinds not named are pseudonymised")
    presidio: tuple[str, ...] = tuple(RECOGNIZERS)
    phone_regions: tuple[str, ...] = ("GB", "FR", "DE", "IT", "ES", "CH", "AT", "BE", "AU")
    public_hosts: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    ner: NerPolicy | None = None

    @field_validator("actions")
    @classmethod
    def _secrets_are_masked(cls, actions: dict[Kind, Action]) -> dict[Kind, Action]:
        if Kind.SECRET in actions and actions[Kind.SECRET] is not Action.MASK:
            raise ValueError("a secret is always masked")
        return actions

    @field_validator("presidio")
    @classmethod
    def _recognisers_exist(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in RECOGNIZERS:
                raise ValueError(f"no such recogniser: {name} (there are {', '.join(sorted(RECOGNIZERS))})")
        return tuple(dict.fromkeys(names))

    @field_validator("phone_regions")
    @classmethod
    def _regions_are_codes(cls, regions: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(r"[A-Z]{2}", region) for region in regions):
            raise ValueError("a region is a country code of two capitals (ISO 3166)")
        return regions

    def action(self, kind: str) -> Action:
        """What happens to a find of that kind."""
        return Action.MASK if kind == Kind.SECRET else self.actions.get(Kind(kind), Action.PSEUDONYMISE)

    @property
    def key_name(self) -> str:
        """Name of the key file: a new version is a new key, and with it all pseudonyms are new."""
        return self.key if self.key_version == 1 else f"{self.key}-{self.key_version}"

    def subject_lists(self, folder: Path) -> list[Path]:
        """The lists' files; relative ones stand beside the policy, in `folder`."""
        return [folder / Path(name).expanduser() for name in self.subjects]


def privacy_state(policy: PrivacyPolicy, keys: Path, folder: Path) -> dict[str, Any]:
    """What an asset's config says of the policy: its fields, and what tells two subject lists or two models apart.

    The lists' digests are keyed, because a plain one of a list of few people can be guessed.

    Raises:
        KeyFileError: no usable key.
        NerUnavailable: the model cannot be loaded.
        SubjectListError: a list that cannot be read.
    """
    from ddd_llm.corpus.privacy.subjects import SubjectListError

    key = load_key(keys, policy.key_name)
    lists = []
    for path in policy.subject_lists(folder):
        try:
            lists.append(keyed_digest(key, "subjects", path.read_bytes().hex())[:16])
        except OSError as error:
            raise SubjectListError(
                f"{path}: cannot be read ({error.strerror}); mend `subjects` in the policy"
            ) from None
    model = Ner(policy.ner.model, policy.ner.labels).identity() if policy.ner else None
    return {**policy.model_dump(mode="json"), "subjects_digests": lists, "ner_identity": model}
