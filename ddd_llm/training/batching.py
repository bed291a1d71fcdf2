"""The order of training: which examples make up which batch, decided once, before training, from lengths and a seed.

Belongs here: the plan and what it wastes. Does not: tokens (`examples`) or feeding the model (`trainer`). The plan is
the only source of order, so a resumed run goes on where it stopped, and what was trained on can be proved from the
number of steps done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ddd_llm.training.files import digest_of


@dataclass(frozen=True)
class BatchPlan:
    """Batches in the order of training.

    Attributes:
        batches: per batch, the positions of its examples; all of one size.
        lengths: tokens of each example, by position.
    """

    batches: tuple[tuple[int, ...], ...]
    lengths: tuple[int, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the order."""
        return digest_of([list(batch) for batch in self.batches])

    def tokens(self, batches: int | None = None) -> int:
        """Tokens, without padding, in the first so many batches (all by default)."""
        return sum(self.lengths[i] for batch in self.batches[:batches] for i in batch)

    def times_seen(self, batches: int | None = None) -> list[int]:
        """How often each example is visited in the first so many batches (all by default)."""
        times = [0] * len(self.lengths)
        for batch in self.batches[:batches]:
            for i in batch:
                times[i] += 1
        return times

    @property
    def padding_waste(self) -> float:
        """Share of the computed positions that are padding, 0 to 1."""
        computed = sum(len(batch) * max(self.lengths[i] for i in batch) for batch in self.batches)
        return 1 - self.tokens() / computed if computed else 0.0


def plan_batches(
    lengths: Sequence[int], batch_size: int, batches: int, seed: int, window: int = 16, group: int = 1
) -> BatchPlan:
    """Make exactly so many full batches: shuffled, with examples of similar length together.

    Each epoch is a new permutation, cut into windows of `window` batches; a window is sorted by length, cut into
    batches, and its batches are shuffled. An epoch's remainder is filled up from the next one. At the border of any
    two batches no example has been visited twice more than another.

    Args:
        lengths: tokens of each example.
        batch_size: examples per batch.
        batches: how many batches.
        seed: of permutations and shuffles.
        window: batches per window; 1 leaves the permutation as it is.
        group: batches that are trained at the same time (data-parallel processes) and so stay neighbours in length.

    Raises:
        ValueError: fewer examples than one batch takes, or a size below 1.
    """
    if min(batch_size, window, group) < 1 or batches < 0:
        raise ValueError("sizes must be at least 1")
    if len(lengths) < batch_size:
        raise ValueError(f"{len(lengths)} examples do not fill one batch of {batch_size}")
    stream = _stream(np.asarray(lengths), batch_size, np.random.default_rng(seed), window, group)
    return BatchPlan(tuple(next(stream) for _ in range(batches)), tuple(int(n) for n in lengths))


def _stream(
    lengths: np.ndarray, size: int, rng: np.random.Generator, window: int, group: int
) -> Iterator[tuple[int, ...]]:
    left: list[int] = []
    while True:
        order = [int(i) for i in rng.permutation(len(lengths))]
        if left:
            held = set(left)
            fill = [i for i in order if i not in held][: size - len(left)]
            yield tuple(left + fill)
            taken = set(fill)
            order = [i for i in order if i not in taken]
        full = len(order) - len(order) % size
        for start in range(0, full, size * window):
            yield from _window(order[start : min(start + size * window, full)], lengths, size, rng, window, group)
        left = order[full:]


def _window(
    items: list[int], lengths: np.ndarray, size: int, rng: np.random.Generator, window: int, group: int
) -> Iterator[tuple[int, ...]]:
    if window > 1:
        items = sorted(items, key=lambda i: (lengths[i], i))
    batches = [tuple(items[i : i + size]) for i in range(0, len(items), size)]
    groups = [batches[i : i + group] for i in range(0, len(batches), group)]
    for chosen in rng.permutation(len(groups)):
        yield from groups[int(chosen)]
