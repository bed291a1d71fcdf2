"""The curation policy: which rules a document must pass, who answers for them, what the report and its checks look for.

Here: the policy as data, its digest, and whether it is approved. Not here: its application (`quality`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ddd_llm.corpus.fairness import FairnessPolicy
from ddd_llm.corpus.filters.c4 import CurlyBrackets, FewSentences, LoremIpsum, PhraseLines
from ddd_llm.corpus.filters.classifier import Classifier
from ddd_llm.corpus.filters.document import Code, Document
from ddd_llm.corpus.filters.fineweb import FewPunctuatedLines, RepeatedLines, ShortLines
from ddd_llm.corpus.filters.gopher import (
    BulletLines,
    EllipsisLines,
    FewLetters,
    FewStopWords,
    Symbols,
    TooFewWords,
    TooManyWords,
    WordLength,
)
from ddd_llm.corpus.filters.repetition import DuplicateBlocks, DuplicateGrams, TopGram
from ddd_llm.corpus.filters.technical import Boilerplate, Language, Undecoded
from ddd_llm.platform.approvals import Approvable, objection
from ddd_llm.store.canonical import digest_value

AnyRule = Annotated[
    Boilerplate
    | BulletLines
    | Classifier
    | CurlyBrackets
    | DuplicateBlocks
    | DuplicateGrams
    | EllipsisLines
    | FewLetters
    | FewPunctuatedLines
    | FewSentences
    | FewStopWords
    | Language
    | LoremIpsum
    | PhraseLines
    | RepeatedLines
    | ShortLines
    | Symbols
    | TooFewWords
    | TooManyWords
    | TopGram
    | Undecoded
    | WordLength,
    Field(discriminator="rule"),
]


class BorderlinePolicy(BaseModel):
    """Which documents people should look at to judge the thresholds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    margin: float = Field(default=0.1, ge=0, lt=1, description="So near to a limit (a share of it) is borderline.")
    samples: int = Field(default=3, ge=0, le=50, description="Shown per rule and side of the limit.")


class CurationPolicy(Approvable):
    """Which rules a document must pass, and who answers for them."""

    code: Code = Field(default="skipped", description="Whether code counts as prose, as it does for the web filters.")
    rules: tuple[AnyRule, ...] = Field(description="In the order of asking: the first rule broken is the reason.")
    borderline: BorderlinePolicy = BorderlinePolicy()
    fairness: FairnessPolicy = FairnessPolicy()

    @model_validator(mode="after")
    def _each_rule_once(self) -> CurationPolicy:
        names = [rule.rule for rule in self.rules]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"rules named more than once: {', '.join(twice)}")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides which documents stay (`code` and `rules`, in order), as canonical JSON."""
        return digest_value(self.model_dump(mode="json", include={"code", "rules"}))

    def reason(self, document: Document) -> str | None:
        """The name of the first rule that the document breaks, or None."""
        return next((rule.rule for rule in self.rules if rule.broken_by(document)), None)


def approval_verdict(config: Mapping[str, Any]) -> tuple[bool, str, dict[str, object]]:
    """Whether somebody answers for exactly the rules that a record was made with.

    Args:
        config: a curation policy as the record's config holds it (`CurationPolicy.model_dump(mode="json")`).

    Returns:
        (passed, sentence with the cure, metadata).
    """
    policy = CurationPolicy.model_validate(config)
    found = objection(policy, "the curation standard")
    metadata: dict[str, object] = {"version": policy.version, "digest": policy.digest}
    if found is None:
        sentence = f"Version {policy.version} was approved by {policy.approved_by} on {policy.approved_on}."
        return True, sentence, metadata
    cure = (
        f"In assets/policies/curation.yaml set approved_by, approved_on, approved_version: {policy.version} and "
        f"approved_digest: {policy.digest}"
    )
    return False, f"{found} {cure}", metadata
