"""Docstrings of an installed distribution, by syntax tree: nothing is imported, nothing runs.

Belongs here: which definitions are documents and how their text looks. Does not belong here: the sections inside a
docstring (a matter of the instruction stage).

A document is the docstring of a module, class, function or method, public or private, at module or class level (not
inside a function). Test folders, `conftest` and vendored copies are no part of a package's documentation and are left
out. Each file's bytes must match the digest that the installer recorded.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import warnings
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ddd_llm.corpus.readers.items import Item, Refusal
from ddd_llm.corpus.readers.locators import Register
from ddd_llm.platform.cores import over_cores

READER = "docstrings/1"
"""Changes when the same package would give other documents."""

_FILES = 32  # read at once by one process

MEDIA_TYPE = "text/x-python-docstring"

_LEFT_OUT = frozenset({"tests", "test", "conftest.py", "_vendor", "_vendored", "vendored"})
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class _Module(NamedTuple):
    """A file to read, and its digest as the installer recorded it: algorithm and URL-safe base64."""

    name: str
    path: str
    digest: tuple[str, str] | None


def installed_version(package: str) -> str | None:
    """Version of a distribution in this environment without its local part (`+cpu`), None when it is not installed."""
    try:
        return metadata.version(package).partition("+")[0]
    except metadata.PackageNotFoundError:
        return None


def read(package: str, version: str, modules: Sequence[str], exclude: Sequence[str] = ()) -> Iterator[Item | Refusal]:
    """Documents of one distribution, file by file in the order of their paths.

    Args:
        package: distribution name.
        version: the pin; compared without local parts.
        modules: dotted import roots to read.
        exclude: dotted roots below those to leave out.

    Refusals: `not_installed`, `version_mismatch`, `no_file_list`, `no_such_module` (for the source);
    `missing_file`, `modified_file`, `syntax_error` (for a module).
    """
    found = installed_version(package)
    if found is None:
        cure = f"{package} is not installed; install {package}=={version} or take the source out of the sources file"
        yield Refusal("", "not_installed", cure)
        return
    if found != version.partition("+")[0]:
        cure = f"{package} {found} is installed, but {version} is pinned; install that version or move the pin"
        yield Refusal("", "version_mismatch", cure)
        return
    files = metadata.distribution(package).files
    if files is None:
        yield Refusal("", "no_file_list", f"{package} has no RECORD of its files; reinstall it with pip or uv")
        return
    seen: set[str] = set()
    wanted: list[_Module] = []
    for file in sorted(files, key=lambda file: file.as_posix()):
        module = _module_name(file)
        root = next((root for root in modules if _within(module, root)), None) if module else None
        if module is None or root is None or any(_within(module, out) for out in exclude):
            continue
        seen.add(root)
        wanted.append(_Module(module, str(file.locate()), file.hash and (file.hash.mode, file.hash.value)))
    some = [wanted[start : start + _FILES] for start in range(0, len(wanted), _FILES)]
    for read_here in over_cores(_read_files, some, len(some), fewest=4):
        yield from read_here
    for root in modules:
        if root not in seen:
            cure = f"{package} {found} has no Python module {root}; mend the sources file"
            yield Refusal(root, "no_such_module", cure)


def _module_name(file: PurePosixPath) -> str | None:
    parts = file.parts
    if file.suffix != ".py" or ".." in parts or _LEFT_OUT.intersection(parts):
        return None
    names = [*parts[:-1], file.stem]
    if file.stem == "__init__":
        names.pop()
    return ".".join(names) if names and all(name.isidentifier() for name in names) else None


def _within(module: str, root: str) -> bool:
    return module == root or module.startswith(f"{root}.")


def _read_files(files: Sequence[_Module]) -> list[Item | Refusal]:
    return [one for file in files for one in _read_file(file)]


def _read_file(file: _Module) -> Iterator[Item | Refusal]:
    module = file.name
    try:
        data = Path(file.path).read_bytes()
    except OSError as error:
        detail = f"the installer recorded this module, but it cannot be read ({error.strerror})"
        yield Refusal(module, "missing_file", detail)
        return
    if file.digest is not None and not _matches(data, *file.digest):
        yield Refusal(module, "modified_file", "the module is not what was installed; reinstall the package")
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's code
            tree = ast.parse(data)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        yield Refusal(module, "syntax_error", f"Python cannot parse the module{f' (line {line})' if line else ''}")
        return
    except (RecursionError, MemoryError):
        yield Refusal(module, "too_deep", "the module nests too deep for Python's parser")
        return
    register = Register()
    for locator, title, text in _documents(module, tree):
        mine, report = register.admit(locator, text)
        if mine is not None:
            yield Item(mine, title, text, MEDIA_TYPE)
        if report is not None:
            yield report


def _matches(data: bytes, mode: str, recorded: str) -> bool:
    digest = base64.urlsafe_b64encode(hashlib.new(mode, data).digest()).decode("ascii")
    return digest.rstrip("=") == recorded.rstrip("=")


def _documents(module: str, tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    if doc := ast.get_docstring(tree):
        yield module, module, f"module {module}\n\n{doc}"
    public = _dispatch_module(tree)
    stack = [("", node) for node in reversed(list(_definitions(tree.body)))]
    while stack:
        prefix, node = stack.pop()
        qualname = f"{prefix}{node.name}"
        if doc := ast.get_docstring(node):
            home = (_public_module(node, public) if not prefix else None) or module
            text = f"{_signature(f'{module}.{qualname}', node)}\n\n{doc}"
            yield f"{module}:{qualname}", f"{home}.{qualname}", text
        if isinstance(node, ast.ClassDef):
            stack.extend((f"{qualname}.", inner) for inner in reversed(list(_definitions(node.body))))


def _definitions(body: Sequence[ast.stmt]) -> Iterator[Definition]:
    """Definitions of a module's or class's body, those under `if`, `try`, `with` and loops included."""
    for statement in body:
        if isinstance(statement, Definition):
            yield statement
            continue
        for field in ("body", "handlers", "orelse", "finalbody", "cases"):
            for inner in getattr(statement, field, ()) or ():
                if isinstance(inner, ast.ExceptHandler | ast.match_case):
                    yield from _definitions(inner.body)
                elif isinstance(inner, ast.stmt):
                    yield from _definitions([inner])


def _signature(name: str, node: Definition) -> str:
    if isinstance(node, ast.ClassDef):
        inits = [inner for inner in _definitions(node.body) if inner.name == "__init__"]
        if inits and isinstance(inits[-1], ast.FunctionDef):  # the last one: those before are overloads
            return f"class {name}({ast.unparse(_without_self(inits[-1].args))})"
        bases = ", ".join(ast.unparse(base) for base in [*node.bases, *node.keywords])
        return f"class {name}({bases})" if bases else f"class {name}"
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
    return f"{word} {name}({ast.unparse(node.args)}){returns}"


def _without_self(arguments: ast.arguments) -> ast.arguments:
    positional, ordinary = arguments.posonlyargs, arguments.args
    if positional:
        positional = positional[1:]
    else:
        ordinary = ordinary[1:]
    spare = len(arguments.defaults) - len(positional) - len(ordinary)
    return ast.arguments(
        posonlyargs=positional,
        args=ordinary,
        vararg=arguments.vararg,
        kwonlyargs=arguments.kwonlyargs,
        kw_defaults=arguments.kw_defaults,
        kwarg=arguments.kwarg,
        defaults=arguments.defaults[max(0, spare) :],
    )


def _dispatch_module(tree: ast.Module) -> str | None:
    """Public module named once for a whole file: `array_function_dispatch = partial(..., module="numpy")`."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
            names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
            if "array_function_dispatch" in names:
                return _keyword(statement.value, "module")
    return None


def _public_module(node: Definition, dispatch: str | None) -> str | None:
    """Module under which a definition is public, where a decorator says so (`set_module`, numpy's dispatchers)."""
    for decorator in node.decorator_list:
        if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Name):
            continue
        if decorator.func.id == "set_module" and decorator.args:
            first = decorator.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                return first.value
        if decorator.func.id in ("array_function_dispatch", "array_function_from_dispatcher"):
            return _keyword(decorator, "module") or dispatch
    return None


def _keyword(call: ast.Call, name: str) -> str | None:
    for keyword in call.keywords:
        if keyword.arg == name and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str):
            return keyword.value.value
    return None
