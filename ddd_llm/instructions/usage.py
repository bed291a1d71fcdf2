"""Calls in example code: which object a line of Python calls, and whether the call fits its signature.

Here belongs what generator and scorer must judge alike. Here does not belong the finding of example lines in a
docstring (`docstrings`).
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from ddd_llm.instructions.signatures import parse_code


@dataclass(frozen=True)
class CallFit:
    """How a call fits a signature: keywords that do not exist, and whether every required parameter can be filled."""

    unknown_keywords: int
    enough: bool

    @property
    def fits(self) -> bool:
        return self.enough and self.unknown_keywords == 0


def calls_of(code: str, name: str) -> list[ast.Call]:
    """Calls of `name` (as a function or a method) in code that is one expression or assignment, outermost first."""
    statement = _statement(code)
    if statement is None:
        return []
    calls = [node for node in ast.walk(statement) if isinstance(node, ast.Call)]
    return [call for call in calls if called_name(call) == name]


def called_name(call: ast.Call) -> str | None:
    """Last part of the name that a call names; None where it calls an expression."""
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", None)


def is_plain_call(code: str, name: str) -> bool:
    """Whether the code is a call of `name` or an assignment of one, and not a larger expression around it."""
    statement = _statement(code)
    calls = calls_of(code, name)
    return (
        statement is not None
        and bool(calls)
        and statement.value.lineno == calls[0].lineno
        and (statement.value.col_offset, statement.value.end_col_offset)
        == (calls[0].col_offset, calls[0].end_col_offset)
    )


def _statement(code: str) -> ast.Expr | ast.Assign | None:
    module = parse_code(code)
    if module is None or len(module.body) != 1:
        return None
    statement = module.body[0]
    return statement if isinstance(statement, ast.Expr | ast.Assign) else None


def fit_call(call: ast.Call, parameters: Sequence[str] | None, required: int, open_keywords: bool) -> CallFit:
    """Judge a call against a signature.

    Args:
        call: the call.
        parameters: names the signature has; None where it is not known, then only the call's form counts.
        required: how many parameters must be given.
        open_keywords: whether the signature takes `**kwargs`.
    """
    if parameters is None:
        return CallFit(0, True)
    keywords = [keyword.arg for keyword in call.keywords]
    unknown = 0 if open_keywords else sum(k is not None and k not in parameters for k in keywords)
    starred = None in keywords or any(isinstance(argument, ast.Starred) for argument in call.args)
    return CallFit(unknown, starred or len(call.args) + len(keywords) >= required)
