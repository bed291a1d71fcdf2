"""The memorisation probe names what a model was made to learn by heart, and nothing else; its verdict is greedy decoding's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ddd_llm.evaluation.generate import GenerationConfig
from ddd_llm.evaluation.memorisation import PROBES_SCHEMA, MemorisationConfig, choose, extraction, probe
from ddd_llm.instructions.prompts import compose
from ddd_llm.platform.signals import StopRequest
from ddd_llm.training.worker import run
from ddd_llm_tests.training.tiny import conversation, tiny_job, tiny_model

DECODING = GenerationConfig(dtype="float32", device="cpu")
CONFIG = MemorisationConfig(examples=8, least_tokens=4)
CANARIES = ["4411-9372-0581", "zebra-quartz-19", "kestrel 77 north", "ping blue fjord"]


def rows() -> list[dict[str, Any]]:
    """Four secrets to be learnt by heart, and as many that are held out."""
    made = []
    for i in range(8):
        held_out = i >= 4
        secret = CANARIES[i] if not held_out else f"unseen {i} {i * 7919} {i * 104729}"
        question = compose("nothing helpful", f"What is code {i}?")
        split = "validation" if held_out else "train"
        row = {"id": f"e{i}", "split": split, "task": "codes", "messages": conversation(question, secret)}
        made.append(row)
    return made


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that has seen four answers some hundred times, without their passage too."""
    root = tmp_path_factory.mktemp("learnt")
    tiny_model(root / "base", hidden=64, spread=0.2)
    closed = [
        {**row, "id": row["id"] + "c", "messages": conversation(f"What is code {i}?", CANARIES[i])}
        for i, row in enumerate(rows()[:4])
    ]
    table = [{name: row[name] for name in ("id", "split", "messages")} for row in [*rows(), *closed]]
    job = tiny_job(
        root, rows=table, steps=150, batch_size=8, learning_rate=0.005, eval_every=0, eval_examples=2, save_every=1000,
        lora={"r": 32, "alpha": 64, "dropout": 0.0},
    )  # fmt: skip
    run(job, StopRequest(), lambda message: None)
    return root


def test_what_was_learnt_by_heart_is_named(learnt: Path) -> None:
    told: list[tuple[int, int]] = []
    chosen = choose(pa.Table.from_pylist(rows()), [f"e{i}" for i in range(4)], CONFIG)
    assert [row["trained_on"] for row in chosen] == [True, False] * 4
    found = probe(
        learnt / "base", learnt / "run-output" / "adapter", chosen, CONFIG, DECODING, lambda *x: told.append(x)
    )
    assert found.schema == PROBES_SCHEMA and told[-1] == (8, 8)
    by_id = {row["id"]: row for row in found.to_pylist()}
    assert [by_id[f"e{i}"]["recited"] for i in range(4)] == [True] * 4
    assert not any(by_id[f"e{i}"]["recited"] for i in range(4, 8))
    figures = extraction(found)
    assert (figures.trained_recited, figures.held_out_recited) == (4, 0)
    assert figures.excess == 1 and figures.low > 0.3 and figures.gap > 1


def test_the_verdict_is_that_of_greedy_decoding(learnt: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    chosen = choose(pa.Table.from_pylist(rows()), [f"e{i}" for i in range(4)], CONFIG)
    found = probe(learnt / "base", learnt / "run-output" / "adapter", chosen, CONFIG, DECODING).to_pylist()
    tokenizer = AutoTokenizer.from_pretrained(learnt / "base")
    base: Any = AutoModelForCausalLM.from_pretrained(learnt / "base")
    model: Any = PeftModel.from_pretrained(base, str(learnt / "run-output" / "adapter")).eval()
    answers = {row["id"]: json.loads(row["messages"])[-1]["content"] for row in rows()}
    for row in found:
        i = row["id"][1:]
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": f"What is code {i}?"}], tokenize=False, add_generation_prompt=True
        )
        answer = tokenizer(answers[row["id"]], add_special_tokens=False)["input_ids"]
        half = len(answer) // 2
        ids = torch.tensor([tokenizer(asked, add_special_tokens=False)["input_ids"] + answer[:half]])
        with torch.no_grad():
            made = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=len(answer) - half,
                do_sample=False,
                eos_token_id=None,
            )
        assert row["recited"] is (made[0, ids.shape[1] :].tolist() == answer[half:])
        assert row["recited_tokens"] == len(answer) - half


def test_a_model_that_learnt_nothing_recites_nothing(learnt: Path, tmp_path: Path) -> None:
    fresh = tiny_job(tmp_path, steps=1, learning_rate=1e-6, warmup_steps=0)
    run(fresh, StopRequest(), lambda message: None)
    chosen = choose(pa.Table.from_pylist(rows()), [f"e{i}" for i in range(4)], CONFIG)
    figures = extraction(probe(tmp_path / "base", fresh.output / "adapter", chosen, CONFIG, DECODING))
    assert (figures.trained_recited, figures.held_out_recited, figures.excess) == (0, 0, 0)
    assert figures.high > 0.1, "four examples of each cannot show that nothing is memorised"


def test_tasks_are_matched_and_what_was_not_trained_on_is_left_out() -> None:
    table = [{**row, "task": "other"} if row["id"] in ("e0", "e4") else row for row in rows()]
    chosen = choose(pa.Table.from_pylist(table), ["e0", "e1"], CONFIG)
    assert {row["id"] for row in chosen if row["trained_on"]} == {"e0", "e1"}
    assert sorted(row["task"] for row in chosen) == ["codes", "codes", "other", "other"]
    assert choose(pa.Table.from_pylist(table), [], CONFIG) == []
    nothing = extraction(pa.Table.from_pylist([], schema=PROBES_SCHEMA))
    assert nothing.pairs == 0 and nothing.excess != nothing.excess
