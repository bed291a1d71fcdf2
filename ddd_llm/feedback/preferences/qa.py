"""Is a set of preferences fit to learn from: repeats, contradictions, cycles, biases, noise.

Belongs here: findings and their verdicts against the plan. Does not: removing anything (`pairs`), nor drawing (`reports`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import pyarrow as pa

from ddd_llm.feedback.labels import Label, PreferenceValue
from ddd_llm.feedback.preferences.policy import QaPolicy

_SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """One look at the pairs.

    Attributes:
        name: what was looked at.
        passed: within the plan.
        value: the figure, of `count` pairs; None where there is nothing to look at.
        low, high: 95% Wilson interval, where the figure is a share of a sample.
        sentence: for people.
        examples: ids of a few pairs or items that show it.
    """

    name: str
    passed: bool
    value: float | None
    count: int
    low: float | None
    high: float | None
    sentence: str
    examples: tuple[str, ...] = ()


def examine(pairs: pa.Table, labels: Iterable[Label], policy: QaPolicy) -> list[Finding]:
    """Everything there is to find.

    Args:
        pairs: PAIRS_SCHEMA.
        labels: all preference labels, for what only single judgements show.
        policy: the bounds.
    """
    rows = pairs.select(["id", "prompt", "chosen", "rejected", "split", "origins"]).to_pylist()
    judged = [label for label in labels if isinstance(label.value, PreferenceValue)]
    return [
        _duplicates(rows),
        _prompts_in_both_splits(rows),
        _cycles(rows),
        *_length(rows, policy),
        _nearly_equal(rows, policy),
        *_position(judged, policy),
        _noise(judged, policy),
    ]


def _wilson(count: int, total: int) -> tuple[float, float]:
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(count, total, method="wilson")
    return float(low), float(high)


def _duplicates(rows: Sequence[dict[str, Any]]) -> Finding:
    times = Counter((row["prompt"], row["chosen"], row["rejected"]) for row in rows)
    twice = sum(count - 1 for count in times.values())
    return Finding("duplicates", twice == 0, twice, len(rows), None, None, f"{twice} pairs repeat another one.")


def _prompts_in_both_splits(rows: Sequence[dict[str, Any]]) -> Finding:
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(" ".join(row["prompt"].lower().split()), set()).add(row["split"])
    both = sum(len(found) > 1 for found in splits.values())
    said = f"{both} prompts (case and spaces ignored) stand in train and in held_out."
    return Finding("prompts_in_both_splits", both == 0, both, len(splits), None, None, said)


def _cycles(rows: Sequence[dict[str, Any]]) -> Finding:
    """Preferences on one prompt that go round: a over b over c over a (two of them: a contradiction)."""
    import networkx as nx

    graphs: dict[str, Any] = {}
    for row in rows:
        graphs.setdefault(row["prompt"], nx.DiGraph()).add_edge(row["chosen"], row["rejected"], id=row["id"])
    found = []
    for graph in graphs.values():
        for component in nx.strongly_connected_components(graph):
            if len(component) > 1:
                found.append(sorted(data["id"] for _, _, data in graph.subgraph(component).edges(data=True)))
    examples = tuple(sorted(identity for ids in found for identity in ids)[:_SHOWN])
    said = f"{len(found)} groups of answers are preferred in a circle."
    return Finding("cycles", not found, len(found), len(graphs), None, None, said, examples)


def _length(rows: Sequence[dict[str, Any]], policy: QaPolicy) -> list[Finding]:
    """Per origin and over all: how often the longer answer is the chosen one; pairs of equal length say nothing."""
    found = []
    for origin in ("all", *sorted({origin for row in rows for origin in row["origins"]})):
        mine = [row for row in rows if origin == "all" or origin in row["origins"]]
        unequal = [row for row in mine if len(row["chosen"]) != len(row["rejected"])]
        name = "length_bias" if origin == "all" else f"length_bias_{origin}"
        if not unequal:
            said = f"No pair ({origin}) has answers of different length."
            found.append(Finding(name, True, None, 0, None, None, said))
            continue
        longer = sum(len(row["chosen"]) > len(row["rejected"]) for row in unequal)
        low, high = _wilson(longer, len(unequal))
        # Biased is what the interval shows to lie beyond the bound, so that a handful of pairs is not called biased.
        most = 0.5 + policy.length_bias_at_most
        passed = low <= most and high >= 1 - most
        share = longer / len(unequal)
        said = (
            f"Of {len(unequal)} pairs ({origin}) the longer answer is chosen in {share:.0%} ({low:.0%} to {high:.0%})."
        )
        found.append(Finding(name, passed, share, len(unequal), low, high, said))
    return found


def _nearly_equal(rows: Sequence[dict[str, Any]], policy: QaPolicy) -> Finding:
    alike = [row["id"] for row in rows if similarity(row["chosen"], row["rejected"]) >= policy.nearly_equal_from]
    share = len(alike) / len(rows) if rows else None
    said = f"{len(alike)} of {len(rows)} pairs have answers that are nearly the same."
    passed = share is None or share <= policy.nearly_equal_at_most
    return Finding("nearly_equal", passed, share, len(rows), None, None, said, tuple(sorted(alike)[:_SHOWN]))


def similarity(one: str, two: str) -> float:
    """difflib's ratio of two texts, 0 to 1; symmetric."""
    first, second = sorted((one, two))
    return SequenceMatcher(None, first, second, autojunk=False).ratio()


def _position(labels: Sequence[Label], policy: QaPolicy) -> list[Finding]:
    """Per annotator: how often the answer shown first was preferred."""
    seen: dict[str, list[bool]] = {}
    for label in labels:
        value = label.value
        if isinstance(value, PreferenceValue) and value.preferred != "tie" and label.shown is not None:
            first = "first" if label.shown == "first_second" else "second"
            seen.setdefault(label.annotator, []).append(value.preferred == first)
    found = []
    for annotator, hits in sorted(seen.items()):
        low, high = _wilson(sum(hits), len(hits))
        most = 0.5 + policy.position_bias_at_most
        share = sum(hits) / len(hits)
        said = f"{annotator} preferred the answer shown first in {share:.0%} ({low:.0%} to {high:.0%}) of {len(hits)}."
        passed = low <= most and high >= 1 - most
        found.append(Finding(f"position_bias_{annotator}", passed, share, len(hits), low, high, said))
    return found


def _noise(labels: Sequence[Label], policy: QaPolicy) -> Finding:
    """How often two judgements of one item (by anybody) differ, ties included."""
    by_item: dict[str, list[str]] = {}
    for label in labels:
        if isinstance(label.value, PreferenceValue):
            by_item.setdefault(label.item_id, []).append(label.value.preferred)
    twice = {item: said for item, said in by_item.items() if len(said) > 1}
    if not twice:
        return Finding("label_noise", True, None, 0, None, None, "No item was judged twice.")
    unlike = sorted(item for item, said in twice.items() if len(set(said)) > 1)
    low, high = _wilson(len(unlike), len(twice))
    said = f"{len(unlike)} of {len(twice)} items judged more than once were judged unlike ({low:.0%} to {high:.0%})."
    share = len(unlike) / len(twice)
    return Finding(
        "label_noise", low <= policy.noise_at_most, share, len(twice), low, high, said, tuple(unlike[:_SHOWN])
    )
