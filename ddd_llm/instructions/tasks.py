"""What a task generator is: from one API description to one question whose answer a program can check.

Here belong the frame of a generator, the question words shared by all, and the example it yields. The generators
themselves are in `tasks_prose` (what the docstring says), `tasks_parameters` (what the signature says) and
`tasks_refusals` (what the passage does not tell); which of them run, and how many examples a document gives, is decided
in `candidates`.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ddd_llm.instructions.docstrings import ApiDoc, Span
from ddd_llm.instructions.prompts import choose, cut_passage, estimate_tokens, stable_hash
from ddd_llm.instructions.prose import plain

Slice = Literal["open_book", "closed_book"]


@dataclass(frozen=True)
class Budget:
    """Largest sizes in estimated SmolLM2 tokens."""

    passage: int = 180
    answer: int = 60


class NamePool:
    """Names of parameters or functions in use, to borrow one that a given document does not speak of.

    Names stand on a ring by their stable hash; a lookup starts at the hash of its key and walks on. So a name that is
    added to the pool changes only the lookups that meet it first, and growth leaves old examples as they are.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._ring = sorted((stable_hash("name", name), name) for name in set(names))

    def __len__(self) -> int:
        return len(self._ring)

    def borrow(self, taken: frozenset[str], *key: str) -> str | None:
        """The first name from the key's place on whose last part, lower-cased, is not in `taken`; None if all are."""
        start = bisect_left(self._ring, (stable_hash(*key), ""))
        for step in range(len(self._ring)):
            name = self._ring[(start + step) % len(self._ring)][1]
            if name.lower().rpartition(".")[2] not in taken:
                return name
        return None


@dataclass(frozen=True)
class Context:
    """What a generator may know beside the document: its place (the key of every choice), sizes, and names used elsewhere:
    of parameters (`names`) and of functions, classes and methods (`objects`).

    The place is its locator and not its id, which depends on this installation's key: the same documents give the same questions
    everywhere.
    """

    place: str
    budget: Budget
    names: NamePool
    objects: NamePool


@dataclass(frozen=True)
class Asked:
    """A question, its right answer, what a scorer checks, and where the answer stands.

    `evidence` are the pieces of the answer that the passage must contain word for word (after `prose.plain`), `spans`
    the docstring lines they stand on; both are empty where the signature line alone answers.
    """

    question: str
    answer: str
    facts: Mapping[str, Any]
    spans: tuple[Span, ...] = ()
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draft:
    """One example before it has an id and a split. `passage` is None in the closed-book slice."""

    task: str
    slice: Slice
    question: str
    answer: str
    passage: str | None
    facts: Mapping[str, Any] = field(compare=False)
    generator: str = ""
    version: str = ""


class Generator(ABC):
    """One task type. `name` is the task, `version` grows with every change of what it yields."""

    name: ClassVar[str]
    version: ClassVar[str]
    closed_book: ClassVar[bool] = False
    """Whether the question also makes sense without the passage."""

    scarce: ClassVar[bool] = False
    """Whether so few documents allow the task that it goes first where a document allows more than it may give."""

    @abstractmethod
    def ask(self, doc: ApiDoc, context: Context, title: str) -> Asked | None:
        """Make the question about `doc`, called `title` in it; None if the document does not answer it."""

    def draft(self, doc: ApiDoc, context: Context) -> Draft | None:
        """Open-book example: the passage holds all evidence, sizes are within budget; None where that cannot be."""
        asked = self.ask(doc, context, doc.short)
        if asked is None or estimate_tokens(asked.answer) > context.budget.answer:
            return None
        passage = cut_passage(doc, asked.spans, context.budget.passage)
        if passage is None:
            return None
        if asked.evidence:
            shown = plain(passage)
            if any(piece not in shown for piece in asked.evidence):
                return None
        return self._draft(asked, passage)

    def draft_closed(self, doc: ApiDoc, context: Context) -> Draft | None:
        """Closed-book example, which names the object in full; None where the task has none."""
        asked = self.ask(doc, context, doc.full) if self.closed_book else None
        if asked is None or estimate_tokens(asked.answer) > context.budget.answer:
            return None
        return self._draft(asked, None)

    def _draft(self, asked: Asked, passage: str | None) -> Draft:
        slice_: Slice = "closed_book" if passage is None else "open_book"
        generator = f"{type(self).__module__.rsplit('.', 1)[-1]}.{type(self).__name__}"
        return Draft(self.name, slice_, asked.question, asked.answer, passage, asked.facts, generator, self.version)


class AboutObject(Generator):
    """A question about an object as a whole; a refusal borrows its words for an object that the passage is not about."""

    templates: tuple[str, ...]

    def question(self, context: Context, title: str) -> str:
        return phrase(self.templates, context.place, self.name, title=title)


def phrase(templates: tuple[str, ...], place: str, task: str, **names: str) -> str:
    """Fill one of the templates, chosen by a stable hash of document and task (so a look-alike gets the same one)."""
    return choose(templates, "phrase", place, task).format(**names)


def enumerate_names(names: Iterable[str]) -> str:
    """`a`, `b` and `c`."""
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
