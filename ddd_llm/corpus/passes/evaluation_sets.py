"""Evaluation items, read from the files that the policy names. Not here: looking for them (`contamination`)."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ddd_llm.corpus.passes.policy import EvaluationSet
from ddd_llm.platform.inputs import InputError


class Item(NamedTuple):
    """One evaluation item."""

    set: str
    id: str
    text: str


def read_items(sets: tuple[EvaluationSet, ...], assets: Path) -> list[Item]:
    """All items, in order of the sets and of their rows; numbers in a text field count by their digits.

    Raises:
        InputError: a file that cannot be read, is of another kind, holds no items, or a row without one of the fields or
            without text; the message names file and row and never the text.
    """
    items: list[Item] = []
    for one in sets:
        path = one.file(assets)
        before = len(items)
        try:
            for number, row in enumerate(_rows(path)):
                items.append(_item(one, path, number, row))
        except (OSError, EOFError, UnicodeDecodeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: evaluation set {one.name!r} cannot be read ({type(error).__name__})") from None
        if len(items) == before:
            raise InputError(f"{path}: evaluation set {one.name!r} holds no items")
    return items


def _rows(path: Path) -> Iterator[Any]:
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            yield from (json.loads(line) for line in file if line.strip())
    elif path.suffix == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    else:
        raise InputError(f"{path}: an evaluation set is a .jsonl, .jsonl.gz or .parquet file")


def _item(one: EvaluationSet, path: Path, number: int, row: Any) -> Item:
    if not isinstance(row, dict):
        raise InputError(f"{path}: row {number} is no object")
    parts: list[str] = []
    for name in one.text_fields:
        value = row.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise InputError(f"{path}: row {number}: field {name!r} is missing or no text")
        parts.append(str(value))
    identity: Any = number if one.id_field is None else row.get(one.id_field)
    if identity is None or isinstance(identity, dict | list):
        raise InputError(f"{path}: row {number}: field {one.id_field!r} is missing or names nothing")
    return Item(one.name, str(identity), "\n".join(parts))
