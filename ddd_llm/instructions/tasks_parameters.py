"""Generators about parameters: which there are, what one means, its default."""

import ast
import re

from ddd_llm.instructions.docstrings import ApiDoc, Parameter
from ddd_llm.instructions.prompts import choose, stable_hash
from ddd_llm.instructions.prose import first_sentence
from ddd_llm.instructions.signatures import parse_code
from ddd_llm.instructions.tasks import AboutObject, Asked, Context, Generator, enumerate_names, phrase
from ddd_llm.instructions.tasks_prose import telling

_MAX_LISTED = 12
_MAX_DEFAULT = 40
_SENTINEL = re.compile(
    r"no_?default|no_?value|missing|unset|sentinel|empty|undefined|not_?(?:given|set|specified)", re.I
)


class ParameterList(AboutObject):
    """Which parameters does it take? All names of the signature."""

    name = "parameters"
    version = "1"
    closed_book = True
    templates = (
        "Which parameters does `{title}` take?",
        "List the parameters of `{title}`.",
        "What are the parameters of `{title}`?",
    )

    def ask(self, doc: ApiDoc, context: Context, title: str) -> Asked | None:
        parameters = doc.parameters
        if parameters is None or len(parameters) > _MAX_LISTED or any(p.name.startswith("_") for p in parameters):
            return None
        if not parameters and doc.kind != "function":
            return None  # a method without parameters may be a property, a class may inherit its constructor
        shown = [p.display for p in parameters]
        return Asked(
            self.question(context, title),
            f"It takes {enumerate_names(shown)}." if shown else "It takes no parameters.",
            {"task": self.name, "function": doc.name, "parameters": [p.name for p in parameters]},
        )


class AboutParameter(Generator):
    """A question about one parameter; refusals borrow its words for a name that does not exist, or is not explained."""

    templates: tuple[str, ...]

    def question(self, context: Context, title: str, parameter: str) -> str:
        return phrase(self.templates, context.place, self.name, title=title, parameter=parameter)


class ParameterMeaning(AboutParameter):
    """What does a parameter mean? The first sentence of its description."""

    name = "parameter_meaning"
    version = "1"
    closed_book = True
    templates = (
        "What does the parameter `{parameter}` of `{title}` mean?",
        "What is `{parameter}` in `{title}`?",
        "Explain the argument `{parameter}` of `{title}`.",
        "In `{title}`, what is the parameter `{parameter}` for?",
    )

    def ask(self, doc: ApiDoc, context: Context, title: str) -> Asked | None:
        described = [(p, first_sentence(p.description)) for p in doc.parameters or () if p.description]
        usable = [(p, s) for p, s in described if telling(s, 4) and not p.starred and not p.name.startswith("_")]
        if not usable:
            return None
        parameter, sentence = choose(usable, self.name, context.place)
        return Asked(
            self.question(context, title, parameter.name),
            sentence,
            {"task": self.name, "function": doc.name, "parameter": parameter.name, "reference": sentence},
            (parameter.span,) if parameter.span else (),
            (sentence,),
        )


class DefaultValue(AboutParameter):
    """What is the default of a parameter? As the signature says; a required parameter has none."""

    name = "default_value"
    version = "1"
    closed_book = True
    templates = (
        "What is the default value of `{parameter}` in `{title}`?",
        "What does `{parameter}` default to in `{title}`?",
        "Which default does `{title}` use for `{parameter}`?",
    )

    def ask(self, doc: ApiDoc, context: Context, title: str) -> Asked | None:
        groups: dict[str, list[Parameter]] = {}
        for parameter in doc.parameters or ():
            if not parameter.starred and not parameter.name.startswith("_"):
                known = "unaskable" if parameter.default in (parameter.name, doc.name) else _rarity(parameter.default)
                groups.setdefault(known, []).append(parameter)
        weighted = [group for group, weight in _WEIGHTS for _ in range(weight) if group in groups]
        if not weighted:
            return None
        group = choose(weighted, self.name, "group", context.place)
        if stable_hash("asked", context.place) % 12 >= _ASKED_OF_12[group]:
            return None
        parameter = choose(groups[group], self.name, context.place)
        name, default = parameter.name, parameter.default
        return Asked(
            self.question(context, title, name),
            f"`{name}` defaults to `{default}`." if default else f"`{name}` has no default value; it is required.",
            {"task": self.name, "function": doc.name, "parameter": name, "default": default},
        )


# Most parameters of real code are required or default to None: asked about each, a model learns to answer just that. So a
# function is asked about a telling default if it has one, and one of 12 about a required parameter if it has nothing else.
_WEIGHTS = (("value", 6), ("boolean", 4), ("none", 2), ("required", 1))
_ASKED_OF_12 = {"value": 12, "boolean": 12, "none": 6, "required": 1}


def _rarity(default: str | None) -> str:
    if default is None:
        return "required"
    if default == "None":
        return "none"
    if default in ("True", "False"):
        return "boolean"
    return "value" if _askable(default) else "unaskable"


def _askable(default: str) -> bool:
    """Whether a default is a literal or a dotted name short enough to be asked for, and no sentinel."""
    if len(default) > _MAX_DEFAULT or "`" in default or _SENTINEL.search(default):
        return False
    module = parse_code(default)
    if module is None or len(module.body) != 1 or not isinstance(module.body[0], ast.Expr):
        return False
    value = module.body[0].value
    while isinstance(value, ast.Attribute):
        value = value.value
    if isinstance(value, ast.Name):
        return True
    try:
        return ast.literal_eval(default) is not ... and default.strip("'\" ") != ""
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return False
