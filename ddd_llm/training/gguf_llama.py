"""A Llama model in a GGUF file, read as the Hugging Face configuration, tokenizer and float32 tensors it was made from.

Belongs here: what GGUF (github.com/ggml-org/ggml, docs/gguf.md) and llama.cpp's conversion change about a Llama
model, undone. Does not: where the file comes from or what is written (`base_model`). Other architectures are refused,
not guessed.

transformers can read GGUF as well. Here it is done directly because that takes 4 s instead of 30, leaves no quantizer
attached that refuses saving, and keeps the pre-tokenizer: transformers 5.23 ignores `tokenizer.ggml.pre`, and without
SmolLM's splitting of digits "=  12" becomes other tokens than the model was trained on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

_LAYER_TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_MODEL_TENSORS = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_DIGITS_APART = {"smollm", "starcoder", "refact", "command-r", "codeshell"}
_GPT2_REGEX = {"gpt-2", "gpt2", "default"}
_CONTROL_TOKEN = 3  # gguf.TokenType.CONTROL


class GgufError(ValueError):
    """The file is no GGUF file of a Llama model with a byte-level BPE tokenizer and a chat template."""


class GgufLlama:
    """One opened file. Tensors are dequantized one at a time, so memory stays near the largest of them.

    Raises:
        GgufError: not GGUF, another architecture or tokenizer, or a field is missing.
    """

    def __init__(self, path: Path) -> None:
        from gguf import GGUFReader

        try:
            self._reader = GGUFReader(path)
        except (ValueError, KeyError, IndexError, OSError) as error:
            raise GgufError(f"{path.name} cannot be read as GGUF ({type(error).__name__})") from error
        if self._field("general.architecture") != "llama":
            raise GgufError(
                f"{path.name} holds architecture {self._field('general.architecture')!r}; only llama is known"
            )
        rope = self._optional("llama.rope.scaling.type")
        if rope not in (None, "none"):
            raise GgufError(f"{path.name} scales its rotary positions ({rope}), which is not known here")
        self._heads = int(self._field("llama.attention.head_count"))
        self._kv_heads = int(self._optional("llama.attention.head_count_kv") or self._heads)
        self._names = {tensor.name for tensor in self._reader.tensors}

    def config(self, dtype: str) -> dict[str, Any]:
        """What config.json says of a LlamaForCausalLM whose tensors are stored as `dtype`."""
        hidden = int(self._field("llama.embedding_length"))
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": int(self._field("tokenizer.ggml.bos_token_id")),
            "dtype": dtype,
            "eos_token_id": int(self._field("tokenizer.ggml.eos_token_id")),
            "head_dim": int(self._optional("llama.attention.key_length") or hidden // self._heads),
            "hidden_act": "silu",
            "hidden_size": hidden,
            "initializer_range": 0.02,
            "intermediate_size": int(self._field("llama.feed_forward_length")),
            "max_position_embeddings": int(self._field("llama.context_length")),
            "mlp_bias": False,
            "num_attention_heads": self._heads,
            "num_hidden_layers": int(self._field("llama.block_count")),
            "num_key_value_heads": self._kv_heads,
            "pad_token_id": self._pad(),
            # GGUF keeps float32: 9.999999747378752e-06 stands for the 1e-05 it was made from.
            "rms_norm_eps": float(f"{float(self._field('llama.attention.layer_norm_rms_epsilon')):.6g}"),
            "rope_parameters": {
                "rope_theta": float(self._optional("llama.rope.freq_base") or 10_000.0),
                "rope_type": "default",
            },
            "tie_word_embeddings": "output.weight" not in self._names,
            "use_cache": True,
            "vocab_size": len(self._field("tokenizer.ggml.tokens")),
        }

    def generation_config(self) -> dict[str, Any]:
        """What generation_config.json says: greedy unless asked otherwise."""
        config = self.config("float32")
        return {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}

    def tensors(self) -> Iterator[tuple[str, np.ndarray]]:
        """Hugging Face name and float32 values of each tensor, in the file's order.

        Raises:
            GgufError: a tensor that a Llama model does not have.
        """
        from gguf.quants import dequantize

        for tensor in self._reader.tensors:
            values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
            if ".attn_q." in tensor.name:
                values = _unpermute(values, self._heads)
            elif ".attn_k." in tensor.name:
                values = _unpermute(values, self._kv_heads)
            yield _hf_name(tensor.name), values

    def tokenizer(self) -> Any:
        """A `transformers.PreTrainedTokenizerFast` with special tokens and chat template."""
        from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast

        if self._field("tokenizer.ggml.model") != "gpt2":
            raise GgufError(
                f"tokenizer {self._field('tokenizer.ggml.model')!r} is not known; only byte-level BPE (gpt2) is"
            )
        pieces: list[str] = self._field("tokenizer.ggml.tokens")
        merges = [tuple(merge.split(" ", 1)) for merge in self._field("tokenizer.ggml.merges")]
        backend = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))  # pyright: ignore[reportArgumentType]
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        kind = self._optional("tokenizer.ggml.pre") or "default"
        if kind in _DIGITS_APART:
            digits = pre_tokenizers.Digits(individual_digits=True)
            backend.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])  # pyright: ignore[reportAttributeAccessIssue]
        elif kind in _GPT2_REGEX:
            backend.pre_tokenizer = byte_level  # pyright: ignore[reportAttributeAccessIssue]
        else:
            raise GgufError(f"pre-tokenizer {kind!r} is not known; use the model's original folder or hub entry")
        backend.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
        types = self._field("tokenizer.ggml.token_type")
        control = [piece for piece, type_ in zip(pieces, types, strict=True) if type_ == _CONTROL_TOKEN]
        backend.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in control])
        unknown = self._optional("tokenizer.ggml.unknown_token_id")
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=backend,
            bos_token=pieces[int(self._field("tokenizer.ggml.bos_token_id"))],
            eos_token=pieces[int(self._field("tokenizer.ggml.eos_token_id"))],
            pad_token=pieces[self._pad()],
            unk_token=None if unknown is None else pieces[int(unknown)],
            model_max_length=int(self._field("llama.context_length")),
            clean_up_tokenization_spaces=False,
        )
        tokenizer.chat_template = self._field("tokenizer.chat_template")
        return tokenizer

    def _pad(self) -> int:
        pad = self._optional("tokenizer.ggml.padding_token_id")
        return int(self._field("tokenizer.ggml.eos_token_id") if pad is None else pad)

    def _optional(self, name: str) -> Any:
        field = self._reader.get_field(name)
        return None if field is None else field.contents()

    def _field(self, name: str) -> Any:
        value = self._optional(name)
        if value is None:
            raise GgufError(f"the GGUF file has no field {name}")
        return value


def _hf_name(name: str) -> str:
    if name in _MODEL_TENSORS:
        return _MODEL_TENSORS[name]
    block, _, rest = name.removeprefix("blk.").partition(".")
    part, _, suffix = rest.rpartition(".")
    if not name.startswith("blk.") or not block.isdigit() or part not in _LAYER_TENSORS or suffix != "weight":
        raise GgufError(f"tensor {name!r} belongs to no Llama model known here")
    return f"model.layers.{block}.{_LAYER_TENSORS[part]}.weight"


def _unpermute(values: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key projection in Hugging Face's order: llama.cpp interleaves the halves of each head.

    The inverse of `LlamaModel.permute` in llama.cpp's convert_hf_to_gguf.py.
    """
    shape = values.shape
    return values.reshape(heads, shape[0] // heads // 2, 2, *shape[1:]).swapaxes(1, 2).reshape(shape)
