"""The signature line of a docstring document, read by Python's own parser.

Here belongs everything that the first line of a `text/x-python-docstring` document says: kind, dotted name, parameters,
annotations, defaults. Here does not belong what the docstring's prose says (`sections`, `docstrings`): where the two
disagree, the signature is right.
"""

import ast
import re
import warnings
from dataclasses import dataclass
from typing import Literal

ArgumentKind = Literal["positional_only", "positional", "var_positional", "keyword_only", "var_keyword"]

_HEAD = re.compile(r"(async def|def|class)\s+([^\W\d]\w*(?:\.[^\W\d]\w*)*)\s*(.*)", re.DOTALL)
_RECEIVERS = frozenset({"self", "cls", "mcs", "metacls", "_cls"})
_CLASS_KEYWORDS = frozenset({"metaclass", "total"})
_BUILTIN_BASES = frozenset(
    {"object", "dict", "list", "set", "tuple", "str", "int", "float", "bytes", "type", "frozenset"}
)
_MAX_LINE = 20_000


@dataclass(frozen=True)
class Argument:
    """One parameter of a signature; `default` and `annotation` are source text, None where there is none."""

    name: str
    kind: ArgumentKind
    annotation: str | None
    default: str | None

    @property
    def starred(self) -> bool:
        return self.kind in ("var_positional", "var_keyword")

    @property
    def display(self) -> str:
        """The name as a reader writes it: `*args`, `**kwargs`, `axis`."""
        return {"var_positional": "*", "var_keyword": "**"}.get(self.kind, "") + self.name


@dataclass(frozen=True)
class Signature:
    """A parsed signature line.

    `arguments` is None where the line does not tell the parameters: a class that names its bases or nothing at all, or
    a parameter list that is no Python. The receiver (`self`, `cls`) is left out.
    """

    keyword: Literal["def", "async def", "class"]
    dotted: str
    arguments: tuple[Argument, ...] | None
    returns: str | None


def parse_code(code: str) -> ast.Module | None:
    """Parse Python source, or None if it is none; never raises and never warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def parse_signature(line: str) -> Signature | None:
    """Parse the first line of a docstring document, or None if it is no signature line; never raises."""
    match = _HEAD.fullmatch(line.strip()) if len(line) <= _MAX_LINE else None
    if match is None:
        return None
    keyword, dotted, rest = match.group(1), match.group(2), match.group(3)
    if keyword == "class":
        definition = _definition(f"def _f{rest}: pass") if rest else None
        arguments = None if definition is None or _may_be_bases(definition.args) else _arguments(definition.args)
        return Signature("class", dotted, arguments, None)
    definition = _definition(f"def _f{rest}: pass")
    arguments = None if definition is None else _arguments(definition.args)
    returns = None if definition is None or definition.returns is None else _source(definition.returns)
    return Signature("def" if keyword == "def" else "async def", dotted, arguments, returns)


def _definition(code: str) -> ast.FunctionDef | None:
    module = parse_code(code)
    if module is None or len(module.body) != 1:
        return None
    statement = module.body[0]
    return statement if isinstance(statement, ast.FunctionDef) else None


def _may_be_bases(arguments: ast.arguments) -> bool:
    """`class A(Base)` reads like a parameter called Base: such a line tells nothing certain about parameters."""
    plain = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    if any(argument.arg in _CLASS_KEYWORDS for argument in plain):
        return True
    stars = arguments.vararg or arguments.kwarg
    bare = [a for a in plain if a.annotation is None]
    looks = [a.arg[:1].isupper() or a.arg.lstrip("_")[:1].isupper() or a.arg in _BUILTIN_BASES for a in bare]
    return bool(plain) and not stars and not arguments.defaults and len(bare) == len(plain) and any(looks)


def _arguments(arguments: ast.arguments) -> tuple[Argument, ...] | None:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [*[None] * (len(positional) - len(arguments.defaults)), *arguments.defaults]
    rows: list[tuple[ast.arg, ArgumentKind, ast.expr | None]] = []
    for place, (argument, default) in enumerate(zip(positional, defaults, strict=True)):
        rows.append((argument, "positional_only" if place < len(arguments.posonlyargs) else "positional", default))
    if arguments.vararg:
        rows.append((arguments.vararg, "var_positional", None))
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        rows.append((argument, "keyword_only", default))
    if arguments.kwarg:
        rows.append((arguments.kwarg, "var_keyword", None))
    if rows and rows[0][0].arg in _RECEIVERS and rows[0][1] in ("positional_only", "positional"):
        rows = rows[1:]
    return tuple(Argument(a.arg, kind, _source(a.annotation), _source(default)) for a, kind, default in rows)


def _source(node: ast.expr | None) -> str | None:
    """Source text of an expression; one too deep to print is shown as `...`, which no task asks about."""
    if node is None:
        return None
    try:
        return ast.unparse(node)
    except RecursionError:
        return "..."
