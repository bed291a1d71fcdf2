"""A folder that Hugging Face `datasets` saved: Arrow shards of one or more splits; or a folder of Parquet shards.

Belongs here: which files are shards, in which order. Does not belong here: rows (`arrow`, `parquet`). A loading script
that may lie in such a folder is never run, and nothing is fetched.

`save_to_disk` writes `state.json` with the names of a split's shards, and `dataset_dict.json` with the names of the
splits. A shard that is named and missing is refused; what is not named is not read.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any

from ddd_llm.corpus.readers import arrow
from ddd_llm.corpus.readers.dispatch import Options
from ddd_llm.corpus.readers.folder import Entry, read_path, walk
from ddd_llm.corpus.readers.items import (
    DEFAULT_LIMITS,
    MIB,
    FileFault,
    Item,
    Limits,
    Refusal,
    own_disk_full,
    unreadable,
)
from ddd_llm.corpus.readers.locators import of_file

READER = "hf_dataset/1"
"""Changes when the same folder would give other documents."""

_NAME = re.compile(r"[^/\\\0]+\.arrow")


def read(
    root: Path, splits: Sequence[str] | None, options: Options, limits: Limits = DEFAULT_LIMITS
) -> Iterator[Item | Refusal]:
    """Documents of all shards, split by split.

    Refusals: those of `shards`, of the Arrow and Parquet readers; `unreadable`.
    """
    for entry in shards(root, splits, limits):
        if isinstance(entry, Refusal):
            yield entry
        elif entry.path.suffix == ".parquet":
            yield from read_path(entry, options, limits)
        else:
            yield from _read_arrow(entry, options, limits)


def _read_arrow(entry: Entry, options: Options, limits: Limits) -> Iterator[Item | Refusal]:
    try:
        with entry.path.open("rb") as raw:
            size = os.fstat(raw.fileno()).st_size
            yield from arrow.read(entry.locator, raw, size, options.fields, limits)
    except FileFault as fault:
        yield fault.refusal(entry.locator)
    except OSError as error:
        if own_disk_full(error):
            raise
        yield unreadable(entry.locator, error)


def shards(root: Path, splits: Sequence[str] | None, limits: Limits = DEFAULT_LIMITS) -> Iterator[Entry | Refusal]:
    """The shards of the splits that are asked for.

    Refusals of the source: `folder_missing`, `not_a_dataset`, `no_such_split`, `too_many_files`; of a shard:
    `missing_file`, `symlink_outside_root`, `unsafe_shard_name`.
    """
    real = Path(os.path.realpath(root))
    if not real.is_dir():
        yield Refusal("", "folder_missing", "the folder of this source does not exist or is no folder")
    elif (real / "dataset_dict.json").is_file():
        yield from _saved_splits(real, splits)
    elif (real / "state.json").is_file():
        if splits is not None:
            yield Refusal("", "no_such_split", "the folder holds one dataset without splits; name none")
        else:
            yield from _saved(real, PurePath())
    else:
        yield from _parquet(real, splits, limits)


def _saved_splits(real: Path, splits: Sequence[str] | None) -> Iterator[Entry | Refusal]:
    said = _json(real / "dataset_dict.json")
    named = said.get("splits") if isinstance(said, dict) else None
    if not isinstance(named, list) or not all(isinstance(split, str) and split.isidentifier() for split in named):
        yield Refusal("", "not_a_dataset", "dataset_dict.json does not name splits")
        return
    missing = [split for split in splits or () if split not in named]
    if missing:
        yield Refusal("", "no_such_split", f"the dataset has no split {', '.join(missing)}")
        return
    for split in named:
        if splits is None or split in splits:
            yield from _saved(real, PurePath(split))


def _saved(real: Path, relative: PurePath) -> Iterator[Entry | Refusal]:
    said = _json(real / relative / "state.json")
    files = said.get("_data_files") if isinstance(said, dict) else None
    if not isinstance(files, list):
        detail = "there is no state.json that names the shards of this dataset"
        yield Refusal(of_file(relative), "not_a_dataset", detail)
        return
    names = [file.get("filename") if isinstance(file, dict) else None for file in files]
    shard_names = [name for name in names if isinstance(name, str) and _NAME.fullmatch(name)]
    if len(set(shard_names)) != len(names):
        detail = "state.json names a shard twice, or one that is no .arrow file of its folder"
        yield Refusal(of_file(relative), "unsafe_shard_name", detail)
        return
    for name in shard_names:
        locator = of_file(relative / name)
        path = Path(os.path.realpath(real / relative / name))
        if not path.is_relative_to(real):
            yield Refusal(locator, "symlink_outside_root", "the link leaves the folder of this source", whole_file=True)
        elif not path.is_file():
            yield Refusal(locator, "missing_file", "state.json names this shard, but it is not there", whole_file=True)
        else:
            yield Entry(locator, path)


def _parquet(real: Path, splits: Sequence[str] | None, limits: Limits) -> Iterator[Entry | Refusal]:
    seen: set[str] = set()
    found = False
    for entry in walk(real, ["**/*.parquet"], limits):
        if isinstance(entry, Refusal):
            yield entry
            continue
        found = True
        split = next((split for split in splits or () if _is_of(entry.locator, split)), None)
        if split is not None:
            seen.add(split)
        if splits is None or split is not None:
            yield entry
    if not found:
        yield Refusal("", "not_a_dataset", "the folder holds neither a saved dataset nor Parquet shards")
    elif missing := [split for split in splits or () if split not in seen]:
        yield Refusal("", "no_such_split", f"no shard belongs to the split {', '.join(missing)}")


def _is_of(locator: str, split: str) -> bool:
    """`train.parquet`, `train-00000-of-00002.parquet`, or anything below a folder `train`."""
    *folders, name = locator.split("/")
    return split in folders or name == f"{split}.parquet" or name.startswith(f"{split}-")


def _json(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return json.loads(file.read(16 * MIB))
    except (OSError, ValueError, RecursionError):
        return None
