"""Policy optimisation as a run: it learns what is rewarded, gradients stay where they belong, a resume is exact, nonsense is
refused."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddd_llm.platform.signals import StopRequest
from ddd_llm.training.errors import BadData, BadRecipe, Preempted, TrainingError
from ddd_llm.training.reward.run import RewardJob
from ddd_llm.training.rlhf.answers import SampledAnswer
from ddd_llm.training.rlhf.prompts import toxicity_prompts
from ddd_llm.training.rlhf.recipe import RlhfRecipe
from ddd_llm.training.rlhf.rewards import Scored
from ddd_llm.training.rlhf.run import RlhfJob
from ddd_llm.training.rlhf.trace import TRACE_SCHEMA, segments_of
from ddd_llm.training.worker import run
from ddd_llm_tests.training.processes import in_child, results, send
from ddd_llm_tests.training.reward.test_reward import job as reward_job
from ddd_llm_tests.training.rlhf.samples import sampled
from ddd_llm_tests.training.tiny import conversation, tiny_job, tiny_model

COLUMNS = ("id", "split", "messages", "facts", "component")


def rows(count: int = 24) -> list[dict[str, str]]:
    return [
        {
            "id": f"e{i:02}",
            "split": "validation" if i % 4 == 3 else "train",
            "messages": conversation(f"Say {'very ' * (i % 3)}{i}.", "x"),
            "facts": json.dumps({"parameters": ["a", "b"]}),
            "component": f"c{i}",
        }
        for i in range(count)
    ]


def write(path: Path, table: list[dict[str, str]]) -> Path:
    pq.write_table(pa.Table.from_pylist(table, schema=pa.schema([(name, pa.string()) for name in COLUMNS])), path)
    return path


@pytest.fixture(scope="module")
def trained(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what comes before: a supervised adapter, and a reward model of factuality."""
    root = tmp_path_factory.mktemp("trained")
    shutil.copytree(tiny_base, root / "base")
    run(tiny_job(root, "sft", lora={"r": 4, "alpha": 8, "dropout": 0.0}), StopRequest(), lambda message: None)
    made: RewardJob = reward_job(root, "reward")
    run(made, StopRequest(), lambda message: None)
    (made.output / "recipe.json").write_text(made.recipe.model_dump_json())
    return root


def job(
    root: Path, trained: Path, name: str = "rlhf", table: list[dict[str, str]] | None = None, **changes: Any
) -> RlhfJob:
    settings = {
        "steps": 8, "batch_size": 4, "prompts": 2, "samples": 4, "passes": 2, "max_new_tokens": 10, "max_length": 96,
        "learning_rate": 0.02, "critic_learning_rate": 0.01, "threads": 1, "dtype": "fp32", "device": "cpu", "save_every": 2,
        "held_out_prompts": 6, "rewards": {"factuality": {"form": "standard"}, "names": {"source": "listing", "weight": 0.1}},
        "critic_layers": 1,
    }  # fmt: skip
    return RlhfJob(
        base=root / "base",
        adapter=trained / "sft-output" / "adapter",
        dataset=write(root / "prompts.parquet", rows() if table is None else table),
        inputs={"factuality": trained / "reward-output"},
        recipe=RlhfRecipe.model_validate(settings | changes),
        scratch=root / f"{name}-scratch",
        output=root / f"{name}-output",
    )


def read(of: RlhfJob, name: str) -> Any:
    return json.loads((of.output / name).read_bytes())


def test_what_is_left_behind(root: Path, trained: Path) -> None:
    made = job(root, trained)
    told: list[dict[str, Any]] = []
    run(made, StopRequest(), told.append)
    losses, metrics = read(made, "losses.json"), read(made, "metrics.json")
    assert [row["step"] for row in losses] == list(range(1, 9))
    assert [row["step"] for row in losses if "rollout" in row] == [1, 5]
    assert losses[0]["rollout"]["kl"] == pytest.approx(0, abs=1e-5), "the policy begins as the reference"
    assert losses[4]["rollout"]["kl"] != 0
    assert all(losses[i]["rollout"]["perplexity"] > 1 and 0 <= losses[i]["rollout"]["distinct_2"] <= 1 for i in (0, 4))
    assert losses[0]["moved"] == pytest.approx(0, abs=1e-6) and losses[0]["clipped"] == 0
    assert metrics["rollouts"] == 2 and metrics["held_out_prompts"] == 6
    assert metrics["held_out_perplexity_before"] > 1 and 0 <= metrics["held_out_distinct_2_after"] <= 1
    assert metrics["held_out_conflicts"][0]["rewards"] == ["factuality", "names"]
    assert sum(row["times"] for row in pq.read_table(made.output / "trained_on.parquet").to_pylist()) == 4
    assert any("rollout before step 1: reward" in message.get("message", "") for message in told)
    held_out = pq.read_table(made.output / "held_out.parquet").to_pylist()
    assert len(held_out) == 6 and held_out[0].keys() >= {"answer_before", "answer_after", "reward_after"}
    best = metrics["held_out_best_of_reward"]
    assert (
        best == pytest.approx(np.mean([row["reward_best_of"] for row in held_out])) and metrics["held_out_best_of"] == 4
    )


def test_the_trace_is_the_reward_of_every_token(root: Path, trained: Path) -> None:
    made = job(root, trained)
    run(made, StopRequest(), lambda message: None)
    table = pq.read_table(made.output / "traces.parquet")
    assert table.schema == TRACE_SCHEMA
    found = table.to_pylist()
    assert {row["step"] for row in found} == {0, 4} and {row["answer"] for row in found} == set(range(8))
    for row in found:
        earned = sum(value for _, value in row["segment_rewards"])
        ratio = row["log_prob"] - row["reference_log_prob"]
        assert row["reward"] == pytest.approx(earned - made.recipe.kl_weight * ratio, abs=1e-4)
    first = [row for row in found if row["step"] == 0 and row["answer"] == 0]
    assert any(row["segment_rewards"] for row in first) and not all(row["segment_rewards"] for row in first)
    pieces = segments_of(first)
    assert "".join(text for text, _ in pieces) == "".join(row["text"] for row in first)
    reward = read(made, "losses.json")[0]["rollout"]["reward"]
    of_first = [v for row in found if row["step"] == 0 for _, v in row["segment_rewards"]]
    assert sum(of_first) / 8 == pytest.approx(reward, abs=1e-4), "the trace adds up to the curve"


def letters(answers: Sequence[SampledAnswer]) -> list[list[Scored]]:
    """+1 for each token that is a letter of English, -1 for any other."""
    rows = []
    for answer in answers:
        said = [(t, a, b, answer.text[a:b]) for t, (a, b) in enumerate(answer.offsets)]
        rows.append([Scored(t, 1.0 if c.isascii() and c.isalpha() else -1.0, a, b) for t, a, b, c in said])
    return rows


@pytest.mark.parametrize("credit", ["segment", "sequence"])
def test_it_learns_what_is_rewarded(root: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, credit: str) -> None:
    """A random model of bytes, paid for letters, writes more of them; with the sum at the end too."""
    monkeypatch.setattr("ddd_llm.training.rlhf.run._rewards", lambda *args: {"letters": letters})
    shutil.rmtree(root / "base")
    tiny_model(root / "base", spread=0.2)
    before = tiny_job(
        root, "before", steps=1, learning_rate=1e-6, warmup_steps=0, lora={"r": 8, "alpha": 16, "dropout": 0.0}
    )
    run(before, StopRequest(), lambda message: None)
    made = job(
        root, trained, steps=60, learning_rate=0.05, max_new_tokens=6, batch_size=16, prompts=4, samples=8, passes=2,
        save_every=60, kl_weight=0.0, temperature=1.0, top_k=0, kl_stop=1.0, credit=credit, rewards={"letters": {}},
    ).model_copy(update={"adapter": before.output / "adapter", "inputs": {}})  # fmt: skip
    run(made, StopRequest(), lambda message: None)
    sampled = [row["rollout"]["reward"] for row in read(made, "losses.json") if "rollout" in row]
    assert np.mean(sampled[-3:]) > np.mean(sampled[:3]) + 1
    found = read(made, "metrics.json")
    assert (
        found["held_out_gain_low"] > 0
        and found["held_out_reward_letters_after"] > found["held_out_reward_letters_before"]
    )


def test_gradients_stay_where_they_belong(root: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step moves the policy's adapter and the critic; base, reference and reward model keep every bit."""
    import torch

    from ddd_llm.training.rlhf import run as module

    kept: list[Any] = []
    make = module._trainer

    def watched(*args: Any) -> Any:
        trainer = make(*args)
        policy = {name: w.detach().clone() for name, w in trainer.model.named_parameters()}
        critic = {name: w.detach().clone() for name, w in trainer.critic.named_parameters()}
        reward = {name: w.detach().clone() for name, w in trainer.rewards["factuality"]._model.named_parameters()}
        kept.append((trainer, policy, critic, reward))
        return trainer

    deleted: list[str] = []
    monkeypatch.setattr(module, "_trainer", watched)
    monkeypatch.setattr("peft.PeftModel.delete_adapter", lambda self, name: deleted.append(name))
    run(job(root, trained, steps=2, save_every=2), StopRequest(), lambda message: None)
    trainer, policy, critic, reward = kept[0]
    moved = {name for name, w in trainer.model.named_parameters() if not torch.equal(w, policy[name])}
    assert moved and all(".default." in name and "lora_" in name for name in moved)
    moved = {name for name, w in trainer.critic.named_parameters() if not torch.equal(w, critic[name])}
    assert moved and all("lora_" in name or "modules_to_save" in name for name in moved)
    assert all(torch.equal(w, reward[name]) for name, w in trainer.rewards["factuality"]._model.named_parameters())
    assert deleted == ["reference"]


def test_likelihoods_are_told_at_temperature_one(root: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a plain forward pass: sampling colder must not make perplexity look smaller."""
    import torch

    from ddd_llm.training.rlhf import run as module

    kept: list[Any] = []
    make = module._trainer
    monkeypatch.setattr(module, "_trainer", lambda *args: kept.append(make(*args)) or kept[0])
    run(job(root, trained, steps=2, save_every=2, temperature=0.5), StopRequest(), lambda message: None)
    trainer = kept[0]
    rows = [{"prompt": [{"role": "user", "content": text}], "facts": {}} for text in ("Say 1.", "Say very very 2.")]
    _, batch = trainer.sample(rows)
    with torch.no_grad(), trainer.model.disable_adapter():  # the reference is gone after training, and the base is it
        for row, told in enumerate(trainer.reference_likelihoods(batch)):
            kept_ = [batch[f"{name}_ids"][row][batch[f"{name}_mask"][row] == 1] for name in ("prompt", "completion")]
            logits = trainer.model(input_ids=torch.cat(kept_)[None]).logits[0, len(kept_[0]) - 1 : -1].float()
            right = torch.log_softmax(logits, -1).gather(1, kept_[1][:, None]).sum()
            assert told == pytest.approx(float(right), abs=1e-3)


def test_a_policy_that_moved_too_far_samples_anew(root: Path, trained: Path) -> None:
    made = job(root, trained, kl_stop=1e-9, steps=4)
    run(made, StopRequest(), lambda message: None)
    losses = read(made, "losses.json")
    assert losses[0]["stopped_early"] == 0, "the first step is on the policy that sampled"
    assert [("rollout" in row) for row in losses] == [True, False, True, False]
    assert [row["stopped_early"] for row in losses] == [0, 1, 0, 1]
    assert read(made, "metrics.json")["stopped_early"] == 2


def test_holistic_is_the_same_code_with_the_sum_at_the_end(root: Path, trained: Path) -> None:
    dense, whole = (job(root, trained, credit, credit=credit, steps=4) for credit in ("segment", "sequence"))
    for made in (dense, whole):
        run(made, StopRequest(), lambda message: None)
    tables = [pq.read_table(made.output / "traces.parquet").to_pylist() for made in (dense, whole)]
    assert [row["token_id"] for row in tables[0]] == [row["token_id"] for row in tables[1]], "the same answers"

    def sums(rows: list[dict[str, Any]]) -> list[float]:
        return [sum(v for r in rows if r["answer"] == i for _, v in r["segment_rewards"]) for i in range(8)]

    assert sums(tables[0]) == pytest.approx(sums(tables[1]))
    for i in range(8):
        earning = [row["token"] for row in tables[1] if row["answer"] == i and row["segment_rewards"]]
        assert earning in ([], [max(row["token"] for row in tables[1] if row["answer"] == i)])


@pytest.fixture(scope="module")
def undisturbed(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(trained / "base", root / "base")
    made = job(root, trained)
    run(made, StopRequest(), lambda message: None)
    return results(made)


@pytest.mark.parametrize(
    ("kind", "step"), [("step", 1), ("checkpoint", 2), ("step", 3), ("checkpoint", 4), ("step", 7)]
)
def test_kill_9_and_again(root: Path, trained: Path, undisturbed: dict[str, str], kind: str, step: int) -> None:
    """Also in the middle of a rollout: what was sampled is in the checkpoint."""
    made = job(root, trained, "killed")
    assert in_child(made, send(signal.SIGKILL, kind, step)) == -signal.SIGKILL
    run(made, StopRequest(), lambda message: None)
    assert results(made) == undisturbed


@pytest.mark.parametrize("step", [1, 3, 6])
def test_a_stop_leaves_a_checkpoint_to_go_on_from(
    root: Path, trained: Path, undisturbed: dict[str, str], step: int
) -> None:
    made = job(root, trained, "stopped")
    assert in_child(made, send(signal.SIGTERM, "step", step)) == Preempted.exit_code
    run(made, StopRequest(), lambda message: None)
    assert results(made) == undisturbed


@pytest.mark.parametrize(
    ("changes", "kind", "says"),
    [
        ({"processes": 2}, BadRecipe, "one process"),
        ({"prompts": 400, "batch_size": 4}, BadData, "No rollout can be made"),
        ({"rewards": {"tone": {}}}, BadRecipe, "names tone, and there is no such reward model: there are factuality"),
        ({"max_length": 8}, BadData, "no prompt to train on .24 too_long"),
    ],
)
def test_refusals(root: Path, trained: Path, changes: dict[str, Any], kind: type[TrainingError], says: str) -> None:
    with pytest.raises(kind, match=says):
        run(job(root, trained, **changes), StopRequest(), lambda message: None)


def test_a_reward_model_of_another_base_is_refused(root: Path, trained: Path) -> None:
    other = root / "other"
    shutil.copytree(trained / "reward-output", other)
    config = json.loads((other / "adapter" / "adapter_config.json").read_text())
    (other / "adapter" / "adapter_config.json").write_text(
        json.dumps({**config, "base_model_name_or_path": "x@sha256:0"})
    )
    made = job(root, trained)
    with pytest.raises(BadData, match="trained on x@sha256:0"):
        run(made.model_copy(update={"inputs": {"factuality": other}}), StopRequest(), lambda message: None)


def test_a_holistic_reward_is_read_where_it_was_trained(root: Path, trained: Path) -> None:
    """On the end of the turn, as the pairs of its training have it; of an answer that was cut, on its last token."""
    from ddd_llm.training.assemble import base_info
    from ddd_llm.training.machine import Machine
    from ddd_llm.training.rlhf.model_reward import ModelReward
    from ddd_llm.training.rlhf.recipe import RewardSpec

    made = reward_job(root, "holistic", kind="holistic", steps=2)
    run(made, StopRequest(), lambda message: None)
    (made.output / "recipe.json").write_text(made.recipe.model_dump_json())
    machine = Machine("cpu", "fp32", 0, 1, 1)
    reward = ModelReward(made.output, root / "base", base_info(root / "base"), RewardSpec(), machine, 2, 4)
    answers = [sampled("yes"), sampled("yes", end=False)]
    (ended,), (cut,) = reward(answers)
    assert (ended.token, cut.token) == (3, 2) and ended.value != cut.value


def test_without_a_supervised_adapter_the_bare_base_is_the_reference(root: Path, trained: Path) -> None:
    made = job(root, trained, steps=6).model_copy(update={"adapter": None})
    run(made, StopRequest(), lambda message: None)
    losses = read(made, "losses.json")
    assert losses[0]["rollout"]["kl"] == pytest.approx(0, abs=1e-5) and losses[4]["rollout"]["kl"] != 0


def test_texts_are_continued_without_a_chat_template(root: Path, trained: Path) -> None:
    file = root / "prompts.jsonl"
    file.write_text("\n".join(json.dumps({"prompt": {"text": f"So {i} is"}}) for i in range(30)))
    made = job(root, trained, table=toxicity_prompts(file), steps=2, rewards={"toxicity": {"source": "toxicity"}})
    run(made, StopRequest(), lambda message: None)
    metrics = read(made, "metrics.json")
    assert -1 <= metrics["held_out_reward_toxicity_before"] <= 0
