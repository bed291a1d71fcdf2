"""How widely a dataset covers tasks and packages.

Here belong the counts that a reader looks at before trusting a dataset. Here does not belong a verdict: thresholds are
set where checks are declared.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

COVERAGE_SCHEMA = pa.schema(
    [
        ("task", pa.string()),
        ("package", pa.string()),
        ("train", pa.int64()),
        ("validation", pa.int64()),
        ("test", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Coverage:
    """Coverage of a dataset.

    Attributes:
        table: examples per task and package, one column per split (`COVERAGE_SCHEMA`); cells without examples included.
        entropy: per split, Shannon entropy in bits of the distribution over the cells.
        evenness: per split, that entropy divided by its maximum log2(cells): 1 is even, 0 is all in one cell.
        empty: cells (task, package) without an example in train.
    """

    table: pa.Table
    entropy: dict[str, float]
    evenness: dict[str, float]
    empty: tuple[tuple[str, str], ...]


def coverage(examples: pa.Table) -> Coverage:
    """Count a dataset's examples by task, package and split (columns `task`, `package`, `split`)."""
    rows = zip(*(examples.column(name).to_pylist() for name in ("task", "package", "split")), strict=True)
    counts = Counter(rows)
    tasks = sorted({task for task, _, _ in counts})
    packages = sorted({package for _, package, _ in counts})
    cells = [(task, package) for task in tasks for package in packages]
    by_split = {split: [counts[(*cell, split)] for cell in cells] for split in ("train", "validation", "test")}
    entropy = {split: _entropy(values) for split, values in by_split.items()}
    most = math.log2(len(cells)) if len(cells) > 1 else 1.0
    return Coverage(
        pa.table({"task": [t for t, _ in cells], "package": [p for _, p in cells], **by_split}, schema=COVERAGE_SCHEMA),
        entropy,
        {split: bits / most for split, bits in entropy.items()},
        tuple(cell for cell, count in zip(cells, by_split["train"], strict=True) if count == 0),
    )


def _entropy(counts: Iterable[int]) -> float:
    """Shannon entropy in bits; 0 for no counts at all."""
    present = [count for count in counts if count]
    total = sum(present)
    return sum(count / total * math.log2(total / count) for count in present)
