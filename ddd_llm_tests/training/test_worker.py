"""A whole run in this process: what it leaves, that it leaves it again, and how it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ddd_llm.platform.signals import StopRequest
from ddd_llm.training.errors import BadData, BadRecipe, Crashed, DiskFull, NonFiniteLoss, OutOfMemory, TrainingError
from ddd_llm.training.examples import Encoded
from ddd_llm.training.files import folder_files
from ddd_llm.training.job import TrainingJob
from ddd_llm.training.probe import compare_probe
from ddd_llm.training.trainer import ResponseTrainer
from ddd_llm.training.worker import as_training_error, main, run
from ddd_llm_tests.training.tiny import conversation, tiny_job, tiny_rows

TIMES = "timings.json"


def deterministic(folder: Path) -> dict[str, str]:
    return {name: sha for name, sha in folder_files(folder).items() if name != TIMES}


def run_heard(job: TrainingJob) -> list[dict[str, Any]]:
    heard: list[dict[str, Any]] = []
    run(job, StopRequest(), heard.append)
    return heard


def test_two_runs_leave_the_same_bytes(root: Path) -> None:
    first, second = tiny_job(root, "a"), tiny_job(root, "b")
    heard = run_heard(first)
    run_heard(second)
    assert deterministic(first.output) == deterministic(second.output)
    assert sorted(folder_files(first.output)) == [
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "losses.json",
        "metrics.json",
        "probe.safetensors",
        "refused.parquet",
        TIMES,
        "trained_on.parquet",
    ]
    assert [m["step"] for m in heard if m["kind"] == "step"] == [1, 2, 3, 4, 5, 6]
    assert not list(root.glob("*.part"))
    assert all(isinstance(value, float) for value in json.loads((first.output / TIMES).read_text()).values())


def test_another_seed_leaves_other_weights(root: Path) -> None:
    first, second = tiny_job(root, "a"), tiny_job(root, "b", seed=1)
    run_heard(first)
    run_heard(second)
    name = "adapter/adapter_model.safetensors"
    assert deterministic(first.output)[name] != deterministic(second.output)[name]


def test_results_agree_with_each_other(root: Path) -> None:
    rows = [*tiny_rows(), {"id": "long", "split": "train", "messages": conversation("q", "x" * 999)}]
    job = tiny_job(root, rows=rows, steps=20, batch_size=3, eval_every=7)
    run_heard(job)
    metrics = json.loads((job.output / "metrics.json").read_text())
    losses = json.loads((job.output / "losses.json").read_text())
    trained_on = pq.read_table(job.output / "trained_on.parquet")
    assert sum(trained_on["times"].to_pylist()) == 20 * 3
    assert set(trained_on["times"].to_pylist()) <= {1, 2}, "60 visits of 32 examples"
    weights = list(zip(*(trained_on[c].to_pylist() for c in ("times", "tokens", "loss_tokens")), strict=True))
    assert metrics["tokens"] == sum(t * n for t, n, _ in weights) == losses[-1]["tokens"]
    assert metrics["loss_tokens"] == sum(t * n for t, _, n in weights)
    assert metrics["examples_trained_on"] == len(trained_on) == metrics["examples_available"] == 32
    assert metrics["examples_refused"] == {"too_long": 1}
    assert pq.read_table(job.output / "refused.parquet").to_pylist() == [{"id": "long", "reason": "too_long"}]
    assert "long" not in trained_on["id"].to_pylist()
    assert [row["step"] for row in losses] == list(range(21))
    assert [row["step"] for row in losses if row["validation_loss"] is not None] == [0, 7, 14, 20]
    assert losses[-1]["loss"] < losses[1]["loss"]
    assert metrics["validation_loss"] == losses[-1]["validation_loss"] < metrics["validation_loss_before"]


def test_examples_never_visited_are_not_trained_on(root: Path) -> None:
    job = tiny_job(root, steps=2)
    run_heard(job)
    metrics = json.loads((job.output / "metrics.json").read_text())
    assert (metrics["examples_trained_on"], metrics["examples_available"]) == (4, 32)


def test_adapter_loads_and_says_what_the_probe_says(root: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    job = tiny_job(root)
    run_heard(job)
    config = (job.output / "adapter" / "adapter_config.json").read_text()
    assert str(root) not in config
    assert json.loads(config)["base_model_name_or_path"].startswith("tests/tiny-llama@sha256:")
    assert json.loads(config)["target_modules"] == sorted(json.loads(config)["target_modules"])
    base: Any = AutoModelForCausalLM.from_pretrained(job.base, dtype=torch.float32)
    assert compare_probe(base, job.output / "probe.safetensors") > 1e-2
    tuned = PeftModel.from_pretrained(base, str(job.output / "adapter"))
    assert compare_probe(tuned, job.output / "probe.safetensors") < 1e-5


def _fewer_than_a_batch(root: Path) -> TrainingJob:
    return tiny_job(root, rows=tiny_rows(2), batch_size=3)


def _no_examples(root: Path) -> TrainingJob:
    return tiny_job(root, rows=[{"id": "a", "split": "test", "messages": conversation("q", "a")}])


def _no_such_modules(root: Path) -> TrainingJob:
    return tiny_job(root, lora={"target_modules": ["no_such_layer"]})


def _changed_base(root: Path) -> TrainingJob:
    job = tiny_job(root)
    (job.base / "config.json").write_bytes((job.base / "config.json").read_bytes() + b" ")
    return job


def _two_processes(root: Path) -> TrainingJob:
    return tiny_job(root, processes=2)


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (_fewer_than_a_batch, BadData, "2 examples do not fill one batch of 3"),
        (_no_examples, BadData, "none refused"),
        (_no_such_modules, BadRecipe, "target_modules"),
        (_changed_base, BadRecipe, "digest"),
        (_two_processes, BadRecipe, "the launcher started 1"),
    ],
)
def test_refusals(root: Path, make: Callable[[Path], TrainingJob], kind: type[TrainingError], says: str) -> None:
    job = make(root)
    with pytest.raises(kind, match=says):
        run_heard(job)
    assert not job.output.exists()


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_loss_that_is_no_number_stops_before_a_checkpoint(
    root: Path, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    honest = ResponseTrainer.compute_loss

    def spoilt(self: ResponseTrainer, *args: Any, **kwargs: Any) -> Any:
        loss = honest(self, *args, **kwargs)
        return loss * factor if self.state.global_step == 3 else loss

    monkeypatch.setattr(ResponseTrainer, "compute_loss", spoilt)
    job = tiny_job(root)
    with pytest.raises(NonFiniteLoss, match="At step 4"):
        run_heard(job)
    assert [p.name for p in job.scratch.glob("checkpoint-*")] == ["checkpoint-2"]


def test_another_order_than_planned_is_noticed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ddd_llm.training import trainer as module

    monkeypatch.setattr(module.PlanSampler, "__iter__", lambda self: iter(self._order[::-1]))
    with pytest.raises(Crashed, match="Step 1 computed other examples"):
        run_heard(tiny_job(root))


def test_unknown_errors_are_told_without_their_text() -> None:
    try:
        raise ValueError("the text of a document")
    except ValueError as error:
        typed = as_training_error(error)
    assert isinstance(typed, Crashed)
    assert "document" not in str(typed)
    assert "ValueError at test_worker.py" in str(typed)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), OutOfMemory),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            OutOfMemory,
        ),
        (OSError(28, "No space left on device"), DiskFull),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), Crashed),
    ],
)
def test_errors_of_libraries(error: Exception, kind: type[TrainingError]) -> None:
    assert type(as_training_error(error)) is kind


def test_torch_running_out_of_memory() -> None:
    import torch

    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 56, dtype=torch.uint8)
    assert type(as_training_error(caught.value)) is OutOfMemory


def test_command_line_refuses_broken_jobs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ddd_llm.platform.signals.StopRequest.listen", lambda self: None)
    monkeypatch.setattr("ddd_llm.training.worker.terminate_with_parent", lambda: None)
    assert main([]) == BadRecipe.exit_code
    job = tmp_path / "job.json"
    assert main([str(job)]) == BadRecipe.exit_code
    (tmp_path / "outcome.json").unlink()
    job.write_text('{"entry": "os.path"}')
    assert main([str(job)]) == BadRecipe.exit_code
    assert json.loads((tmp_path / "outcome.json").read_text())["kind"] == "bad_recipe"
    assert "entry: String should match pattern" in capfd.readouterr().err


def test_loss_tokens_leave_out_what_is_never_predicted() -> None:
    assert Encoded("x", [5, 6, 7], [5, -100, 7]).loss_tokens == 1
