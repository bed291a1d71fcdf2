"""What a model folder may hold: safetensors, JSON, a tokenizer, a template. Never pickles, never code.

Belongs here: refusing by name and by content, before anything is loaded. Does not: whether it is the right model
(`base_model`). A pickle runs code when it is loaded and so does `auto_map`; both are refused even though nothing here
would load them, because somebody else may load the same folder with less care.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

_PICKLE_SUFFIXES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill", ".npy", ".npz"}
_MODEL_FILES = {
    "config.json",
    "generation_config.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
}
_TOKENIZER_PREFIXES = ("tokenizer", "special_tokens_map", "added_tokens")
_MAX_HEADER = 100_000_000
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


class UnsafeModelError(ValueError):
    """The folder holds something that could run code, or is no model folder."""


def is_model_file(name: str) -> bool:
    """Whether a file of this name belongs to a model: its weights, configuration, tokenizer or template."""
    if name in _MODEL_FILES or name.endswith((".safetensors", ".safetensors.index.json")):
        return True
    return name.endswith(".json") and name.startswith(_TOKENIZER_PREFIXES)


def check_folder(folder: Path) -> None:
    """Refuse a folder that could run code or cannot be a model.

    Raises:
        UnsafeModelError: pickled data by name or content, `auto_map`, broken JSON or safetensors, or a file is missing.
    """
    paths = [path for path in sorted(folder.iterdir()) if path.is_file()]
    for path in paths:
        if path.suffix.lower() in _PICKLE_SUFFIXES:
            raise UnsafeModelError(f"{path.name} may be pickled and is refused; only safetensors is loaded")
        if _looks_pickled(path):
            raise UnsafeModelError(f"{path.name} holds pickled data under another name and is refused")
        if path.suffix == ".json":
            _check_json(path)
        elif path.suffix == ".safetensors":
            _header(path)
    names = {path.name for path in paths}
    for needed in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        if needed not in names:
            raise UnsafeModelError(f"{needed} is missing")
    if not any(name.endswith(".safetensors") for name in names):
        raise UnsafeModelError("no *.safetensors file")


def parameters_of(folder: Path) -> tuple[str, int]:
    """Type and number of the weights in a folder's safetensors files: the type of most of them, by count of weights."""
    counts: dict[str, int] = {}
    for path in sorted(folder.glob("*.safetensors")):
        for name, tensor in _header(path).items():
            if name == "__metadata__":
                continue
            size = 1
            for length in tensor["shape"]:
                size *= length
            counts[tensor["dtype"]] = counts.get(tensor["dtype"], 0) + size
    if not counts:
        raise UnsafeModelError("the safetensors files hold no weights")
    main = max(sorted(counts), key=lambda dtype: counts[dtype])
    return _DTYPES.get(main, main), sum(counts.values())


def _looks_pickled(path: Path) -> bool:
    with path.open("rb") as stream:
        start = stream.read(4)
    # Protocol 2 and later begin with PROTO and a version; torch's own format is a zip archive.
    return (start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")) or start == b"PK\x03\x04"


def _check_json(path: Path) -> None:
    try:
        value: Any = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UnsafeModelError(f"{path.name} is not JSON") from error
    if isinstance(value, dict) and "auto_map" in value:
        raise UnsafeModelError(f"{path.name} asks for code of its own (auto_map); such models are never loaded")


def _header(path: Path) -> dict[str, Any]:
    """The JSON header of a safetensors file (github.com/huggingface/safetensors, README, Format)."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(_MAX_HEADER, size - 8):
            raise UnsafeModelError(f"{path.name} is no safetensors file")
        try:
            header = json.loads(stream.read(length))
            end = max((int(t["data_offsets"][1]) for n, t in header.items() if n != "__metadata__"), default=0)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UnsafeModelError(f"{path.name} is no safetensors file") from error
    if size != 8 + length + end:
        raise UnsafeModelError(f"{path.name} is cut off or has bytes too many")
    return header
