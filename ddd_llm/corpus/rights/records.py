"""What a source says of the right to use it: the rights half of a record in the sources file.

Belongs here: the fields and what makes them well formed. Does not belong here: how a source is read (`corpus.sources`), or
the judgement (`permissions`): a source without licence or legal basis is a valid record, and held back.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from ddd_llm.corpus.rights.consents import Purpose
from ddd_llm.corpus.rights.licences import canonical_licence
from ddd_llm.corpus.rights.provenance import Provenance
from ddd_llm.corpus.rights.scopes import Glob
from ddd_llm.corpus.rights.text import Day, Said


class LegalBasis(StrEnum):
    """Ground on which the documents of a source may be processed."""

    LICENCE = "licence"
    CONSENT = "consent"
    CONTRACT = "contract"
    LEGITIMATE_INTEREST = "legitimate_interest"
    PUBLIC_DOMAIN = "public_domain"
    OWN_WORK = "own_work"


FOR_PERSONAL_DATA = frozenset({LegalBasis.CONTRACT, LegalBasis.LEGITIMATE_INTEREST})
"""Grounds other than consent on which personal data may be processed (GDPR, article 6(1) b and f). A licence is none: it
speaks for the author, not for the people in the text."""


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise ValueError("an address that begins with http:// or https://")
    return value


WebAddress = Annotated[Said, AfterValidator(_web_address)]


class RobotsFile(BaseModel):
    """A robots.txt (or ai.txt) as it stood when the documents were collected: a file, or its text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Said | None = Field(default=None, description="Absolute, or relative to the sources file.")
    text: str | None = None
    site: WebAddress | None = Field(default=None, description="Site it was fetched from; default: that of url_prefix.")

    @model_validator(mode="after")
    def _one_of_two(self) -> RobotsFile:
        if (self.path is None) == (self.text is None):
            raise ValueError("give either path or text")
        return self


class DocumentRights(BaseModel):
    """What holds for some documents of a source beside what holds for all. It adds duties, it never takes one away."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    locators: tuple[Glob, ...] = Field(min_length=1)
    legal_basis: LegalBasis | None = Field(default=None, description="Ground that these documents need as well.")
    legal_basis_evidence: Said | None = None
    personal_data: bool | None = None
    tdm_reservation: bool | None = None
    provenance: Provenance | None = Field(default=None, description="Fields that differ from the source's own.")


class Rights(BaseModel):
    """What every source says of itself. A null licence, evidence or legal basis is legal here and held back later."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    owner: Said = Field(description="Person or body that holds the rights.")
    licence: str | None = Field(default=None, description="SPDX licence expression, or null when it is not known.")
    licence_evidence: Said | None = Field(default=None, description="File, address or metadata field that says so.")
    legal_basis: LegalBasis | None = None
    legal_basis_evidence: Said | None = Field(
        default=None, description="Contract, or balancing test: needed where personal data rest on one of these."
    )
    purpose: list[Purpose] = Field(description="Uses the legal basis covers.")
    collected: Day = Field(description="Day on which the documents were collected.")
    personal_data: bool | None = Field(
        default=None,
        description="Whether the documents are about identifiable people. Names in passing are what pseudonyms are for.",
    )
    provenance: Provenance | None = Field(
        default=None, description="Data Provenance Standards, beyond what is said here."
    )
    documents: list[DocumentRights] = Field(default_factory=list, description="What holds for some documents only.")
    url_prefix: WebAddress | None = Field(
        default=None, description="A locator appended to it is the document's address."
    )
    robots: list[RobotsFile] = Field(default_factory=list)
    tdm_reservation: bool | None = Field(
        default=None,
        description="Whether the owner reserved text and data mining (Directive (EU) 2019/790, article 4(3)).",
    )

    @field_validator("licence")
    @classmethod
    def _licence_is_spdx(cls, value: str | None) -> str | None:
        return None if value is None else canonical_licence(value)

    @model_validator(mode="after")
    def _robots_have_a_site(self) -> Rights:
        if self.url_prefix is None and any(file.site is None for file in self.robots):
            raise ValueError("robots: say which site it is from (site:), or give the source a url_prefix")
        return self
