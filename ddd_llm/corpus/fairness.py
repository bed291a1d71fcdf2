"""Fairness of curation: whether some kinds of documents are kept less than the rest.

Here: keep rates of slices with intervals, and the verdict. Not here: what the slices are (`slices`), the rules that drop
documents (`quality`), or fairness of a model's answers.
"""

# pyarrow.compute makes its functions at import time, where no type checker sees them.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from ddd_llm.corpus.slices import Dimension, slices
from ddd_llm.corpus.tables import counts

TOO_FEW = "too few to tell"

RATES = pa.schema(
    [
        ("dimension", pa.string()),
        ("slice", pa.string()),
        ("documents", pa.int64()),
        ("kept", pa.int64()),
        ("rate", pa.float64()),
        ("rate_low", pa.float64()),
        ("rate_high", pa.float64()),
        ("overall", pa.float64()),
        ("difference", pa.float64()),
        ("ratio", pa.float64()),
        ("to_rest", pa.float64()),
        ("to_rest_low", pa.float64()),
        ("to_rest_high", pa.float64()),
        ("commonest_reason", pa.string()),
        ("verdict", pa.string()),
    ]
)
"""One row per slice. `difference` and `ratio` compare with the overall rate of the dimension (Fairlearn), `to_rest` is the
difference from all documents outside the slice. `verdict`: kept less, no disparity, too few to tell, nothing to compare."""


class FairnessPolicy(BaseModel):
    """When a slice of the corpus is kept so much less than the rest that somebody must look."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dimensions: tuple[Dimension, ...] = Field(
        default=("source", "language", "spelling", "markers", "readability"), min_length=1
    )
    max_difference: float = Field(default=0.1, gt=0, lt=1, description="Below the keep rate of the rest, in shares.")
    min_ratio: float = Field(default=0.8, gt=0, le=1, description="Of the rest's keep rate (the four-fifths rule).")
    least_documents: int = Field(default=30, ge=2, description="Smaller slices are too few to tell.")
    confidence: float = Field(default=0.95, gt=0, lt=1, description="Of all intervals together (Bonferroni).")
    deliberate: dict[Dimension, tuple[str, ...]] = Field(
        default={"language": ("language_not_allowed",)},
        description="Reasons that are the policy of a dimension itself; documents dropped for them are left out there.",
    )


def slice_rates(documents: pa.Table, decisions: pa.Table, policy: FairnessPolicy) -> pa.Table:
    """Keep rates of every slice, compared with the documents outside of it.

    Intervals of rates are Wilson's (1927), of differences Newcombe's hybrid (Statistics in Medicine 17, 1998, method 10), at
    `policy.confidence` for all slices together.

    Args:
        documents: as for `slices`; the documents that curation was given.
        decisions: columns `id, verdict, reason`, one for each of them (others are left out).
        policy: in a dimension, documents are left out that it says nothing of, and those dropped for a reason that is
            the policy of the dimension itself (`deliberate`).

    Returns:
        `RATES`, by dimension in the policy's order, then slice.

    Raises:
        ValueError: a document has no decision.
    """
    place = pc.index_in(documents["id"], value_set=decisions["id"].combine_chunks())
    if place.null_count:
        raise ValueError(f"{place.null_count} documents have no decision")
    found, mine = slices(documents), decisions.take(place)
    kept = np.asarray(pc.equal(mine["verdict"], "kept"))
    reasons = np.asarray(pc.fill_null(mine["reason"], ""), object)
    sizes = [count for name in policy.dimensions for count in counts(found[name]).values()]
    tests = max(1, sum(count >= policy.least_documents for count in sizes))
    rows: list[dict[str, Any]] = []
    for dimension in policy.dimensions:
        deliberate = np.isin(reasons.astype(str), policy.deliberate.get(dimension, ()))
        compared = np.asarray(found[dimension].is_valid()) & ~deliberate
        names = np.asarray(found[dimension], object)[compared]
        rows += _dimension(dimension, names, kept[compared], reasons[compared], tests, policy)
    return pa.Table.from_pylist(rows, RATES)


def _dimension(
    dimension: str, names: np.ndarray, kept: np.ndarray, reasons: np.ndarray, tests: int, policy: FairnessPolicy
) -> list[dict[str, Any]]:
    if not len(names):
        return []
    from fairlearn.metrics import MetricFrame, selection_rate
    from fairlearn.metrics import count as number
    from scipy.stats import norm

    z = float(norm.ppf(1 - (1 - policy.confidence) / (2 * tests)))
    metrics = {"rate": selection_rate, "documents": number}
    frame = MetricFrame(
        metrics=metrics, y_true=kept.astype(int), y_pred=kept.astype(int), sensitive_features=names.tolist()
    )
    overall, total, all_kept = float(frame.overall["rate"]), len(names), int(kept.sum())
    rows = []
    for name in sorted(set(names)):
        n, mine = int(frame.by_group["documents"][name]), names == name
        stayed = int(kept[mine].sum())
        rest_n, rest_kept = total - n, all_kept - stayed
        rate = float(frame.by_group["rate"][name])
        low, high = wilson(stayed, n, z)
        gap = newcombe(stayed, n, rest_kept, rest_n, z)
        dropped, times = np.unique(reasons[mine & ~kept].astype(str), return_counts=True)
        rows.append(
            {
                "dimension": dimension,
                "slice": name,
                "documents": n,
                "kept": stayed,
                "rate": rate,
                "rate_low": low,
                "rate_high": high,
                "overall": overall,
                "difference": rate - overall,
                "ratio": rate / overall if overall else None,
                "to_rest": gap[0],
                "to_rest_low": gap[1],
                "to_rest_high": gap[2],
                "commonest_reason": str(dropped[np.argmax(times)]) if len(dropped) else None,
                "verdict": _verdict(n, rest_n, rate, rest_kept / rest_n if rest_n else 0.0, gap, policy),
            }
        )
    return rows


def _verdict(
    n: int, rest_n: int, rate: float, rest: float, gap: tuple[float | None, ...], policy: FairnessPolicy
) -> str:
    difference, low, high = gap
    if difference is None or low is None or high is None:
        return "nothing to compare"
    if min(n, rest_n) < policy.least_documents:
        return TOO_FEW
    # A hair of slack, so that a gap of exactly the limit is not lost to rounding.
    much = difference <= 1e-12 - policy.max_difference or rate <= policy.min_ratio * rest + 1e-12
    if high < 0 and much:
        return "kept less"
    return "no disparity" if low > -policy.max_difference and not (much and difference < 0) else TOO_FEW


def wilson(successes: int, n: int, z: float) -> tuple[float | None, float | None]:
    """Wilson's score interval of a share (JASA 22, 1927); None where n is 0."""
    if n == 0:
        return None, None
    p, z2 = successes / n, z * z
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * float(np.sqrt(p * (1 - p) / n + z2 / (4 * n * n)))
    return max(0.0, middle - half), min(1.0, middle + half)


def newcombe(a: int, n: int, b: int, m: int, z: float) -> tuple[float | None, float | None, float | None]:
    """a/n - b/m with Newcombe's hybrid score interval; None where n or m is 0."""
    (low1, high1), (low2, high2) = wilson(a, n, z), wilson(b, m, z)
    if low1 is None or high1 is None or low2 is None or high2 is None:
        return None, None, None
    p, q = a / n, b / m
    down = float(np.hypot(p - low1, high2 - q))
    up = float(np.hypot(high1 - p, q - low2))
    return p - q, p - q - down, p - q + up


def disparity_verdict(rates: pa.Table, config: Mapping[str, Any]) -> tuple[bool, str, dict[str, object]]:
    """Whether a slice is kept so much less than the rest that somebody must look.

    Args:
        rates: as `slice_rates` returns them.
        config: a fairness policy as the record's config holds it.

    Returns:
        (passed, sentence, metadata). Fails where a slice is shown to be kept less, and where nothing can be told at all.
    """
    policy = FairnessPolicy.model_validate(config)
    rows = rates.to_pylist()
    by_verdict = {verdict: [r for r in rows if r["verdict"] == verdict] for verdict in {r["verdict"] for r in rows}}
    less = sorted(by_verdict.get("kept less", []), key=lambda r: (r["to_rest"], r["dimension"], r["slice"]))
    told = len(by_verdict.get("no disparity", [])) + len(less)
    unclear = len(by_verdict.get(TOO_FEW, []))
    metadata: dict[str, object] = {
        "slices_told": told,
        "slices_too_few_to_tell": unclear,
        "slices_kept_less": len(less),
    }
    rest = f" {unclear} other slices are too few to tell." if unclear else ""
    if less:
        named = "; ".join(
            f"{r['dimension']} {r['slice']}: {r['rate']:.1%} of {r['documents']:,}, {-100 * r['to_rest']:.1f} points "
            f"below the rest, most often for {r['commonest_reason']}"
            for r in less[:5]
        )
        more = f"; and {len(less) - 5} more" if len(less) > 5 else ""
        return False, f"Kept less than the rest: {named}{more}.{rest}", metadata
    if not told:
        return False, f"No slice is large enough to tell whether it is kept less.{rest}", metadata
    sentence = (
        f"None of {told} slices that can be told is kept {100 * policy.max_difference:g} points less than the rest, or below "
        f"{policy.min_ratio:.0%} of its rate.{rest}"
    )
    return True, sentence, metadata
