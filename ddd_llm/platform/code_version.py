"""The code version of an asset: a digest over the code it reaches, so that only a change that matters makes it stale.

What counts: the asset's function, what it uses of its own module, and every module of the package reached from there, as
syntax trees without comments and docstrings. What does not: `ddd_llm.store` and `ddd_llm.platform`, whose effect on bytes is
`STORE_FORMAT`.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = "ddd_llm"
ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = (f"{PACKAGE}.store", f"{PACKAGE}.platform")


def code_version(function: Callable[..., Any], *more: str) -> str:
    """32 hex characters over everything the function reaches in this package. `more` is hashed along."""
    module = inspect.getmodule(function)
    assert module is not None and module.__file__ is not None, function
    tree = _tree(Path(module.__file__))
    parts, modules = _reach_in_module(tree, function.__name__)
    state = hashlib.sha256()
    for part in parts:
        state.update(ast.dump(part).encode())
    for name in sorted(_closure(modules)):
        state.update(f"\n{name}:{module_digest(name)}".encode())
    for text in more:
        state.update(b"\0" + text.encode())
    return state.hexdigest()[:32]


def _inside(name: str) -> bool:
    return name.split(".")[0] == PACKAGE and not any(name == o or name.startswith(o + ".") for o in OUTSIDE)


@cache
def _tree(path: Path) -> ast.Module:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return tree


def _path(name: str) -> Path | None:
    base = ROOT.joinpath(*name.split(".")[1:])
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


@cache
def module_digest(name: str) -> str:
    """Digest of one module's syntax tree, without comments and docstrings."""
    path = _path(name)
    assert path is not None, name
    return hashlib.sha256(ast.dump(_tree(path)).encode()).hexdigest()


def _imports(node: ast.AST) -> Iterator[tuple[str, str]]:
    """(bound name, module of this package) for every import below a node."""
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                if _inside(alias.name):
                    yield alias.asname or alias.name.split(".")[0], alias.name
        elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
            for alias in child.names:
                inner = f"{child.module}.{alias.name}"
                name = inner if _inside(inner) and _path(inner) else child.module
                if _inside(name) and _path(name):
                    yield alias.asname or alias.name, name


@cache
def _direct(name: str) -> frozenset[str]:
    path = _path(name)
    return frozenset(m for _, m in _imports(_tree(path))) if path else frozenset()


def _closure(modules: set[str]) -> set[str]:
    found: set[str] = set()
    todo = list(modules)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(_direct(name))
    return found


def _reach_in_module(tree: ast.Module, start: str) -> tuple[list[ast.stmt], set[str]]:
    """The statements of a module that a function needs, in file order, and the package modules they import."""
    defined: dict[str, ast.stmt] = {}
    imported: dict[str, str] = {}
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined[statement.name] = statement
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            imported.update(_imports(statement))
        else:
            for child in ast.walk(statement):
                if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
                    defined[child.id] = statement
    reached: dict[str, ast.stmt] = {}
    modules: set[str] = set()
    todo = [start]
    while todo:
        name = todo.pop()
        if name in imported:
            modules.add(imported[name])
        if name not in defined or name in reached:
            continue
        reached[name] = defined[name]
        modules.update(m for _, m in _imports(defined[name]))
        todo.extend(n.id for n in ast.walk(defined[name]) if isinstance(n, ast.Name))
    statements = {id(s): s for s in reached.values()}
    return [s for s in tree.body if id(s) in statements], modules
