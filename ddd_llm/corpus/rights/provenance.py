"""The provenance record of a source: the 22 fields of the Data Provenance Standards.

Belongs here: the fields, their groups and what may be stated in them. Does not belong here: what follows from the rest of
a source's record (`derivation`), or which fields are mandatory (`policy`).

Source: Data & Trust Alliance, Data Provenance Standards, version 1.0.0 (2024; handed to OASIS as Data Provenance Metadata): 6
fields of the source standard, 8 of provenance, 8 of use; value lists after the standards' information model.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from ddd_llm.corpus.rights.text import Day, Said

STANDARDS_VERSION = "1.0.0"

FIELDS: dict[str, tuple[str, str]] = {
    "standards_version": ("source", "Standards version used"),
    "title": ("source", "Dataset title/name"),
    "identifier": ("source", "Unique metadata identifier"),
    "metadata_location": ("source", "Metadata location"),
    "issuer": ("source", "Dataset issuer"),
    "description": ("source", "Description of the dataset"),
    "source_metadata": ("provenance", "Source metadata for dataset"),
    "origin": ("provenance", "Source (if different from issuer)"),
    "origin_geography": ("provenance", "Data origin geography"),
    "issued": ("provenance", "Dataset issue date"),
    "previously_issued": ("provenance", "Date of previously issued version of the dataset"),
    "generation": ("provenance", "Range of dates for data generation"),
    "method": ("provenance", "Method"),
    "format": ("provenance", "Data format"),
    "confidentiality": ("use", "Confidentiality classification"),
    "consent_documentation": ("use", "Consent documentation location"),
    "privacy_technologies": ("use", "Privacy enhancing technologies"),
    "processing_geography": ("use", "Data processing geography"),
    "storage_geography": ("use", "Data storage geography"),
    "licence": ("use", "License to use"),
    "intended_use": ("use", "Intended data use"),
    "proprietary": ("use", "Proprietary data presence"),
}
"""Name here -> (standard, name in the standards), in the order of the standards."""

WHERE_APPLICABLE = frozenset(
    {
        "metadata_location",
        "source_metadata",
        "origin",
        "previously_issued",
        "format",
        "processing_geography",
        "storage_geography",
    }
)
"""Fields that a dataset may rightly have nothing for: no parents, no earlier version, no limits."""

_NOTHING = frozenset({"", "-", "?", "n/a", "na", "none", "not known", "null", "tbd", "tbc", "todo", "unknown", "xxx"})


def _or_absent(value: object) -> object:
    """A placeholder says nothing, so the field counts as absent."""
    return None if isinstance(value, str) and value.strip().casefold() in _NOTHING else value


Statement = Annotated[Said | None, BeforeValidator(_or_absent)]
Country = Annotated[str, StringConstraints(pattern=r"^([A-Z]{2}(-[A-Z0-9]{1,3})?|worldwide)$")]
Moment = Annotated[str, StringConstraints(pattern=r"^\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?$")]


class MethodKind(StrEnum):
    """How the data came about, in the standards' words."""

    WEB_CRAWLING = "web_crawling"
    FEEDS = "feeds"
    SYNDICATION = "syndication"
    DATA_MINING = "data_mining"
    MACHINE_GENERATED = "machine_generated"
    SOCIAL_MEDIA = "social_media"
    USER_GENERATED = "user_generated"
    PRIMARY_USER_SOURCE = "primary_user_source"
    DATA_AUGMENTATION = "data_augmentation"
    TRANSFER_LEARNING = "transfer_learning"
    SIMULATIONS = "simulations"
    OTHER = "other"


class Confidentiality(StrEnum):
    """Which protected kinds of data are present. All but `none` and `other` are personal data."""

    PERSONAL = "personal"
    PAYMENT_CARD = "payment_card"
    PERSONAL_FINANCIAL = "personal_financial"
    PERSONALLY_IDENTIFIABLE = "personally_identifiable"
    PERSONAL_HEALTH = "personal_health"
    SENSITIVE_PERSONAL = "sensitive_personal"
    OTHER = "other"
    NONE = "none"


class PrivacyTechnology(StrEnum):
    """Technique applied to the data to protect people."""

    ANONYMISATION = "anonymisation"
    ENCRYPTION = "encryption"
    MASKING = "masking"
    MINIMISATION = "minimisation"
    REDACTION = "redaction"
    DIFFERENTIAL_PRIVACY = "differential_privacy"
    FEDERATED_LEARNING = "federated_learning"
    HOMOMORPHIC_ENCRYPTION = "homomorphic_encryption"
    K_ANONYMITY = "k_anonymity"
    L_DIVERSITY = "l_diversity"
    PSEUDONYMISATION = "pseudonymisation"
    SECURE_MULTI_PARTY_COMPUTATION = "secure_multi_party_computation"
    T_CLOSENESS = "t_closeness"
    TOKENISATION = "tokenisation"
    NOT_NEEDED = "not_needed"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Generation(_Model):
    """When the oldest and the youngest part of the data came into being: a year, a month or a day (ISO 8601)."""

    first: Moment | None = None
    last: Moment | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Generation:
        if self.first is None and self.last is None:
            raise ValueError("say when the data begin or end")
        shared = min(len(self.first or ""), len(self.last or ""))
        if self.first and self.last and self.first[:shared] > self.last[:shared]:
            raise ValueError("last is before first")
        return self


class Method(_Model):
    """How the data were made or collected."""

    kinds: tuple[MethodKind, ...] = Field(min_length=1)
    description: Said


class Geography(_Model):
    """Countries (ISO 3166) where something may, or may not, be done. `worldwide` excludes nothing."""

    include: tuple[Country, ...] = ()
    exclude: tuple[Country, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Geography:
        if not self.include and not self.exclude:
            raise ValueError("name a country to include or exclude (ISO 3166), or worldwide")
        both = sorted(set(self.include) & set(self.exclude))
        if both:
            raise ValueError(f"{', '.join(both)} is both included and excluded")
        return self


class Proprietary(_Model):
    """Whether the data hold what somebody has such a right in; null where nobody has looked."""

    copyright: bool | None = None
    patent: bool | None = None
    trademark: bool | None = None


class Provenance(_Model):
    """What the `provenance:` section of a source states. What is left out is derived where the source says it elsewhere.

    Licence and intended use have no field here: `licence` and `purpose` of the source are they.
    """

    standards_version: Literal["1.0.0"] | None = None
    title: Statement = None
    identifier: Statement = Field(default=None, description="Best a UUID; the same for no other dataset.")
    metadata_location: Statement = Field(default=None, description="Address of the metadata of this dataset.")
    issuer: Statement = Field(default=None, description="Who issued the dataset, where that is not the owner.")
    description: Statement = None
    source_metadata: tuple[Said, ...] | None = Field(default=None, min_length=1, description="Metadata of its parents.")
    origin: Statement = Field(default=None, description="Where the issuer has it from, if from somebody else.")
    origin_geography: tuple[Country, ...] | None = Field(default=None, min_length=1)
    issued: Day | None = None
    previously_issued: Day | None = None
    generation: Generation | None = None
    method: Method | None = None
    format: tuple[Said, ...] | None = Field(default=None, min_length=1, description="Media types.")
    confidentiality: tuple[Confidentiality, ...] | None = Field(default=None, min_length=1)
    consent_documentation: Statement = None
    privacy_technologies: tuple[PrivacyTechnology, ...] | None = Field(default=None, min_length=1)
    processing_geography: Geography | None = None
    storage_geography: Geography | None = None
    proprietary: Proprietary | None = None

    @model_validator(mode="after")
    def _none_stands_alone(self) -> Provenance:
        said = self.confidentiality or ()
        if Confidentiality.NONE in said and len(set(said)) > 1:
            raise ValueError("confidentiality: none stands alone")
        return self

    @property
    def names_personal_data(self) -> bool:
        """Whether the stated classification is one of personal data."""
        return bool(set(self.confidentiality or ()) - {Confidentiality.NONE, Confidentiality.OTHER})

    def over(self, under: Provenance | None) -> Provenance:
        """This record, with what it leaves open taken from another one."""
        if under is None:
            return self
        stated = {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}
        return under.model_copy(update=stated)
