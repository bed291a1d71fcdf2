"""The code version follows what a function reaches, and nothing else."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ddd_llm.platform import code_version as module

ASSETS = '''
from ddd_llm.stage import used, unused
LIMIT = 3
OTHER = 4
def helper(): return LIMIT
def asset(step):
    """Words."""
    # a remark
    return used.work(helper())
def neighbour(step):
    return unused.work(OTHER)
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the same name in a folder of its own, so that the real one stays untouched."""
    root = tmp_path / "ddd_llm"
    (root / "stage").mkdir(parents=True)
    for name, text in {
        "__init__.py": "", "stage/__init__.py": "", "stage/assets.py": ASSETS,
        "stage/used.py": "def work(x):\n    from ddd_llm.stage.deep import value\n    return value + x\n",
        "stage/deep.py": "value = 1\n", "stage/unused.py": "def work(x): return x\n",
    }.items():  # fmt: skip
        (root / name).write_text(text)
    monkeypatch.setattr(module, "ROOT", root)
    return root


def version(package: Path, name: str = "asset") -> str:
    for cached in (module._tree, module.module_digest, module._direct):
        cached.cache_clear()
    spec = importlib.util.spec_from_file_location("stage_under_test", package / "stage" / "assets.py")  # type: ignore[attr-defined]
    assert spec is not None
    loaded = ModuleType("stage_under_test")
    loaded.__file__ = str(package / "stage" / "assets.py")
    sys.modules["stage_under_test"] = loaded
    source = (package / "stage" / "assets.py").read_text().replace("from ddd_llm.stage import used, unused", "")
    exec(compile(source, loaded.__file__, "exec"), loaded.__dict__)
    return module.code_version(getattr(loaded, name))


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("stage/assets.py", "# a remark", "# another", False),
        ("stage/assets.py", '"""Words."""', '"""Other words."""', False),
        ("stage/assets.py", "OTHER = 4", "OTHER = 5", False),
        ("stage/assets.py", "LIMIT = 3", "LIMIT = 5", True),
        ("stage/assets.py", "return LIMIT", "return -LIMIT", True),
        ("stage/used.py", "value + x", "value - x", True),
        ("stage/deep.py", "1", "2", True),
        ("stage/unused.py", "return x", "return -x", False),
    ],
)
def test_only_reached_code_counts(package: Path, file: str, old: str, new: str, changes: bool) -> None:
    before = version(package)
    path = package / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert (version(package) != before) is changes


def test_neighbours_in_one_file_have_versions_of_their_own(package: Path) -> None:
    assert version(package, "asset") != version(package, "neighbour")
