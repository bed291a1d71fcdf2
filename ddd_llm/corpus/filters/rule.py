"""What a quality rule is: a question to a document, answered by a number and its limit.

Here: the protocol that all rules share. Not here: any rule (`gopher`, `repetition`, `c4`, `fineweb`, `technical`,
`classifier`), which of them apply (`policy`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from ddd_llm.corpus.filters.document import Document


class Measured(NamedTuple):
    """A rule's answer: the number it measured, the limit it must keep, and on which side.

    `side` "least": a value below the limit fails; "most": one above it. `touching`: the limit itself fails too.
    """

    value: float
    limit: float
    side: Literal["least", "most"]
    touching: bool = False

    @property
    def broken(self) -> bool:
        """Whether the document fails. What is no number (NaN) fails."""
        if self.side == "least":
            return not (self.value > self.limit if self.touching else self.value >= self.limit)
        return not (self.value < self.limit if self.touching else self.value <= self.limit)

    def near(self, margin: float) -> bool:
        """Whether the value lies within `margin` (a share of the limit) of the limit; of counts, the next one is near too.

        A limit of 0 has no neighbourhood, nor has any limit where `margin` is 0.
        """
        if self.limit == 0 or margin == 0:
            return False
        least = 1 if isinstance(self.value, int) else 0
        return abs(self.value - self.limit) <= max(least, margin * abs(self.limit))


Question = Callable[[Document], Measured | None]


class Rule(BaseModel):
    """A question to a document, with its thresholds. The defaults are the published ones where there are any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    origin: ClassVar[str]
    rule: str
    version: int = 1

    def measure(self, document: Document) -> Measured | None:
        """What the rule finds; None where it has nothing to say of the document, which then passes."""
        raise NotImplementedError

    def open(self, assets: Path) -> Question:
        """The question itself, ready to be asked of many documents; `assets` is where files that a rule names are found.

        Raises:
            InputError: such a file is missing or is not what the rule says.
        """
        return self.measure

    def broken_by(self, document: Document) -> bool:
        """Whether the document fails."""
        found = self.measure(document)
        return found is not None and found.broken
