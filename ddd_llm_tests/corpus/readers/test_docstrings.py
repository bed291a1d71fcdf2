"""Docstrings of a made-up distribution, and of a real one against Python's own view of it."""

from __future__ import annotations

import base64
import hashlib
import inspect
from importlib import metadata
from pathlib import Path

import pytest

from ddd_llm.corpus.readers.docstrings import read
from ddd_llm.corpus.readers.items import Item, Refusal

MODULE = '''"""Module words."""
import functools
array_function_dispatch = functools.partial(print, module="pkg.public")

@set_module("pkg.lib")
def stride(x, shape: tuple[int, ...] = (1, 2), *args, flag=False, **kw) -> "Any":
    """Does it.

    More:
        Indented.
    """
    def inner():
        """Not a document."""

@array_function_dispatch(stride)
def dispatched(a, /, b=None): """Dispatched."""

async def later(): 'Later words.'

class Base(dict, metaclass=type):
    """A class."""
    class Inner:
        r"""Inner \\d words."""
    @property
    def value(self): "Getter."
    @value.setter
    def value(self, new): "Setter."

class Made:
    """Made by init."""
    def __init__(self, a, *, b=1): """Sets up."""

class Kept:
    """Positional self."""
    def __init__(self, a=1, /): pass

if True:
    def choice(): """One."""
else:
    def choice(): """One."""
try:
    def attempt(): """Tried."""
except ImportError:
    def attempt(): """Failed."""

def silent(): pass
def empty(): ""
'''


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    install(
        tmp_path,
        "1.0+cpu",
        {
            "pkg/__init__.py": '"""The package."""',
            "pkg/mod.py": MODULE,
            "pkg/tests/test_mod.py": '"""Left out."""',
            "pkg/conftest.py": '"""Left out."""',
            "pkg/_vendor/other.py": '"""Left out."""',
            "pkg/sub/deep.py": '"""Deep."""',
            "pkg/sub/out.py": '"""Out."""',
            "pkg/broken.py": "def f(:\n",
            "pkg/nul.py": 'x = "\0"',
            "pkg/cookie.py": '# coding: latin-1\n"""caf\u00e9"""'.encode("latin-1"),
            "pkgother/__init__.py": '"""Another root."""',
        },
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def install(site: Path, version: str, files: dict[str, str | bytes]) -> None:
    info = site / "pkg-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pkg\nVersion: {version}\n")
    record = []
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes(data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        record.append(f"{name},sha256={digest},{len(data)}")
    (info / "RECORD").write_text("\n".join(record) + "\n")


def items(*modules: str, exclude: tuple[str, ...] = ()) -> dict[str, Item]:
    return {one.locator: one for one in read("pkg", "1.0", modules, exclude) if isinstance(one, Item)}


def refusals(version: str = "1.0", *modules: str) -> list[tuple[str, str]]:
    return [(one.locator, one.reason) for one in read("pkg", version, modules or ("pkg",)) if isinstance(one, Refusal)]


@pytest.mark.usefixtures("site")
def test_definitions_of_modules_and_classes_become_documents() -> None:
    found = items("pkg.mod")
    assert list(found) == [
        "pkg.mod",
        "pkg.mod:stride",
        "pkg.mod:dispatched",
        "pkg.mod:later",
        "pkg.mod:Base",
        "pkg.mod:Base.Inner",
        "pkg.mod:Base.value",
        "pkg.mod:Base.value;2",
        "pkg.mod:Made",
        "pkg.mod:Made.__init__",
        "pkg.mod:Kept",
        "pkg.mod:choice",
        "pkg.mod:attempt",
        "pkg.mod:attempt;2",
    ]
    assert found["pkg.mod:stride"].text == (
        "def pkg.mod.stride(x, shape: tuple[int, ...]=(1, 2), *args, flag=False, **kw) -> 'Any'\n\n"
        "Does it.\n\nMore:\n    Indented."
    )
    assert {one.media_type for one in found.values()} == {"text/x-python-docstring"}


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("locator", "first_line", "title"),
    [
        ("pkg.mod", "module pkg.mod", "pkg.mod"),
        ("pkg.mod:dispatched", "def pkg.mod.dispatched(a, /, b=None)", "pkg.public.dispatched"),
        ("pkg.mod:later", "async def pkg.mod.later()", "pkg.mod.later"),
        ("pkg.mod:Base", "class pkg.mod.Base(dict, metaclass=type)", "pkg.mod.Base"),
        ("pkg.mod:Base.Inner", "class pkg.mod.Base.Inner", "pkg.mod.Base.Inner"),
        ("pkg.mod:Made", "class pkg.mod.Made(a, *, b=1)", "pkg.mod.Made"),
        ("pkg.mod:Made.__init__", "def pkg.mod.Made.__init__(self, a, *, b=1)", "pkg.mod.Made.__init__"),
        ("pkg.mod:Kept", "class pkg.mod.Kept(a=1, /)", "pkg.mod.Kept"),
    ],
)
def test_the_first_line_is_the_signature(locator: str, first_line: str, title: str) -> None:
    one = items("pkg.mod")[locator]
    assert one.text.split("\n\n")[0] == first_line
    assert one.title == title


@pytest.mark.usefixtures("site")
def test_tests_and_vendored_copies_and_excluded_roots_are_left_out() -> None:
    found = items("pkg", exclude=("pkg.sub.out", "pkg.mod"))
    assert list(found) == ["pkg", "pkg.cookie", "pkg.sub.deep"]
    assert found["pkg.cookie"].text == "module pkg.cookie\n\ncaf\u00e9"


def test_faults_are_counted(site: Path) -> None:
    (site / "pkg/sub/deep.py").write_text('"""Changed after installation."""')
    (site / "pkg/sub/out.py").unlink()
    assert refusals("1.0", "pkg", "pkg.none") == [
        ("pkg.broken", "syntax_error"),
        ("pkg.mod:Base.value;2", "duplicate_id_conflict"),
        ("pkg.mod:choice", "duplicate_id_same_content"),
        ("pkg.mod:attempt;2", "duplicate_id_conflict"),
        ("pkg.nul", "syntax_error"),
        ("pkg.sub.deep", "modified_file"),
        ("pkg.sub.out", "missing_file"),
        ("pkg.none", "no_such_module"),
    ]


@pytest.mark.usefixtures("site")
def test_another_version_is_refused_with_a_cure_and_the_local_part_does_not_count() -> None:
    assert refusals("1.0+cu128") == refusals("1.0")
    (one,) = read("pkg", "2.0", ["pkg"])
    assert isinstance(one, Refusal)
    assert one.reason == "version_mismatch"
    assert "1.0" in one.detail
    assert "2.0" in one.detail


def test_a_distribution_that_is_not_installed_is_refused_with_a_cure() -> None:
    (one,) = read("no-such-distribution", "1.0", ["x"])
    assert isinstance(one, Refusal)
    assert one.reason == "not_installed"
    assert "no-such-distribution==1.0" in one.detail


def test_a_real_package_agrees_with_what_import_shows() -> None:
    """Oracle: `inspect` on the imported module, where the reader has only the file."""
    import pyparsing.helpers

    found = {
        one.locator: one
        for one in read("pyparsing", metadata.version("pyparsing"), ["pyparsing.helpers"])
        if isinstance(one, Item)
    }
    functions = inspect.getmembers(pyparsing.helpers, inspect.isfunction)
    own = {name: f for name, f in functions if f.__module__ == "pyparsing.helpers" and f.__doc__ and f.__name__ == name}
    compared = 0
    for name, function in own.items():
        one = found.get(f"pyparsing.helpers:{name}")
        if one is not None:
            assert one.text.split("\n\n", 1)[1] == inspect.cleandoc(function.__doc__ or "")
            compared += 1
    assert compared >= 10
