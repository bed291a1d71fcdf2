"""Where disagreement comes from: items that are ambiguous, annotators who err, and the guideline sections behind both.

An item is ambiguous when annotators' labels, weighed by how reliable each is (Dawid and Skene), leave the true class undecided.
Where it is decided, those who said otherwise erred.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ddd_llm.feedback.agreement.dawid_skene import Estimates, dawid_skene
from ddd_llm.feedback.agreement.ratings import MISSING, Ratings

Cause = Literal["ambiguous_item", "annotator_error"]


class DisagreementPolicy(BaseModel):
    """When an item counts as decided."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decided_from: float = Field(
        default=0.9, gt=0.5, lt=1, description="Probability of the likeliest class; below it the item is ambiguous."
    )


@dataclass(frozen=True)
class ItemDisagreement:
    """An item on which labels differ. `erring` names who said other than the likeliest class, where it is decided."""

    item: str
    cause: Cause
    likeliest: str
    probability: float
    labels: dict[str, str]
    erring: tuple[str, ...]


@dataclass(frozen=True)
class SectionDisagreement:
    """A guideline section: labels that rested on it, how many of them stand on a disputed item, and the interval of that share
    (95%, Wilson)."""

    section: str
    labels: int
    ambiguous: int
    errors: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Disagreement:
    """All of it.

    Attributes:
        items: every disputed item, most undecided first.
        compared: items with at least two labels.
        errors: annotator -> (errors, labels on items with at least two).
        sections: those that cause most of it first.
        estimates: the model behind it; None without labels.
    """

    items: tuple[ItemDisagreement, ...]
    compared: int
    errors: dict[str, tuple[int, int]]
    sections: tuple[SectionDisagreement, ...]
    estimates: Estimates | None


def explain(
    ratings: Ratings,
    sections: Mapping[tuple[str, str], tuple[str, ...]] | None = None,
    policy: DisagreementPolicy | None = None,
) -> Disagreement:
    """Split disagreement by cause.

    Args:
        ratings: the labels.
        sections: guideline sections that each (item, annotator) label rested on.
        policy: when an item is decided.
    """
    rules = policy or DisagreementPolicy()
    there = ratings.codes != MISSING
    compared = there.sum(1) >= 2
    if not compared.any():
        return Disagreement((), 0, {}, (), None)
    estimates = dawid_skene(ratings)
    disputed = [
        _item(ratings, estimates, row, rules)
        for row in range(len(ratings.items))
        if compared[row] and len(set(ratings.codes[row][there[row]])) > 1
    ]
    errors = Counter(annotator for item in disputed for annotator in item.erring)
    given = {name: int((there[:, i] & compared).sum()) for i, name in enumerate(ratings.annotators)}
    return Disagreement(
        tuple(sorted(disputed, key=lambda item: (item.probability, item.item))),
        int(compared.sum()),
        {name: (errors[name], count) for name, count in given.items()},
        tuple(_by_section(ratings, disputed, sections or {}, compared)),
        estimates,
    )


def _item(ratings: Ratings, estimates: Estimates, row: int, policy: DisagreementPolicy) -> ItemDisagreement:
    best = int(estimates.posterior[row].argmax())
    probability = float(estimates.posterior[row, best])
    labels = {
        name: ratings.values[code]
        for name, code in zip(ratings.annotators, ratings.codes[row], strict=True)
        if code != MISSING
    }
    decided = probability >= policy.decided_from
    erring = tuple(name for name, value in labels.items() if value != ratings.values[best]) if decided else ()
    cause: Cause = "annotator_error" if decided else "ambiguous_item"
    return ItemDisagreement(ratings.items[row], cause, ratings.values[best], probability, labels, erring)


def _by_section(
    ratings: Ratings,
    disputed: list[ItemDisagreement],
    sections: Mapping[tuple[str, str], tuple[str, ...]],
    compared: object,
) -> list[SectionDisagreement]:
    from statsmodels.stats.proportion import proportion_confint

    causes = {item.item: item for item in disputed}
    several = {item for item, counts in zip(ratings.items, compared, strict=True) if counts}  # type: ignore[call-overload]
    uses: Counter[str] = Counter()
    ambiguous: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for (item, annotator), named in sections.items():
        if item not in several:
            continue
        for section in set(named):
            uses[section] += 1
            cause = causes.get(item)
            if cause is not None and cause.cause == "ambiguous_item":
                ambiguous[section] += 1
            elif cause is not None and annotator in cause.erring:
                errors[section] += 1
    rows = []
    for section, labels in uses.items():
        bad = ambiguous[section] + errors[section]
        low, high = (float(bound) for bound in proportion_confint(bad, labels, method="wilson"))
        rows.append(SectionDisagreement(section, labels, ambiguous[section], errors[section], bad / labels, low, high))
    return sorted(rows, key=lambda row: (-(row.ambiguous + row.errors), row.section))
