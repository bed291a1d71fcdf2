"""Preference training: its loss and its reference are what they should be, it learns, resumes exactly, and refuses nonsense."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddd_llm.platform.signals import StopRequest
from ddd_llm.training.dpo import DpoJob
from ddd_llm.training.dpo_results import held_out_figures, paired_gain
from ddd_llm.training.errors import BadData, BadRecipe, Preempted, TrainingError
from ddd_llm.training.preferences import EncodedPair, read_pairs
from ddd_llm.training.recipe import DpoRecipe
from ddd_llm.training.worker import run
from ddd_llm_tests.training.processes import in_child, results, send
from ddd_llm_tests.training.tiny import conversation, tiny_job, tiny_tokenizer

COLUMNS = ("id", "prompt", "chosen", "rejected", "component", "split")


def pair(i: int, split: str = "train", **changes: str) -> dict[str, str]:
    prompt = json.dumps([{"role": "user", "content": f"Say number {i}."}])
    row = {"id": f"p{i:03}", "prompt": prompt, "chosen": f"{i} yes", "rejected": f"{i} no", "component": f"c{i}"}
    return {**row, "split": split, **changes}


def rows() -> list[dict[str, str]]:
    return [pair(i, "held_out" if i % 4 == 3 else "train") for i in range(32)]


def write(path: Path, table: list[dict[str, str]]) -> Path:
    pq.write_table(pa.Table.from_pylist(table, schema=pa.schema([(name, pa.string()) for name in COLUMNS])), path)
    return path


@pytest.fixture(scope="module")
def supervised(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that supervised training left on the tiny base."""
    import shutil

    root = tmp_path_factory.mktemp("supervised")
    shutil.copytree(tiny_base, root / "base")
    job = tiny_job(root, "sft", lora={"r": 4, "alpha": 8, "dropout": 0.0})
    run(job, StopRequest(), lambda message: None)
    return job.output / "adapter"


def job(
    root: Path, supervised: Path, name: str = "dpo", table: list[dict[str, str]] | None = None, **changes: Any
) -> DpoJob:
    settings = {
        "steps": 6, "batch_size": 2, "max_length": 96, "learning_rate": 0.02, "warmup_steps": 0, "threads": 1,
        "dtype": "fp32", "device": "cpu", "save_every": 2, "sft_weight": 0,
    }  # fmt: skip
    return DpoJob(
        base=root / "base",
        adapter=supervised,
        dataset=write(root / "pairs.parquet", rows() if table is None else table),
        recipe=DpoRecipe.model_validate(settings | changes),
        scratch=root / f"{name}-scratch",
        output=root / f"{name}-output",
    )


def losses(of: DpoJob) -> list[dict[str, Any]]:
    return json.loads((of.output / "losses.json").read_bytes())


def metrics(of: DpoJob) -> dict[str, Any]:
    return json.loads((of.output / "metrics.json").read_bytes())


def test_the_reference_is_the_supervised_model(root: Path, supervised: Path) -> None:
    made = job(root, supervised, steps=2)
    run(made, StopRequest(), lambda message: None)
    first = losses(made)[0]
    assert first["loss"] == pytest.approx(np.log(2), abs=1e-6)
    assert first["reward_margin"] == 0.0, "before the first step policy and reference are the same, bit for bit"


def test_the_loss_is_the_formula(root: Path, supervised: Path) -> None:
    """Recomputed from log-likelihoods by plain transformers and peft: -log sigmoid(beta (margin - reference margin))."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    table = [pair(0), pair(1)]
    made = job(root, supervised, table=table, steps=3, batch_size=2, beta=0.3)
    run(made, StopRequest(), lambda message: None)

    def log_likelihood(adapter: Path, prompt_ids: list[int], ids: list[int]) -> float:
        base = AutoModelForCausalLM.from_pretrained(root / "base", dtype=torch.float32)
        model = PeftModel.from_pretrained(base, str(adapter)).eval()
        whole = torch.tensor([prompt_ids + ids])
        with torch.no_grad():
            found = torch.log_softmax(model(whole).logits[0, :-1].float(), -1)
        start = len(prompt_ids) - 1
        return float(sum(found[start + k, token] for k, token in enumerate(ids)))

    # One step fewer gives the policy that the last loss was computed with.
    shorter = job(
        root, supervised, "shorter", table=table, steps=2, batch_size=2, beta=0.3, scheduler="constant_with_warmup"
    )
    longer = job(
        root, supervised, "longer", table=table, steps=3, batch_size=2, beta=0.3, scheduler="constant_with_warmup"
    )
    for one in (shorter, longer):
        run(one, StopRequest(), lambda message: None)
    pairs = read_pairs(made.dataset, tiny_tokenizer(), 96, 10).train
    expected = []
    for p in pairs:
        ratios = [
            log_likelihood(shorter.output / "adapter", p.prompt_ids, ids)
            - log_likelihood(supervised, p.prompt_ids, ids)
            for ids in (p.chosen_ids, p.rejected_ids)
        ]
        expected.append(np.log1p(np.exp(-0.3 * (ratios[0] - ratios[1]))))
    assert losses(longer)[2]["loss"] == pytest.approx(np.mean(expected), rel=1e-4)


def test_it_learns_what_is_preferred_and_holds_it_against_the_supervised_model(root: Path, supervised: Path) -> None:
    made = job(root, supervised, steps=60, learning_rate=0.005, save_every=60, beta=0.3)
    run(made, StopRequest(), lambda message: None)
    found = metrics(made)
    assert found["train_loss_last_10"] < 0.7 * found["train_loss_first"]
    assert found["held_out_accuracy_after"] == 1.0 > found["held_out_accuracy_before"]
    assert found["held_out_gain_low"] > 0
    assert found["held_out_pairs"] == 8
    assert found["held_out_reward_accuracy"] == 1.0
    table = pq.read_table(made.output / "held_out.parquet")
    assert table.num_rows == 8
    after = np.array(table["chosen_logp_after"]) / np.array(table["chosen_tokens"])
    before = np.array(table["chosen_logp_before"]) / np.array(table["chosen_tokens"])
    assert found["held_out_chosen_change"] == pytest.approx(float((after - before).mean()))
    trained = pq.read_table(made.output / "trained_on.parquet")
    assert set(trained["id"].to_pylist()) <= {r["id"] for r in rows() if r["split"] == "train"}
    assert sum(trained["times"].to_pylist()) == 120


def test_the_chosen_answers_likelihood_can_be_held_up(root: Path, supervised: Path) -> None:
    plain, held = (
        job(root, supervised, name, steps=30, learning_rate=0.02, save_every=30, sft_weight=weight)
        for name, weight in (("plain", 0), ("held", 1.0))
    )
    for one in (plain, held):
        run(one, StopRequest(), lambda message: None)
    assert metrics(held)["held_out_chosen_nats_after"] > metrics(plain)["held_out_chosen_nats_after"]
    assert losses(held)[0]["loss"] > losses(plain)[0]["loss"]


def test_the_adapter_is_read_as_the_supervised_one_is(root: Path, supervised: Path) -> None:
    from ddd_llm.evaluation.generate import GenerationConfig, answers_for

    made = job(root, supervised)
    run(made, StopRequest(), lambda message: None)
    adapter = made.output / "adapter"
    assert {p.name for p in adapter.iterdir()} == {p.name for p in supervised.iterdir()}
    prompts = pa.table({"id": ["a"], "prompt": [json.dumps([{"role": "user", "content": "Say number 1."}])]})
    config = GenerationConfig(max_new_tokens=4, dtype="float32", device="cpu")
    found = answers_for(root / "base", {"sft": supervised, "dpo": adapter}, prompts, config)
    assert set(found) == {"sft", "dpo"}


@pytest.fixture(scope="module")
def undisturbed(tiny_base: Path, supervised: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    import shutil

    root = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(tiny_base, root / "base")
    made = job(root, supervised)
    run(made, StopRequest(), lambda message: None)
    return results(made)


@pytest.mark.parametrize(("kind", "step"), [("step", 1), ("step", 3), ("checkpoint", 4), ("step", 6)])
def test_kill_9_and_again(root: Path, supervised: Path, undisturbed: dict[str, str], kind: str, step: int) -> None:
    made = job(root, supervised, "killed")
    assert in_child(made, send(signal.SIGKILL, kind, step)) == -signal.SIGKILL
    heard: list[dict[str, Any]] = []
    run(made, StopRequest(), heard.append)
    assert results(made) == undisturbed
    assert next(m["step"] for m in heard if m["kind"] == "step") == {1: 1, 3: 3, 4: 5, 6: 5}[step]


def test_sigterm_and_again(root: Path, supervised: Path, undisturbed: dict[str, str]) -> None:
    made = job(root, supervised, "stopped")
    assert in_child(made, send(signal.SIGTERM, "step", 3)) == Preempted.exit_code
    run(made, StopRequest(), lambda message: None)
    assert results(made) == undisturbed


def test_pairs_that_cannot_be_learnt_from_are_refused_and_counted(root: Path) -> None:
    table = [
        pair(0),
        pair(0),
        pair(1, chosen="same", rejected="same"),
        pair(2, chosen="long " * 60),
        pair(3, prompt="{"),
        pair(4, prompt='"text"'),
        pair(5, rejected=" "),
        pair(6, id=""),
        pair(7, split="held_out"),
    ]
    found = read_pairs(write(root / "pairs.parquet", table), tiny_tokenizer(), 96, 10)
    assert [p.id for p in found.train] == ["p000"]
    assert [p.id for p in found.held_out] == ["p007"]
    assert found.refusals() == {
        "duplicate_id": 1, "malformed_messages": 2, "no_assistant_answer": 1, "no_id": 1, "same_answers": 1, "too_long": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("table", "changes", "kind", "says"),
    [
        ([], {}, BadData, "No preference pair of split train"),
        ([pair(0, "held_out")], {}, BadData, "No preference pair of split train"),
        ([pair(0)], {}, BadData, "No batch can be made"),
        (None, {"processes": 2}, BadRecipe, "runs in one process"),
    ],
)
def test_refusals(
    root: Path, supervised: Path, table: list | None, changes: dict, kind: type[TrainingError], says: str
) -> None:
    with pytest.raises(kind, match=says):
        run(job(root, supervised, table=table, **changes), StopRequest(), lambda message: None)


def test_an_adapter_of_another_base_is_refused(root: Path, supervised: Path, tmp_path: Path) -> None:
    import shutil

    other = tmp_path / "other"
    shutil.copytree(supervised, other)
    config = json.loads((other / "adapter_config.json").read_text())
    (other / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "x@sha256:0"}))
    with pytest.raises(BadData, match="was trained on x@sha256:0"):
        run(job(root, other), StopRequest(), lambda message: None)
    with pytest.raises(BadRecipe, match="names none"):
        run(job(root, supervised).model_copy(update={"adapter": None}), StopRequest(), lambda message: None)
    with pytest.raises(BadData, match="cannot be read"):
        run(job(root, tmp_path / "nowhere"), StopRequest(), lambda message: None)


def test_figures_of_known_likelihoods() -> None:
    pairs = [EncodedPair(f"p{i}", f"c{i // 2}", [1], [1] * 2, [1] * 4) for i in range(4)]
    before = [(-4.0, -6.0), (-2.0, -8.0), (-6.0, -4.0), (-4.0, -8.0)]
    after = [(-3.0, -8.0), (-2.0, -9.0), (-2.0, -8.0), (-4.0, -8.0)]
    found = held_out_figures(pairs, before, after, 0.5, 0.5)
    # Per token: -2 against -1.5, -1 against -2, -3 against -1, -2 against -2.
    assert found["accuracy_before"] == pytest.approx((0 + 1 + 0 + 0.5) / 4)
    assert found["accuracy_after"] == pytest.approx((1 + 1 + 1 + 0.5) / 4)
    assert found["accuracy_sum_before"] == pytest.approx(3 / 4)
    assert found["gain"] == pytest.approx(0.5)
    assert found["margin_before"] == pytest.approx(np.mean([-2 + 1.5, -1 + 2, -3 + 1, -2 + 2]))
    assert found["margin_after"] == pytest.approx(np.mean([-1.5 + 2, -1 + 2.25, -1 + 2, -2 + 2]))
    assert found["margin_gain"] == pytest.approx(found["margin_after"] - found["margin_before"])
    assert found["reward_margin"] == pytest.approx(0.5 * np.mean([3, 1, 8, 0]))
    assert found["reward_accuracy"] == pytest.approx(3 / 4)
    assert found["chosen_change"] == pytest.approx(np.mean([0.5, 0, 2, 0]))
    assert found["collapsed"] is False
    assert held_out_figures(pairs, before, [(c - 2, r) for c, r in before], 0.5, 0.5)["collapsed"] is True
    assert held_out_figures([], [], [], 0.5, 0.5) == {}


def test_the_interval_resamples_components() -> None:
    random = np.random.default_rng(0)
    change = np.repeat(random.normal(0.1, 0.5, 20), 10)
    groups = [f"c{i // 10}" for i in range(200)]
    clustered = paired_gain(np.zeros(200), change, groups)
    single = paired_gain(np.zeros(200), change, [str(i) for i in range(200)])
    assert clustered.low is not None and clustered.high is not None
    assert single.low is not None and single.high is not None
    assert clustered.high - clustered.low > 2 * (single.high - single.low)
    assert clustered.minimum_detectable is not None and clustered.minimum_detectable > 0.2
    assert paired_gain(np.zeros(3), np.ones(3), ["a"] * 3).low is None


def test_conversations_and_pairs_share_one_rendering() -> None:
    """What is preferred is encoded exactly as it is in supervised training."""
    from ddd_llm.training.examples import encode, parse_messages

    tokenizer = tiny_tokenizer()
    single = encode("x", parse_messages(conversation("Say number 0.", "0 yes")), tokenizer, 96)
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        (found,) = read_pairs(write(Path(folder) / "p.parquet", [pair(0)]), tokenizer, 96, 0).train
    assert found.prompt_ids + found.chosen_ids == single.input_ids
