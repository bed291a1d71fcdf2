"""A tiny model and tiny datasets made on the spot: real files in the real form, trained in a fraction of a second.

Belongs here: what tests of training, evaluation and release build their cases from. Does not: any assertion.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ddd_llm.training.base_model import INFO_FILE, BaseModelInfo, model_digest
from ddd_llm.training.files import canonical_json
from ddd_llm.training.recipe import LoraRecipe, SftRecipe
from ddd_llm.training.sft import SftJob

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def tiny_tokenizer() -> Any:
    """A byte-level tokenizer of 259 tokens with ChatML turns; no training needed."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend: Any = Tokenizer(models.BPE({piece: i for i, piece in enumerate([*SPECIAL, *alphabet])}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=SPECIAL[1], eos_token=SPECIAL[2], pad_token=SPECIAL[2], unk_token=SPECIAL[0]
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def tiny_model(folder: Path, seed: int = 0, hidden: int = 32, spread: float = 0.02) -> BaseModelInfo:
    """Write a canonical base model folder: a two-layer Llama with random float32 weights and `tiny_tokenizer`.

    Args:
        folder: where to write; made if it is not there.
        seed: of the weights.
        hidden: width; a multiple of 4.
        spread: standard deviation of the weights; with the default all tokens stay about equally likely, whatever is learnt.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        tie_word_embeddings=True,
        initializer_range=spread,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    info = BaseModelInfo(
        id="tests/tiny-llama",
        licence="CC0-1.0",
        kind="folder",
        source="folder",
        source_sha256="0" * 64,
        digest=model_digest(folder),
        dtype="float32",
        parameters=sum(p.numel() for p in model.parameters()),
        chat_template_sha256="0" * 64,
    )
    (folder / INFO_FILE).write_bytes(canonical_json(asdict(info)))
    return info


def conversation(question: str, answer: str) -> str:
    """The messages of a one-turn conversation, as the dataset holds them."""
    return json.dumps([{"role": "user", "content": question}, {"role": "assistant", "content": answer}])


def tiny_rows(count: int = 40) -> list[dict[str, str]]:
    """Rows of a dataset that a tiny model can learn: every fifth is for validation, lengths vary."""
    return [
        {
            "id": f"e{i:03d}",
            "split": "validation" if i % 5 == 4 else "train",
            "messages": conversation(f"Say {'very ' * (i % 7)}number {i}.", f"{i} " * (1 + i % 3)),
        }
        for i in range(count)
    ]


def write_rows(path: Path, rows: Sequence[dict[str, str | None]] | Sequence[dict[str, str]]) -> Path:
    """Write rows as the dataset's Parquet file."""
    schema = pa.schema([("id", pa.string()), ("split", pa.string()), ("messages", pa.string())])
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)
    return path


def tiny_recipe(**changes: Any) -> SftRecipe:
    """A recipe of 6 steps of 2 examples; dropout is on, so that random states matter."""
    settings: dict[str, Any] = {
        "lora": LoraRecipe(r=4, alpha=8, dropout=0.1),
        "steps": 6,
        "batch_size": 2,
        "max_length": 160,
        "learning_rate": 0.02,
        "warmup_steps": 1,
        "threads": 1,
        "dtype": "fp32",
        "device": "cpu",
        "eval_every": 2,
        "eval_examples": 4,
        "save_every": 2,
    }
    return SftRecipe(**(settings | changes))


def tiny_job(root: Path, name: str = "run", rows: Sequence[dict[str, str]] | None = None, **changes: Any) -> SftJob:
    """A job in a folder; base model and dataset are made once and shared by the jobs of a folder.

    Args:
        root: where base model, dataset, scratch and output lie.
        name: of this run; another name has scratch and output of its own.
        rows: the dataset's rows, `tiny_rows()` by default.
        changes: settings of the recipe.
    """
    base = root / "base"
    if not (base / INFO_FILE).exists():
        tiny_model(base)
    dataset = write_rows(root / "dataset.parquet", rows if rows is not None else tiny_rows())
    return SftJob(
        base=base,
        dataset=dataset,
        recipe=tiny_recipe(**changes),
        scratch=root / f"{name}-scratch",
        output=root / f"{name}-output",
    )
