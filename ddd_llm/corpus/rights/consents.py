"""The consent register: who agreed to what, for how long, and whether it holds on a stated day.

Belongs here: one entry, its state on a day, and what several entries over one document add up to. Does not belong here: when a
document needs consent at all (`permissions`).

Days are whole days in UTC. An entry counts from `given_on`, and no more from `expires_on` or `withdrawn_on` on, those days
included. What several entries say of one document:

- every subject with an entry over the document is a party to it, and each needs a live entry of its own for the purpose;
- a withdrawal ends every earlier entry of the same subject over the document, not only the one it is written in: an entry
  counts against it only when it was given later;
- entries without a subject speak for the source's owner, who is one party.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ddd_llm.corpus.rights.scopes import Glob
from ddd_llm.corpus.rights.text import Day, Said, SourceName


class Purpose(StrEnum):
    """Use that a legal basis or a consent covers. Only `training` lets a document into the corpus."""

    TRAINING = "training"
    EVALUATION = "evaluation"
    RETRIEVAL = "retrieval"
    RESEARCH = "research"


class State(StrEnum):
    """Of one entry on one day."""

    NOT_YET_GIVEN = "not_yet_given"
    LIVE = "live"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class Consent(BaseModel):
    """One entry of the register. The subject is an identifier of the organisation's own; better no name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Shown on pages; so no name of a person.")
    subject: Said | None = Field(default=None, description="Who consents; null for the owner of the source.")
    sources: tuple[SourceName, ...] = Field(min_length=1, description="Sources it speaks of.")
    locators: tuple[Glob, ...] = Field(default=("**",), min_length=1, description="Documents of them it speaks of.")
    purposes: tuple[Purpose, ...] = Field(min_length=1)
    given_on: Day
    expires_on: Day | None = None
    withdrawn_on: Day | None = None
    evidence: Said = Field(description="Where the signed form, mail or log entry is kept.")

    @model_validator(mode="after")
    def _days_in_order(self) -> Consent:
        for name, day in (("expires_on", self.expires_on), ("withdrawn_on", self.withdrawn_on)):
            if day is not None and day < self.given_on:
                raise ValueError(f"{name} is before given_on")
        return self

    def state(self, as_of: date | None) -> State:
        """Its state on a day; `None` is before anything was given."""
        if as_of is None or as_of < self.given_on:
            return State.NOT_YET_GIVEN
        if self.withdrawn_on is not None and self.withdrawn_on <= as_of:
            return State.WITHDRAWN
        if self.expires_on is not None and self.expires_on <= as_of:
            return State.EXPIRED
        return State.LIVE

    def days(self) -> list[date]:
        """Days on which its state changes."""
        return [day for day in (self.given_on, self.expires_on, self.withdrawn_on) if day is not None]


class ConsentRegister(BaseModel):
    """The whole register."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    consents: tuple[Consent, ...] = ()

    @field_validator("consents")
    @classmethod
    def _ids_differ(cls, value: tuple[Consent, ...]) -> tuple[Consent, ...]:
        seen: set[str] = set()
        for consent in value:
            if consent.id in seen:
                raise ValueError(f"two entries share the id {consent.id}")
            seen.add(consent.id)
        return value


def last_change(days: Iterable[date], today: date) -> date | None:
    """The last day at or before today on which any state changes; None when none has yet.

    Between two such days nothing differs, so that this day, not today, belongs in a fingerprint: it moves exactly when a
    consent, an expiry or a withdrawal takes effect.
    """
    return max((day for day in days if day <= today), default=None)


def withdrawal(covering: Sequence[Consent], as_of: date | None) -> Consent | None:
    """The entry whose withdrawal forbids training on a document, whatever else it rests on; None when there is none."""
    for entries in _parties(covering).values():
        withdrawn = [e for e in entries if e.state(as_of) is State.WITHDRAWN and Purpose.TRAINING in e.purposes]
        if withdrawn and not _live(entries, as_of):
            return max(withdrawn, key=lambda e: (e.withdrawn_on or date.min, e.id))
    return None


def missing_consent(covering: Sequence[Consent], as_of: date | None) -> tuple[str, str] | None:
    """(reason, sentence) why a document that needs consent has none that holds, None when it has.

    Args:
        covering: every entry of the register that speaks of the document.
    """
    if not covering:
        return "no_consent", "no entry of the consent register speaks of the document"
    withdrawn = withdrawal(covering, as_of)
    if withdrawn is not None:
        return "consent_withdrawn", f"consent {withdrawn.id} was withdrawn on {withdrawn.withdrawn_on}"
    for entries in _parties(covering).values():
        if not _live(entries, as_of):
            return _why_not(entries, as_of)
    return None


def _parties(covering: Sequence[Consent]) -> dict[str | None, list[Consent]]:
    parties: dict[str | None, list[Consent]] = {}
    for consent in covering:
        parties.setdefault(consent.subject, []).append(consent)
    return parties


def _live(entries: Sequence[Consent], as_of: date | None) -> bool:
    training = [entry for entry in entries if Purpose.TRAINING in entry.purposes]
    ended = max(
        (e.withdrawn_on for e in training if e.withdrawn_on is not None and e.state(as_of) is State.WITHDRAWN),
        default=date.min,
    )
    return any(entry.state(as_of) is State.LIVE and entry.given_on > ended for entry in training)


def _why_not(entries: Sequence[Consent], as_of: date | None) -> tuple[str, str]:
    training = [entry for entry in entries if Purpose.TRAINING in entry.purposes]
    expired = [entry for entry in training if entry.state(as_of) is State.EXPIRED]
    if expired:
        last = max(expired, key=lambda entry: (entry.expires_on or date.min, entry.id))
        return "consent_expired", f"consent {last.id} expired on {last.expires_on}"
    if training:
        first = min(training, key=lambda entry: (entry.given_on, entry.id))
        return "consent_not_yet_given", f"consent {first.id} counts only from {first.given_on} on"
    return "consent_not_for_training", f"consent {min(e.id for e in entries)} does not cover training"
