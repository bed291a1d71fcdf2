"""Generators of questions that must be refused, by category: what is asked for does not exist, is not what the passage is
about, or is not explained.

Here belongs a category's question, answer and benign look-alike. Here does not belong how many there are (`selection`),
nor attacks on a model (`evaluation.red_team`).

Words and passage are those of a benign question about the same object (the twin), only the name is another: so nothing
but reading the passage tells the two apart, and a model that refuses too much is found out by the twin (safe prompts that
resemble unsafe ones: P. Roettger and others, XSTest, NAACL 2024, section 3).
"""

from abc import abstractmethod
from typing import ClassVar

from ddd_llm.instructions.docstrings import ApiDoc
from ddd_llm.instructions.prompts import choose
from ddd_llm.instructions.prose import words
from ddd_llm.instructions.tasks import AboutObject, Asked, Context, Draft, Generator
from ddd_llm.instructions.tasks_parameters import AboutParameter, DefaultValue, ParameterList, ParameterMeaning
from ddd_llm.instructions.tasks_prose import Returns, Summary


class Refusal(Generator):
    """A question that the passage does not answer: the answer says so."""

    forms: ClassVar[tuple[Generator, ...]]
    """Benign tasks whose words it borrows."""

    def ask(self, doc: ApiDoc, context: Context, title: str) -> Asked | None:
        twin = self.twin(doc, context)
        return None if twin is None else self.asked(doc, context, twin, title)

    def draft(self, doc: ApiDoc, context: Context) -> Draft | None:
        twin = self.twin(doc, context)
        asked = None if twin is None else self.asked(doc, context, twin, doc.short)
        return None if asked is None or twin is None else self._draft(asked, twin.passage)

    def twin(self, doc: ApiDoc, context: Context) -> Draft | None:
        """The benign look-alike, which depends on nothing but the document; None if the category does not fit it."""
        if not self.fits(doc):
            return None
        first = choose(self.forms, self.name, context.place)
        drafts = (form.draft(doc, context) for form in sorted(self.forms, key=lambda form: form is not first))
        return next((draft for draft in drafts if draft is not None), None)

    def fits(self, doc: ApiDoc) -> bool:
        """Whether the document allows the category at all."""
        return True

    @abstractmethod
    def asked(self, doc: ApiDoc, context: Context, twin: Draft, title: str) -> Asked | None:
        """The question in the twin's words; None where no name can be borrowed."""

    def form(self, twin: Draft) -> Generator:
        """The benign task that a twin is of."""
        return next(form for form in self.forms if form.name == twin.task)


def _spoken_of(doc: ApiDoc) -> frozenset[str]:
    return frozenset(words(doc.signature) + words("\n".join(doc.lines)))


class UnknownParameter(Refusal):
    """A parameter that does not exist, its name taken from other functions.

    Functions that take `*args` or `**kwargs` are left out, as they may accept the name.
    """

    name = "unknown_parameter"
    version = "1"
    forms = (DefaultValue(), ParameterMeaning())

    def fits(self, doc: ApiDoc) -> bool:
        return bool(doc.parameters) and not any(p.starred for p in doc.parameters or ())

    def asked(self, doc: ApiDoc, context: Context, twin: Draft, title: str) -> Asked | None:
        borrowed = context.names.borrow(_spoken_of(doc), self.name, context.place)
        form = self.form(twin)
        if borrowed is None or not isinstance(form, AboutParameter):
            return None
        return Asked(
            form.question(context, title, borrowed),
            f"`{doc.short}` has no parameter `{borrowed}`.",
            {"task": self.name, "function": doc.name, "parameter": borrowed, "form": form.name},
        )


class UnknownObject(Refusal):
    """A function, class or method that the passage is not about and does not mention."""

    name = "unknown_object"
    version = "1"
    forms = (Summary(), ParameterList(), Returns())

    def asked(self, doc: ApiDoc, context: Context, twin: Draft, title: str) -> Asked | None:
        borrowed = context.objects.borrow(_spoken_of(doc), self.name, context.place)
        form = self.form(twin)
        if borrowed is None or not isinstance(form, AboutObject):
            return None
        return Asked(
            form.question(context, borrowed),
            f"The documentation does not describe `{borrowed}`; it is about `{doc.short}`.",
            {"task": self.name, "function": doc.name, "object": borrowed, "form": form.name},
        )


class UndescribedParameter(Refusal):
    """A parameter that the signature has and the text does not speak of, where it explains others."""

    name = "undescribed_parameter"
    version = "1"
    scarce = True
    forms = (ParameterMeaning(),)

    def fits(self, doc: ApiDoc) -> bool:
        return bool(self._silent(doc))

    def asked(self, doc: ApiDoc, context: Context, twin: Draft, title: str) -> Asked | None:
        parameter = choose(self._silent(doc), self.name, context.place)
        return Asked(
            ParameterMeaning().question(context, title, parameter),
            f"The documentation does not say what `{parameter}` means.",
            {"task": self.name, "function": doc.name, "parameter": parameter, "form": twin.task},
        )

    def _silent(self, doc: ApiDoc) -> list[str]:
        said = frozenset(words("\n".join(doc.lines)))
        named = (p.name for p in doc.parameters or () if not p.description and not p.starred)
        return [name for name in named if not name.startswith("_") and name.lower() not in said]
