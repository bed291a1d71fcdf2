"""Licences: the SPDX expression of a source judged as a whole by lists of what is allowed, denied and to be reviewed.

Belongs here: spelling, lists, approvals, the judgement of an expression. Does not belong here: which source has which
licence (`records`), or what happens to documents that are held back (`permissions`).

A part is denied, to be reviewed, or allowed, in this order of strength; what no list names is to be reviewed, so nothing
passes that is not allowed in so many words. `A AND B` is as good as its worst part, `A OR B` as its best, and the part
that was relied upon is said. `L WITH E` is judged by the entries that name an exception; where none does, it is never
better than L alone, and an L that is allowed alone is to be reviewed with an exception nobody has looked at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from functools import cache, cached_property
from typing import Annotated, Any

from license_expression import ExpressionError, LicenseWithExceptionSymbol, Licensing, get_spdx_licensing
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from ddd_llm.corpus.rights.text import Day, Said, SourceName

LONGEST = 4000
_LICENCE_REF = re.compile(r"(DocumentRef-[A-Za-z0-9.-]+:)?LicenseRef-[A-Za-z0-9.-]+")
_PATTERN = re.compile(r"[A-Za-z0-9.+:*-]+( WITH [A-Za-z0-9.*-]+)?")


class Verdict(IntEnum):
    """What the lists say of a licence, from the strictest."""

    DENIED = 0
    REVIEW = 1
    ALLOWED = 2


def canonical_licence(expression: str) -> str:
    """The SPDX expression in canonical spelling (`apache-2.0` becomes `Apache-2.0`).

    Raises:
        ValueError: not an SPDX expression, or a licence that SPDX does not list (`LicenseRef-...` names one's own).
    """
    if len(expression) > LONGEST:
        raise ValueError(f"not an SPDX licence expression: longer than {LONGEST:,} characters")
    licensing = _licensing()
    try:
        parsed = licensing.parse(expression, strict=True)
    except (ExpressionError, RecursionError) as error:
        raise ValueError(f"not an SPDX licence expression: {error}") from None
    if parsed is None:
        raise ValueError("not an SPDX licence expression: it is empty (write null for a licence that is not known)")
    unknown = [key for key in licensing.unknown_license_keys(parsed) if not _LICENCE_REF.fullmatch(key)]
    if unknown:
        raise ValueError(
            f"SPDX lists no licence {', '.join(unknown)}: use an identifier from spdx.org/licenses, "
            "LicenseRef-NAME for a licence of your own, or null when it is not known"
        )
    return str(parsed)


@cache
def _licensing() -> Licensing:
    return get_spdx_licensing()


@cache
def _identifiers() -> tuple[str, ...]:
    return tuple(_licensing().known_symbols)


def _entry(text: str) -> str:
    text = " ".join(text.split())
    if "*" not in text:
        if re.search(r" (AND|OR) |[()]", text, re.IGNORECASE):
            raise ValueError("a list names single licences, not expressions of several")
        return canonical_licence(text)
    if not _PATTERN.fullmatch(text):
        raise ValueError("a licence identifier, in which * stands for any characters, and perhaps WITH an exception")
    for part in text.split(" WITH "):
        own = part.lower().startswith(("licenseref-", "documentref-"))
        if not own and not any(_regex(part).fullmatch(known) for known in _identifiers()):
            raise ValueError(f"{part}: SPDX lists no identifier of this form")
    return text


def _allowed_entry(text: str) -> str:
    # What is allowed is named: a star may stand for versions and variants, never for licences nobody has read.
    licence, _, exception = text.partition(" WITH ")
    literal = licence.partition("*")[0]
    own = literal.lower().startswith(("licenseref-", "documentref-")) and "*" in licence
    if len(literal) < 2 or own or "*" in exception:
        raise ValueError("too wide for the allow list: name the licence, or at least its family (BSD-*)")
    return text


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, re.split(r"\*+", pattern))), re.IGNORECASE)


Entry = Annotated[str, AfterValidator(_entry)]
AllowedEntry = Annotated[str, AfterValidator(_entry), AfterValidator(_allowed_entry)]


class Approval(BaseModel):
    """Somebody looked at a licence under review and stands by its use. It never lifts a denial."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    licence: str = Field(description="One licence identifier, perhaps WITH an exception; no wildcard.")
    sources: list[SourceName] = Field(min_length=1, description="Sources for which it was approved.")
    approved_by: Said
    approved_on: Day = Field(description="Counts from this day on.")
    expires_on: Day | None = Field(default=None, description="First day on which it does not count any more.")
    evidence: Said = Field(description="Where the assessment is kept.")

    @field_validator("licence")
    @classmethod
    def _one_licence(cls, value: str) -> str:
        if "*" in value:
            raise ValueError("an approval names one licence, without a wildcard")
        return _entry(value)

    def live(self, as_of: date | None) -> bool:
        """Whether it counts on a day; before any change of state (`None`) nothing does."""
        if as_of is None or as_of < self.approved_on:
            return False
        return self.expires_on is None or as_of < self.expires_on

    def days(self) -> list[date]:
        """Days on which its state changes."""
        return [self.approved_on, *([self.expires_on] if self.expires_on else [])]


@dataclass(frozen=True, slots=True)
class Decision:
    """The judgement of one expression for one source.

    `chosen` joins what is relied upon with AND (of each OR the first alternative that is best); `open` names the parts
    that stand in the way, `approvals` the ids of the approvals that it needed.
    """

    verdict: Verdict
    chosen: tuple[str, ...]
    open: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()


class LicencePolicy(BaseModel):
    """Which licences let a document into the corpus. An entry is an identifier; `*` in it stands for any characters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    allow: list[AllowedEntry] = Field(default_factory=list)
    deny: list[Entry] = Field(default_factory=list)
    review: list[Entry] = Field(default_factory=list)
    approvals: list[Approval] = Field(default_factory=list)

    @field_validator("approvals")
    @classmethod
    def _ids_differ(cls, value: list[Approval]) -> list[Approval]:
        if len({approval.id for approval in value}) != len(value):
            raise ValueError("two approvals share an id")
        return value

    def decide(self, expression: str, source: str, as_of: date | None) -> Decision:
        """The judgement of a licence expression for a source on a day.

        Raises:
            ValueError: not an SPDX expression.
        """
        canonical = canonical_licence(expression)
        return self._judge(_licensing().parse(canonical), source, as_of)

    def listed(self, licence: str) -> Verdict:
        """What the lists alone say of one licence in canonical spelling. Denial is stronger than review, review than leave."""
        base, _, exception = licence.partition(" WITH ")
        found = self._named(licence, bool(exception))
        if found is not None or not exception:
            return Verdict.REVIEW if found is None else found
        return min(self.listed(base), Verdict.REVIEW)

    def _named(self, licence: str, with_exception: bool) -> Verdict | None:
        for verdict, patterns in self._lists:
            if any(pattern.fullmatch(licence) for excepted, pattern in patterns if excepted == with_exception):
                return verdict
        return None

    @cached_property
    def _lists(self) -> tuple[tuple[Verdict, tuple[tuple[bool, re.Pattern[str]], ...]], ...]:
        given: Sequence[tuple[Verdict, list[str]]] = (
            (Verdict.DENIED, self.deny),
            (Verdict.REVIEW, self.review),
            (Verdict.ALLOWED, self.allow),
        )
        return tuple((verdict, tuple((" WITH " in one, _regex(one)) for one in entries)) for verdict, entries in given)

    def _judge(self, node: Any, source: str, as_of: date | None) -> Decision:
        args = getattr(node, "args", ())
        if not args or isinstance(node, LicenseWithExceptionSymbol):
            return self._leaf(str(node), source, as_of)
        parts = [self._judge(part, source, as_of) for part in args]
        if isinstance(node, _licensing().OR):
            return max(parts, key=lambda part: part.verdict)  # the first of the best
        return Decision(
            min(part.verdict for part in parts),
            tuple(dict.fromkeys(one for part in parts for one in part.chosen)),
            tuple(dict.fromkeys(one for part in parts for one in part.open)),
            tuple(dict.fromkeys(one for part in parts for one in part.approvals)),
        )

    def _leaf(self, licence: str, source: str, as_of: date | None) -> Decision:
        verdict = self.listed(licence)
        if verdict is not Verdict.REVIEW:
            return Decision(verdict, (licence,), () if verdict is Verdict.ALLOWED else (licence,))
        for approval in self.approvals:
            same = approval.licence.casefold() == licence.casefold()
            if same and source in approval.sources and approval.live(as_of):
                return Decision(Verdict.ALLOWED, (licence,), (), (approval.id,))
        return Decision(verdict, (licence,), (licence,))
