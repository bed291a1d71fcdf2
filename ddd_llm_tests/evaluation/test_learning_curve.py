"""The learning curve: nested parts with steps in proportion, losses as the model's own, and the gain of each step."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ddd_llm.evaluation.curve_page import curve_picture, mean_by_size
from ddd_llm.evaluation.generate import GenerationConfig
from ddd_llm.evaluation.learning_curve import LOSSES_SCHEMA, CurveConfig, gains, losses, parts
from ddd_llm.platform.signals import StopRequest
from ddd_llm.training.recipe import SftRecipe
from ddd_llm.training.worker import run
from ddd_llm_tests.training.tiny import conversation, tiny_job, tiny_model

DECODING = GenerationConfig(dtype="float32", device="cpu")


def examples(count: int) -> pa.Table:
    """Every third one is held out."""
    rows = [
        {
            "id": f"e{i}",
            "split": "validation" if i % 3 == 2 else "train",
            "component": f"m{i // 6}",
            "messages": conversation(f"What is {i} times {i}?", f"It is {i * i}."),
        }
        for i in range(count)
    ]
    return pa.Table.from_pylist(rows)


@given(
    st.integers(1, 200),
    st.lists(st.floats(0.01, 0.99), max_size=4, unique=True),
    st.integers(1, 8),
    st.integers(1, 200),
    st.integers(0, 50),
)
def test_parts_are_nested_and_steps_shrink_with_them(
    count: int, fractions: list[float], batch: int, steps: int, warmup: int
) -> None:
    recipe = SftRecipe(steps=steps, batch_size=batch, warmup_steps=min(warmup, steps - 1))
    table = examples(count)
    trained = [f"e{i}" for i in range(count) if i % 3 != 2]
    found = parts(table, trained, recipe, CurveConfig(fractions=tuple(sorted(fractions))))
    for part in found:
        assert batch <= len(part.ids) < len(trained) and set(part.ids) <= set(trained)
        assert part.recipe.steps == max(1, round(steps * len(part.ids) / len(trained)))
        assert part.recipe.eval_every == 0 and part.recipe.learning_rate == recipe.learning_rate
    for smaller, larger in pairwise(found):
        assert set(smaller.ids) < set(larger.ids)
    turned = table.take(list(reversed(range(count))))
    assert parts(turned, trained[::-1], recipe, CurveConfig(fractions=tuple(sorted(fractions)))) == found


@pytest.mark.parametrize("fractions", [[0.5, 0.25], [0.5, 0.5], [0], [1], [float("nan")]])
def test_fractions_rise_between_0_and_1(fractions: list[float]) -> None:
    with pytest.raises(ValidationError):
        CurveConfig.model_validate({"fractions": fractions})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model after few steps."""
    root = tmp_path_factory.mktemp("curve")
    tiny_model(root / "base", spread=0.2)
    table = examples(30).select(["id", "split", "messages"]).to_pylist()
    job = tiny_job(root, rows=table, steps=20, batch_size=4, learning_rate=0.005, eval_every=0, eval_examples=0)
    run(job, StopRequest(), lambda message: None)
    return root


def test_losses_are_those_that_the_models_themselves_give(trained: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    adapter = trained / "run-output" / "adapter"
    told: list[tuple[int, int]] = []
    config = CurveConfig(held_out=8, batch_size=3)
    found = losses(trained / "base", {20: adapter}, examples(30), 512, config, DECODING, lambda *x: told.append(x))
    assert found.schema == LOSSES_SCHEMA and told[-1] == (16, 16)
    rows = found.to_pylist()
    ids = {size: [row["id"] for row in rows if row["examples"] == size] for size in (0, 20)}
    assert ids[0] == ids[20] and len(set(ids[0])) == 8
    by_id = {row["id"]: row for row in examples(30).to_pylist()}
    assert all(by_id[name]["split"] == "validation" for name in ids[0])
    tokenizer = AutoTokenizer.from_pretrained(trained / "base")
    base: Any = AutoModelForCausalLM.from_pretrained(trained / "base")
    model: Any = PeftModel.from_pretrained(base, str(adapter)).eval()
    for row in rows:
        messages = json.loads(by_id[row["id"]]["messages"])
        asked = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
        whole = tokenizer.apply_chat_template(messages, tokenize=False).rstrip("\n")
        cut = len(tokenizer(asked, add_special_tokens=False)["input_ids"])
        tokens = torch.tensor([tokenizer(whole, add_special_tokens=False)["input_ids"]])
        labels = tokens.clone()
        labels[:, :cut] = -100
        with torch.no_grad():
            if row["examples"]:
                expected = model(input_ids=tokens, labels=labels).loss
            else:
                with model.disable_adapter():
                    expected = model(input_ids=tokens, labels=labels).loss
        assert row["nats"] == pytest.approx(float(expected), abs=1e-4)
    (step,) = gains(found)
    assert step.gain.delta > 0, "training on such answers helps with such answers"


def test_too_long_examples_are_passed_over_and_nothing_held_out_is_no_error(trained: Path) -> None:
    none = losses(trained / "base", {}, examples(30), 8, CurveConfig(held_out=8), DECODING)
    assert none.num_rows == 0 and gains(none) == [] and mean_by_size(none) == {}


def test_the_gain_of_each_step_is_paired_and_given_per_doubling() -> None:
    nats = {0: [4.0, 6.0], 10: [2.0, 3.0], 40: [1.0, 1.0]}
    rows = [
        {"id": name, "component": name, "examples": size, "nats": value}
        for size, values in nats.items()
        for name, value in zip("ab", values, strict=True)
    ]
    first, second = gains(pa.Table.from_pylist(rows, schema=LOSSES_SCHEMA))
    assert (first.before, first.after, first.gain.delta, first.per_doubling) == (0, 10, 2.5, None)
    assert (second.gain.delta, second.gain.low, second.gain.high) == (1.5, 1.0, 2.0)
    assert second.per_doubling == (0.75, 0.5, 1.0)
    means = mean_by_size(pa.Table.from_pylist(rows, schema=LOSSES_SCHEMA))
    assert means == {0: 5.0, 10: 2.5, 40: 1.0}
    picture = curve_picture(means)
    assert picture.startswith(b"\x89PNG") and picture == curve_picture(means)
