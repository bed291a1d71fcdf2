"""Generators whose answers stand in the docstring's prose: summary, returns, raises, example."""

import re

from ddd_llm.instructions.docstrings import ApiDoc, ReturnValue
from ddd_llm.instructions.prose import balanced, first_sentence, words
from ddd_llm.instructions.tasks import AboutObject, Asked, Context, Generator, enumerate_names, phrase
from ddd_llm.instructions.usage import calls_of, fit_call, is_plain_call

_MAX_EXCEPTIONS = 4
_MAX_RETURNED = 4
_MAX_CODE = 90
_EMPTY_TALK = re.compile(
    r"(?:see|refer to|cf\.?|alias (?:of|for)|same as|deprecated|docstring|todo|fixme|unused|not used|ignored"
    r"|inherited)\b"
    r"|.*(?:\{\{|%\(|\.\.\.$|\bTODO\b|\bFIXME\b|::$)",
    re.IGNORECASE,
)


def telling(sentence: str, least: int) -> bool:
    """Whether a sentence says something by itself: enough words, whole, and more than a pointer to another place."""
    return (
        len(words(sentence)) >= least
        and balanced(sentence)
        and not sentence.endswith((":", ",", ";", " -"))
        and " : " not in sentence
        and _EMPTY_TALK.match(sentence) is None
    )


class Summary(AboutObject):
    """What does it do? The answer is the docstring's first sentence."""

    name = "summary"
    version = "1"
    closed_book = True
    templates = (
        "What does `{title}` do?",
        "In one sentence, what does `{title}` do?",
        "Summarise `{title}` in one sentence.",
        "What is `{title}` for?",
    )

    def ask(self, doc: ApiDoc, context: Context, title: str) -> Asked | None:
        if doc.summary is None or not telling(doc.summary, 4):
            return None
        return Asked(
            self.question(context, title),
            doc.summary,
            {"task": self.name, "function": doc.name, "reference": doc.summary},
            (doc.summary_span,),
            (doc.summary,),
        )


class Returns(AboutObject):
    """What does it return? Type and first sentence of a single value, or names and types of several."""

    name = "returns"
    version = "1"
    templates = (
        "What does `{title}` return?",
        "What is the return value of `{title}`?",
        "Describe what `{title}` returns.",
    )

    def ask(self, doc: ApiDoc, context: Context, title: str) -> Asked | None:
        if not 1 <= len(doc.returns) <= _MAX_RETURNED:
            return None
        told = _one_value(doc.returns[0]) if len(doc.returns) == 1 else _several_values(doc.returns)
        if told is None:
            return None
        answer, evidence = told
        return Asked(
            self.question(context, title),
            answer,
            {"task": self.name, "function": doc.name, "reference": answer},
            tuple(value.span for value in doc.returns),
            evidence,
        )


def _one_value(value: ReturnValue) -> tuple[str, tuple[str, ...]] | None:
    declared = value.type if value.type and len(words(value.type)) <= 8 and balanced(value.type) else None
    description = first_sentence(value.description) if value.description else None
    if description is None or not telling(description, 3):
        return None
    if declared is None:
        return description, (description,)
    return f"{declared}: {description}", (declared, description)


def _several_values(values: tuple[ReturnValue, ...]) -> tuple[str, tuple[str, ...]] | None:
    names = [value.name for value in values]
    if None in names or len(set(names)) != len(names):
        return None
    parts, evidence = [], []
    for value in values:
        fits = value.type is not None and len(words(value.type)) <= 5 and balanced(value.type)
        parts.append(f"`{value.name}` ({value.type})" if fits else f"`{value.name}`")
        evidence += [str(value.name), *([str(value.type)] if fits else [])]
    return f"{', '.join(parts[:-1])} and {parts[-1]}.", tuple(evidence)


class Raises(Generator):
    """Which exceptions can it raise? The names under Raises."""

    name = "raises"
    version = "1"
    scarce = True
    templates = (
        "Which exceptions can `{title}` raise?",
        "What exceptions does `{title}` raise?",
        "Which errors should a caller of `{title}` expect?",
    )

    def ask(self, doc: ApiDoc, context: Context, title: str) -> Asked | None:
        names = [raised.name for raised in doc.raises]
        if not 1 <= len(names) <= _MAX_EXCEPTIONS:
            return None
        return Asked(
            phrase(self.templates, context.place, self.name, title=title),
            f"It can raise {enumerate_names(names)}.",
            {"task": self.name, "function": doc.name, "exceptions": names},
            tuple(raised.span for raised in doc.raises),
            tuple(names),
        )


class UsageExample(Generator):
    """How is it called? One line of the docstring's example code whose call fits the signature."""

    name = "example"
    version = "1"
    templates = (
        "Show one line of code that calls `{title}`.",
        "How is `{title}` called? Give one line of code.",
        "Give an example call of `{title}`.",
    )

    def ask(self, doc: ApiDoc, context: Context, title: str) -> Asked | None:
        parameters = doc.parameters
        names = None if parameters is None else [p.name for p in parameters if not p.starred]
        required = sum(p.default is None and not p.starred for p in parameters or ())
        open_keywords = any(p.kind == "var_keyword" for p in parameters or ())
        for example in sorted(doc.examples, key=lambda e: not is_plain_call(e.code, doc.name)):
            calls = calls_of(example.code, doc.name)
            fits = any(fit_call(call, names, required, open_keywords).fits for call in calls)
            if fits and len(example.code) <= _MAX_CODE and "`" not in example.code:
                return Asked(
                    phrase(self.templates, context.place, self.name, title=title),
                    f"```python\n{example.code}\n```",
                    {
                        "task": self.name,
                        "function": doc.name,
                        "parameters": names,
                        "required": required,
                        "open_keywords": open_keywords,
                    },
                    (example.span,),
                    (" ".join(example.code.split()),),
                )
        return None
