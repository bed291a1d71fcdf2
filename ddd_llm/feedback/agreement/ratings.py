"""Ratings as a matrix of items by annotators, with gaps.

Belongs here: the form and what makes it unusable. Does not: any coefficient.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

MISSING = -1


class RatingsError(ValueError):
    """Ratings that no coefficient can be computed from; `reason` is snake_case."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Ratings:
    """Labels of items by annotators.

    Attributes:
        items: names of the rows.
        annotators: names of the columns.
        values: the categories, in order of size where they have one.
        codes: (items, annotators) int16: index into `values`, or `MISSING`.
    """

    items: tuple[str, ...]
    annotators: tuple[str, ...]
    values: tuple[str, ...]
    codes: npt.NDArray[np.int16]

    @classmethod
    def from_rows(
        cls,
        rows: Iterable[tuple[str, str, str]],
        values: Sequence[str] | None = None,
        many_annotators: bool = False,
    ) -> Ratings:
        """Build from (item, annotator, value) rows.

        Args:
            rows: one per label.
            values: all categories there are, in order of size for ordinal data; None takes those that occur, sorted.
            many_annotators: say that more annotators than items is meant, although each labelled everything.

        Raises:
            RatingsError: annotator_twice, unknown_value, transposed.
        """
        cells: dict[tuple[str, str], str] = {}
        for item, annotator, value in rows:
            if (item, annotator) in cells:
                raise RatingsError("annotator_twice", f"annotator {annotator} labelled item {item} twice")
            cells[item, annotator] = value
        items = tuple(sorted({item for item, _ in cells}))
        annotators = tuple(sorted({annotator for _, annotator in cells}))
        names = tuple(values) if values is not None else tuple(sorted(set(cells.values())))
        place = {name: i for i, name in enumerate(names)}
        if unknown := sorted(set(cells.values()) - place.keys()):
            raise RatingsError("unknown_value", f"{len(unknown)} value(s) are none of {', '.join(names)}")
        codes = np.full((len(items), len(annotators)), MISSING, np.int16)
        row_of = {name: i for i, name in enumerate(items)}
        column_of = {name: i for i, name in enumerate(annotators)}
        for (item, annotator), value in cells.items():
            codes[row_of[item], column_of[annotator]] = place[value]
        made = cls(items, annotators, names, codes)
        if not many_annotators and made._looks_transposed():
            raise RatingsError(
                "transposed",
                f"{len(annotators)} annotators each labelled all of {len(items)} items: items and annotators look "
                "exchanged (if it is really so, say many_annotators=True)",
            )
        return made

    def _looks_transposed(self) -> bool:
        # A crowd is large and thin; a few annotators' table the wrong way round is large and full.
        rows, columns = self.codes.shape
        return columns > max(rows, 2) and float((self.codes != MISSING).mean()) > 0.9

    @cached_property
    def counts(self) -> npt.NDArray[np.float64]:
        """(items, categories): how many annotators gave each item each category."""
        shape = (len(self.items), len(self.values))
        counts = np.zeros(shape)
        for column in self.codes.T:
            there = column != MISSING
            counts[np.flatnonzero(there), column[there]] += 1
        return counts

    def paired(self) -> npt.NDArray[np.float64]:
        """`counts` of the items that at least two annotators labelled: only they can say anything about agreement."""
        return self.counts[self.counts.sum(1) >= 2]

    def only(self, *annotators: str) -> Ratings:
        """The labels of some annotators."""
        columns = [self.annotators.index(name) for name in annotators]
        return Ratings(self.items, tuple(annotators), self.values, self.codes[:, columns])

    def without(self, annotator: str) -> Ratings:
        """The labels of all annotators but one."""
        return self.only(*(name for name in self.annotators if name != annotator))

    def against_rest(self, value: str) -> Ratings:
        """One category against all others together."""
        mine = self.values.index(value)
        codes = np.where(self.codes == MISSING, MISSING, (self.codes == mine).astype(np.int16)).astype(np.int16)
        return Ratings(self.items, self.annotators, ("other", value), codes)
