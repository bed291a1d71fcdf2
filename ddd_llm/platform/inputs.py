"""Files that people edit, read into typed models with messages that name file, line and field.

Belongs here: YAML to pydantic. Does not belong here: any stage's model.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)

RECIPE_SECTIONS = (
    "base_model",
    "candidates",
    "synthetic",
    "dataset",
    "sft",
    "feedback",
    "dpo",
    "reward_models",
    "rlhf",
    "evaluation",
    "learning_curve",
)


class InputError(ValueError):
    """An input file that does not say what it must; each line of the message names file, line and field."""


def load_yaml(path: Path, model: type[M]) -> M:
    """Read a YAML file into a model.

    Raises:
        InputError: no such file, not YAML, a duplicate key, or a value the model refuses.
    """
    value, lines = _parse(path)
    return _validate(path, value, lines, (), model)


def load_section(path: Path, section: str, model: type[M]) -> M:
    """Read one section of a recipe into a model; an absent section takes the model's defaults.

    Raises:
        InputError: as `load_yaml`, or a section whose name no recipe knows.
    """
    value, lines = _parse(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}:1: a recipe is a mapping of the sections {', '.join(RECIPE_SECTIONS)}")
    for name in value:
        if name not in RECIPE_SECTIONS:
            known = ", ".join(RECIPE_SECTIONS)
            raise InputError(f"{path}:{lines.get((name,), 1)}: {name}: no such section (there are {known})")
    return _validate(path, value.get(section) or {}, lines, (section,), model)


def load_front_matter(path: Path) -> tuple[str, Callable[[type[M], dict[str, Any]], M]]:
    """Read a Markdown file that begins with YAML between two lines `---`.

    Returns:
        The text after it, and a function that makes a model of the YAML plus further fields.

    Raises:
        InputError: it cannot be read, has no front matter, or as `load_yaml` (from the function as well).
    """
    text = _read(path)
    parts = text.split("\n---\n", 1) if text.startswith("---\n") else []
    if len(parts) != 2:
        raise InputError(f"{path}:1: the file must begin with YAML between two lines `---`")
    value, lines = _parse_text(path, "\n" + parts[0].removeprefix("---\n"))  # an empty line for the first `---`
    if not isinstance(value, dict):
        raise InputError(f"{path}:2: the YAML must be a mapping")
    return parts[1], lambda model, more: _validate(path, {**value, **more}, lines, (), model)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}") from None


def section_of(path: Path, section: str) -> Any:
    """One section of a recipe as plain data, not looked at any further; {} where it is absent. Raises InputError."""
    value, _ = _parse(path)
    return (value.get(section) if isinstance(value, dict) else None) or {}


def _parse(path: Path) -> tuple[Any, dict[tuple[Any, ...], int]]:
    return _parse_text(path, _read(path))


def _parse_text(path: Path, text: str) -> tuple[Any, dict[tuple[Any, ...], int]]:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[tuple[Any, ...], int] = {}
        if node is None:
            return {}, lines
        _locate(path, node, (), lines)
        return yaml.safe_load(text), lines
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}:{line}: not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}:1: not YAML: {error}") from None


def _locate(path: Path, node: yaml.Node, at: tuple[Any, ...], lines: dict[tuple[Any, ...], int]) -> None:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*at, key.value)
            line = key.start_mark.line + 1
            if here in lines:
                raise InputError(
                    f"{path}:{line}: {'.'.join(map(str, here))}: given twice (first on line {lines[here]})"
                )
            lines[here] = line
            _locate(path, value, here, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _locate(path, value, (*at, index), lines)


def _validate(path: Path, value: Any, lines: dict[tuple[Any, ...], int], at: tuple[Any, ...], model: type[M]) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        said = []
        for item in error.errors():
            known = _in_file(at + tuple(item["loc"]), lines)
            line = next((lines[known[:n]] for n in range(len(known), -1, -1) if known[:n] in lines), 1)
            said.append(f"{path}:{line}: {'.'.join(map(str, known)) or model.__name__}: {item['msg']}")
        raise InputError("\n".join(dict.fromkeys(said))) from None


def _in_file(location: tuple[Any, ...], lines: dict[tuple[Any, ...], int]) -> tuple[Any, ...]:
    """A pydantic location as the file has it: a discriminated union adds its tag, which is no level of the file."""
    known: tuple[Any, ...] = ()
    for part in location:
        if (*known, part) in lines or part == location[-1]:
            known = (*known, part)
    return known
