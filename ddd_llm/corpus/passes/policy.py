"""The policy of the optional passes: what each does, and from which thresholds on.

Here: the model of `assets/policies/passes.yaml`, and the digests of the evaluation sets it names. Not here: the passes.
"""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ddd_llm.platform.inputs import InputError


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True


class BoilerplatePolicy(_Section):
    """A paragraph is boilerplate if it stands in more than `more_than_documents` documents, and either in at least
    `least_sources` sources or in at least `least_share` of all documents."""

    more_than_documents: int = Field(default=20, ge=1)
    least_sources: int = Field(default=3, ge=1)
    least_share: float = Field(default=0.01, gt=0, le=1)
    least_characters: int = Field(
        default=40, ge=1, description="Shorter paragraphs (headings) stay; white space counts once."
    )
    keep: Literal["first", "none"] = Field(
        default="first", description="Whether the first document in order keeps its copy."
    )
    exempt_code: bool = Field(default=True, description="Fenced and literal blocks and doctests stay.")


class EvaluationSet(BaseModel):
    """Items that no training document may contain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    path: str = Field(min_length=1, description="JSON Lines (.jsonl, .jsonl.gz) or Parquet, below assets/ or absolute.")
    text_fields: tuple[str, ...] = Field(min_length=1, description="Joined in this order, they are the item's text.")
    id_field: str | None = Field(default=None, description="Names the item; else its row number, from 0.")

    def file(self, assets: Path) -> Path:
        """The set's file, for a given assets folder."""
        return assets / self.path


class ContaminationPolicy(_Section):
    """Which items are looked for, and what happens to a document that holds one."""

    sets: tuple[EvaluationSet, ...] = ()
    least_share: float = Field(
        default=0.1, gt=0, le=1, description="Of a long item's word 8-grams (and at least two) that a document holds."
    )
    least_words: int = Field(default=3, ge=1, description="Items of fewer words are not looked for, and counted.")
    action: Literal["drop", "tag"] = "drop"

    @model_validator(mode="after")
    def _each_set_once(self) -> "ContaminationPolicy":
        names = [one.name for one in self.sets]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"evaluation sets named more than once: {', '.join(twice)}")
        return self


class SemanticPolicy(_Section):
    """Which documents are compared by meaning, and from which cosine similarity on one goes."""

    enabled: bool = False
    threshold: float = Field(default=0.95, gt=0, le=1)
    least_words: int = Field(default=20, ge=1)
    most_windows: int = Field(default=4, ge=1, description="Longer documents (windows of 254 word pieces) stay.")


class TagsPolicy(_Section):
    """Which scores are kept beside the documents."""

    window: int = Field(default=40, ge=2, description="Words scored at a time; windows overlap by half.")
    record_from: float = Field(default=0.5, ge=0, le=1, description="Lesser toxicity scores leave no row.")
    word_score: float = Field(
        default=0.98, gt=0, le=1, description="A word is profane that by itself has this probability."
    )
    exempt_words: tuple[str, ...] = Field(default=(), description="Never profane by themselves, such as identities.")


class PoisoningPolicy(_Section):
    """From when on a repeated token counts as a possible trigger."""

    least_documents: int = Field(default=20, ge=5)
    most_share: float = Field(default=0.05, gt=0, le=1, description="Of all documents; what is commoner is not rare.")
    least_gibberish: float = Field(
        default=0.6, gt=0, le=1, description="How far what follows lies from usual text (0) to text never seen (1)."
    )
    rarest_shapes: float = Field(
        default=0.1, gt=0, le=1, description="Share of tokens, the oddest by their characters, that may be triggers."
    )
    allow: tuple[str, ...] = Field(default=(), description="Tokens that are known and harmless.")


class PassesPolicy(BaseModel):
    """The optional passes, in the order in which they run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    boilerplate: BoilerplatePolicy = BoilerplatePolicy()
    contamination: ContaminationPolicy = ContaminationPolicy()
    semantic: SemanticPolicy = SemanticPolicy()
    tags: TagsPolicy = TagsPolicy()
    poisoning: PoisoningPolicy = PoisoningPolicy()


def evaluation_digests(policy: PassesPolicy, assets: Path) -> dict[str, str]:
    """SHA-256 of each evaluation set's file by the set's name: part of what an asset's fingerprint must hold.

    Raises:
        InputError: a file cannot be read.
    """
    digests = {}
    for one in policy.contamination.sets:
        try:
            with one.file(assets).open("rb") as file:
                digests[one.name] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(
                f"{one.file(assets)}: evaluation set {one.name!r} cannot be read ({error.strerror})"
            ) from None
    return digests
