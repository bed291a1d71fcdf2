"""Agreement on spans: Krippendorff's alpha over characters, and F1 of characters, of exact spans and of overlapping spans.

A text's characters are units. Neighbours that all annotators treat alike are one unit with a weight, so that cost depends on
the number of spans and not on the length of the text. Resampling is over texts, since characters of one text stand together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from ddd_llm.feedback.agreement.alpha import RESAMPLES, Estimate, Floats, bootstrap, finite


@dataclass(frozen=True)
class Marked:
    """What one annotator marked in one text: (start, end, type) in code points. No spans: the text was found faultless."""

    item: str
    annotator: str
    length: int
    spans: tuple[tuple[int, int, str], ...]


@dataclass(frozen=True)
class SpanF1:
    """Mean over pairs of annotators who share a text; pairs in which both marked nothing agree (1.0). None: no pair."""

    characters: float | None
    exact: float | None
    overlap: float | None
    pairs: int


def span_alpha(
    marked: Iterable[Marked],
    kind: str | None = None,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Nominal alpha over characters, marked against not marked.

    Args:
        marked: one per annotator and text.
        kind: type of span that counts; None takes all types together.
        confidence: of the interval.
        resamples: of texts; 0 gives no interval.
        seed: of the resamples.

    Returns:
        `items` counts texts with at least two annotators, `labels` their annotations.
    """
    texts = [same for same in _by_item(marked).values() if len(same) >= 2]
    sums = np.array([_coincidences(same, kind) for same in texts]).reshape(-1, 3)

    def of(weights: Floats) -> Floats:
        """From sums of (disagreeing coincidences, labels `marked`, labels `not`): alpha for two categories."""
        apart, yes, no = (weights @ sums).T
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(yes * no > 0, 1 - (yes + no - 1) * apart / (2 * yes * no), np.nan)

    annotations = sum(map(len, texts))
    value = of(np.ones((1, len(texts))))[0] if texts else float("nan")
    low = high = None
    if resamples and np.isfinite(value):
        low, high = bootstrap(len(texts), resamples, seed, confidence, of)
    return Estimate(finite(float(value)), low, high, len(texts), annotations)


def span_f1(marked: Iterable[Marked], kind: str | None = None) -> SpanF1:
    """F1 between annotators, as mean over pairs on texts."""
    rows = [
        (_dice(one, two, kind), _matches(one, two, kind, exact=True), _matches(one, two, kind, exact=False))
        for same in _by_item(marked).values()
        for one, two in combinations(same, 2)
    ]
    if not rows:
        return SpanF1(None, None, None, 0)
    characters, exact, overlap = (float(np.mean(column)) for column in zip(*rows, strict=True))
    return SpanF1(characters, exact, overlap, len(rows))


def character_f1(one: Sequence[tuple[int, int, str]], two: Sequence[tuple[int, int, str]]) -> float:
    """F1 (Dice) of marked characters by type, of two lists of (start, end, type); 1.0 where both are empty."""
    kinds = {kind for _, _, kind in (*one, *two)}
    both = total = 0
    for kind in kinds:
        first, second = _union(one, kind), _union(two, kind)
        both += _shared(first, second)
        total += _length(first) + _length(second)
    return 2 * both / total if total else 1.0


def _by_item(marked: Iterable[Marked]) -> dict[str, list[Marked]]:
    found: dict[str, list[Marked]] = {}
    for row in sorted(marked, key=lambda row: (row.item, row.annotator)):
        found.setdefault(row.item, []).append(row)
    return found


def _coincidences(same: Sequence[Marked], kind: str | None) -> tuple[float, float, float]:
    # One text: disagreeing coincidences, and how many character labels say "marked" and "not marked".
    unions = [_union(row.spans, kind) for row in same]
    edges = sorted({0, same[0].length, *(edge for union in unions for span in union for edge in span)})
    labels = len(same)
    apart = yes = 0.0
    for start, end in pairwise(edges):
        marks = sum(any(s <= start < e for s, e in union) for union in unions)
        apart += (end - start) * 2 * marks * (labels - marks) / (labels - 1)
        yes += (end - start) * marks
    return apart, yes, same[0].length * labels - yes


def _union(spans: Sequence[tuple[int, int, str]], kind: str | None) -> list[tuple[int, int]]:
    """Non-overlapping, ordered (start, end) of the spans of a type."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted((s, e) for s, e, k in spans if kind is None or k == kind):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _length(union: Sequence[tuple[int, int]]) -> int:
    return sum(end - start for start, end in union)


def _shared(one: Sequence[tuple[int, int]], two: Sequence[tuple[int, int]]) -> int:
    return sum(max(0, min(b, d) - max(a, c)) for a, b in one for c, d in two)


def _dice(one: Marked, two: Marked, kind: str | None) -> float:
    if kind is None:
        return character_f1(one.spans, two.spans)
    first, second = ([span for span in row.spans if span[2] == kind] for row in (one, two))
    return character_f1(first, second)


def _matches(one: Marked, two: Marked, kind: str | None, exact: bool) -> float:
    """F1 of spans: each is found or not in the other's list of the same type."""
    first, second = ([span for span in row.spans if kind in (None, span[2])] for row in (one, two))
    if not first and not second:
        return 1.0

    def found(span: tuple[int, int, str], others: Sequence[tuple[int, int, str]]) -> bool:
        if exact:
            return span in others
        return any(o[2] == span[2] and min(o[1], span[1]) > max(o[0], span[0]) for o in others)

    hits = sum(found(span, second) for span in first) + sum(found(span, first) for span in second)
    return hits / (len(first) + len(second))
