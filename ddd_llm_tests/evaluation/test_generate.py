"""Answers of tiny models made on the spot, against transformers' own greedy `generate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ddd_llm.evaluation.generate import SCHEMA, GenerationConfig, GenerationError, answers, answers_for

CONFIG = GenerationConfig(max_new_tokens=12, batch_size=4, dtype="float32", device="cpu")
TEMPLATE = (
    "{% for m in messages %}{{ '<|s|>' + m['role'] + ' ' + m['content'] + '<|e|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|s|>assistant ' }}{% endif %}"
)
WORDS = [f"w{i}" for i in range(60)]


def _tokenizer(folder: Path, template: str | None) -> Any:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split
    from transformers import PreTrainedTokenizerFast

    vocabulary = {t: i for i, t in enumerate(["<|e|>", "<|s|>", "<unk>", "user", "assistant", " ", *WORDS])}
    raw = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = Split(" ", "isolated")  # pyright: ignore
    made = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|e|>", unk_token="<unk>", additional_special_tokens=["<|s|>"]
    )
    made.chat_template = template
    made.save_pretrained(folder)
    return made


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A base and two adapters whose answers differ in words and length."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    root = tmp_path_factory.mktemp("tiny")
    vocabulary = len(_tokenizer(root / "base", TEMPLATE))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        eos_token_id=0,
        initializer_range=0.3,
    )
    base: Any = LlamaForCausalLM(config)
    base.lm_head.weight.data[0] *= 3  # so that some answers end early
    base.save_pretrained(root / "base")
    for seed, name in ((1, "one"), (2, "two")):
        torch.manual_seed(seed)
        fresh = LlamaForCausalLM.from_pretrained(root / "base")
        model: Any = get_peft_model(fresh, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
        for key, weight in model.named_parameters():
            if "lora_B" in key:
                torch.nn.init.normal_(weight, std=0.2)
        model.save_pretrained(root / name)
    return {name: root / name for name in ("base", "one", "two")}


def _prompts(n: int = 11) -> pa.Table:
    said = [" ".join(WORDS[(i * 7 + j * 3) % 60] for j in range(1 + i * 3 % 17)) for i in range(n)]
    rows = [{"id": f"q{i}", "prompt": json.dumps([{"role": "user", "content": text}])} for i, text in enumerate(said)]
    return pa.Table.from_pylist(rows, schema=pa.schema([("id", pa.string()), ("prompt", pa.string())]))


def _expected(base: Path, adapter: Path | None) -> list[tuple[str, int, str]]:
    """One prompt at a time through transformers' generate."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(base)
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = PeftModel.from_pretrained(model, str(adapter)).eval() if adapter else model.eval()
    found = []
    for prompt in _prompts()["prompt"].to_pylist():
        text = tokenizer.apply_chat_template(json.loads(prompt), tokenize=False, add_generation_prompt=True)
        given = tokenizer(text, add_special_tokens=False, return_tensors="pt", return_token_type_ids=False)
        out = model.generate(**given, max_new_tokens=12, do_sample=False, pad_token_id=0)[
            0, given["input_ids"].shape[1] :
        ].tolist()
        stopped = out[-1] == 0
        kept = out[:-1] if stopped else out
        found.append(
            (tokenizer.decode(kept, skip_special_tokens=True).strip(), len(kept), "stop" if stopped else "length")
        )
    return found


def _rows(table: pa.Table) -> list[tuple[str, int, str]]:
    return [(row["answer"], row["tokens"], row["finish_reason"]) for row in table.to_pylist()]


def test_batched_answers_are_those_of_generate_one_by_one(tiny: dict[str, Path]) -> None:
    models = {"base": None, "tuned": tiny["one"], "champion": tiny["two"]}
    found = answers_for(tiny["base"], models, _prompts(), CONFIG)
    for name, adapter in models.items():
        assert found[name].schema == SCHEMA
        assert found[name]["id"].to_pylist() == [f"q{i}" for i in range(11)]
        assert _rows(found[name]) == _expected(tiny["base"], adapter)
    assert len({str(_rows(table)) for table in found.values()}) == 3
    finished = [row[2] for table in found.values() for row in _rows(table)]
    assert {"stop", "length"} <= set(finished)


def test_answers_do_not_depend_on_batch_or_on_the_models_beside(tiny: dict[str, Path]) -> None:
    together = answers_for(tiny["base"], {"a": tiny["one"], "b": None, "c": tiny["two"]}, _prompts(), CONFIG)
    for size in (1, 3, 64):
        alone = answers(tiny["base"], tiny["one"], _prompts(), CONFIG.model_copy(update={"batch_size": size}))
        assert alone.equals(together["a"])
    assert answers(tiny["base"], None, _prompts(), CONFIG).equals(together["b"])
    backwards = _prompts().take(list(range(10, -1, -1)))
    assert (
        answers(tiny["base"], None, backwards, CONFIG)["answer"].to_pylist()[::-1]
        == together["b"]["answer"].to_pylist()
    )


def test_bfloat16_is_repeatable(tiny: dict[str, Path]) -> None:
    config = CONFIG.model_copy(update={"dtype": "bfloat16"})
    first, second = (answers(tiny["base"], tiny["one"], _prompts(), config) for _ in range(2))
    assert first.equals(second)


def test_progress_counts_every_answer(tiny: dict[str, Path]) -> None:
    told: list[tuple[int, int, float]] = []
    answers_for(tiny["base"], {"a": None, "b": tiny["one"]}, _prompts(), CONFIG, lambda *seen: told.append(seen))
    assert [done for done, _, _ in told] == [4, 8, 11, 15, 19, 22]
    assert {total for _, total, _ in told} == {22}
    assert all(rate > 0 for _, _, rate in told)


def test_a_prompt_that_is_too_long_is_said_to_be(tiny: dict[str, Path]) -> None:
    config = CONFIG.model_copy(update={"max_prompt_tokens": 20})
    found = answers(tiny["base"], None, _prompts(), config)
    whole = answers(tiny["base"], None, _prompts(), CONFIG)
    long = [row["finish_reason"] == "prompt_too_long" for row in found.to_pylist()]
    assert any(long)
    assert not all(long)
    for is_long, row, full in zip(long, found.to_pylist(), whole.to_pylist(), strict=True):
        assert (row["answer"], row["tokens"]) == ("", 0) if is_long else row == full


def test_no_prompt_gives_no_answer(tiny: dict[str, Path]) -> None:
    assert answers(tiny["base"], None, _prompts(0), CONFIG).num_rows == 0


def test_a_model_that_cannot_answer_is_an_error(tiny: dict[str, Path], tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(tiny["one"], broken)
    weights = load_file(broken / "adapter_model.safetensors")
    save_file({key: value * float("nan") for key, value in weights.items()}, broken / "adapter_model.safetensors")
    with pytest.raises(GenerationError, match="'tuned' gave logits that are not finite"):
        answers_for(tiny["base"], {"base": None, "tuned": broken}, _prompts(), CONFIG)
    (broken / "adapter_model.safetensors").rename(broken / "adapter_model.bin")
    with pytest.raises(GenerationError, match=r"no adapter_model\.safetensors"):
        answers(tiny["base"], broken, _prompts(), CONFIG)
    silent = tmp_path / "silent"
    shutil.copytree(tiny["base"], silent)
    (silent / "chat_template.jinja").unlink()
    with pytest.raises(GenerationError, match="no chat template"):
        answers(silent, None, _prompts(), CONFIG)
