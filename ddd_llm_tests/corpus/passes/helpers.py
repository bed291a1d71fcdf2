"""What the tests of the passes share: document tables, and real text from installed packages."""

import ast
import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pyarrow as pa


def documents(texts: Sequence[str], sources: Sequence[str] | None = None, media_type: str = "text/plain") -> pa.Table:
    """A table as deduplication leaves it; ids d0, d1, ..."""
    count = len(texts)
    columns = {
        "id": [f"d{i}" for i in range(count)],
        "source": list(sources or ["s"] * count),
        "locator": [f"file#{i}" for i in range(count)],
        "batch": ["b"] * count,
        "media_type": [media_type] * count,
        "text": list(texts),
    }
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


@cache
def docstrings(package: str, most: int, of_file: int = 1000) -> tuple[tuple[str, str], ...]:
    """(module path, docstring) of an installed package, each once, at most so many of a file; nothing is imported."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations
    root = Path(next(iter(spec.submodule_search_locations)))
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*.py")):
        if "tests" in path.parts:
            continue
        before = len(found)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                text = ast.get_docstring(node)
                if text and len(text.split()) >= 20 and len(found) < before + of_file:
                    found.setdefault(text, path.relative_to(root).as_posix())
        if len(found) >= most:
            break
    return tuple((path, text) for text, path in list(found.items())[:most])
