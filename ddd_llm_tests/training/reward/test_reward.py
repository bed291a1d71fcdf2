"""Reward models: targets on the right tokens, losses as the formulas say, planted rules learnt, exact resume, honest figures."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddd_llm.feedback.labels import SpansValue
from ddd_llm.feedback.span_feedback import FACTUALITY, RELEVANCE, SPAN_FEEDBACK_SCHEMA
from ddd_llm.platform.signals import StopRequest
from ddd_llm.training.errors import BadData, BadRecipe, TrainingError
from ddd_llm.training.preferences import EncodedPair
from ddd_llm.training.reward.data import Answer, Target, read_answers
from ddd_llm.training.reward.figures import pair_figures, segment_figures
from ddd_llm.training.reward.recipe import BUILT_IN, RewardModelsRecipe, RewardRecipe
from ddd_llm.training.reward.run import RewardJob
from ddd_llm.training.worker import run
from ddd_llm_tests.training.processes import in_child, results, send
from ddd_llm_tests.training.test_dpo import rows as preference_rows
from ddd_llm_tests.training.test_dpo import write as write_pairs
from ddd_llm_tests.training.tiny import tiny_tokenizer

GOOD, BAD = "It is so.", "zzzz zzz."


def feedback(count: int = 48) -> list[dict[str, Any]]:
    """Answers of two sentences, each right or nonsense; every third is held out."""
    rows = []
    for i in range(count):
        parts = [BAD if i % 2 else GOOD, BAD if i % 3 == 0 else GOOD]
        text = " ".join(parts)
        spans = []
        for place, part in zip((0, len(parts[0]) + 1), parts, strict=True):
            if part == BAD:
                spans.append({"start": place, "end": place + len(part), "type": "wrong-grounding"})
        rows.append(
            {
                "id": f"r{i:03}",
                "prompt": json.dumps([{"role": "user", "content": f"Is it {i}?"}]),
                "response": text,
                "value": SpansValue.model_validate({"spans": spans}).model_dump_json(),
                "component": f"c{i}",
                "split": "held_out" if i % 3 == 1 or i % 5 == 0 else "train",
            }
        )
    return rows


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, schema=SPAN_FEEDBACK_SCHEMA), path)
    return path


def job(
    root: Path, name: str = "reward", rows: list[dict[str, Any]] | None = None, kind: str = "factuality", **changes: Any
) -> RewardJob:
    settings = {
        "steps": 6, "batch_size": 4, "max_length": 128, "learning_rate": 0.02, "threads": 1, "dtype": "fp32", "device": "cpu",
        "save_every": 2, "lora": {"r": 4, "alpha": 8, "dropout": 0.1}, "kind": BUILT_IN[kind].model_dump(),
    }  # fmt: skip
    if kind == "holistic":
        dataset = write_pairs(root / "pairs.parquet", preference_rows())
    else:
        dataset = write(root / "spans.parquet", feedback() if rows is None else rows)
    return RewardJob(
        base=root / "base",
        dataset=dataset,
        recipe=RewardRecipe.model_validate(settings | changes),
        scratch=root / f"{name}-scratch",
        output=root / f"{name}-output",
    )


def metrics(of: RewardJob) -> dict[str, Any]:
    return json.loads((of.output / "metrics.json").read_bytes())


def test_targets_stand_on_the_last_token_of_their_segment(root: Path) -> None:
    tokenizer = tiny_tokenizer()
    found = read_answers(write(root / "s.parquet", feedback()), tokenizer, FACTUALITY, 128, 100)
    rows = {row["id"]: row for row in feedback()}
    assert len(found.train) + len(found.held_out) == 48
    for answer in (*found.train, *found.held_out):
        text = rows[answer.id]["response"]
        assert len(answer.targets) == 2
        shown = [tokenizer.decode(answer.input_ids[: t.token + 1]) for t in answer.targets]
        first = text.index(".") + 1
        assert shown[0].endswith(text[:first]) and shown[1].endswith(text)
        assert [t.wrong for t in answer.targets] == [text.startswith(BAD), text.endswith(BAD)]


def test_a_reward_of_a_type_nobody_marked_cannot_be_learnt(root: Path) -> None:
    with pytest.raises(BadData, match="only right ones"):
        read_answers(write(root / "s.parquet", feedback()), tiny_tokenizer(), RELEVANCE, 128, 100)
    with pytest.raises(BadData, match=r"none at all \(48 too_long\)"):
        read_answers(write(root / "s.parquet", feedback()), tiny_tokenizer(), FACTUALITY, 16, 100)


def test_losses_are_their_formulas() -> None:
    import torch

    from ddd_llm.training.reward.model import IGNORED, pair_loss, segment_loss

    scores = torch.tensor([[9.0, 2.0, -1.0], [0.5, 9.0, 3.0]])
    targets = torch.tensor([[IGNORED, 1.0, 0.0], [1.0, IGNORED, 0.0]])
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    by_hand = (
        -(np.log(sigmoid(2.0)) + np.log(sigmoid(0.5)) + 3 * (np.log(1 - sigmoid(-1.0)) + np.log(1 - sigmoid(3.0)))) / 8
    )
    assert float(segment_loss(scores, targets, 3.0)) == pytest.approx(by_hand, rel=1e-5)
    pairs = torch.tensor([[0.0, 2.0], [0.0, -1.0], [1.0, 0.0], [0.5, 0.0]])
    ends = torch.tensor([[IGNORED, 1.0], [IGNORED, 1.0], [0.0, IGNORED], [0.0, IGNORED]])
    expected = -(np.log(sigmoid(2.0 - 1.0)) + np.log(sigmoid(-1.0 - 0.5))) / 2
    assert float(pair_loss(pairs, ends)) == pytest.approx(expected, rel=1e-5)


def test_it_learns_a_planted_rule_beyond_every_baseline(root: Path) -> None:
    made = job(root, steps=60, learning_rate=0.01, save_every=60, rows=feedback(150))
    run(made, StopRequest(), lambda message: None)
    found = metrics(made)
    assert found["held_out_f1"] > 0.95
    assert found["held_out_auroc"] > 0.98
    assert found["held_out_beats_baselines"] is True
    assert found["held_out_f1_everything"] < 0.8
    assert found["held_out_calibration_error"] < 0.2
    table = pq.read_table(made.output / "held_out.parquet").to_pylist()
    right = np.mean([row["score"] for row in table if not row["wrong"]])
    wrong = np.mean([row["score"] for row in table if row["wrong"]])
    assert right > wrong


def test_the_holistic_one_learns_from_pairs(root: Path) -> None:
    made = job(root, "pairs", kind="holistic", steps=60, learning_rate=0.01, save_every=60)
    run(made, StopRequest(), lambda message: None)
    found = metrics(made)
    assert found["held_out_accuracy"] == 1.0
    assert found["train_loss_last_10"] < found["train_loss_first"]
    assert found["held_out_pairs"] == 8


def test_only_adapter_and_head_are_trained_and_padding_changes_nothing(root: Path) -> None:
    import torch
    from transformers import AutoConfig

    from ddd_llm.training.machine import Machine
    from ddd_llm.training.reward.model import as_sequences, fresh_model, scores_of

    made = job(root, layers=1)
    config = AutoConfig.from_pretrained(root / "base")
    machine = Machine("cpu", "fp32", 0, 1, 1)
    model = fresh_model(root / "base", config, machine, made.recipe)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained and all("lora_" in name or "score.modules_to_save" in name for name in trained)
    assert not any(".layers.1." in name for name, _ in model.named_parameters()), "one layer was asked for"
    answers = read_answers(write(root / "s.parquet", feedback()), tiny_tokenizer(), FACTUALITY, 128, 100).train
    rows = as_sequences(answers)
    with torch.no_grad():
        together = scores_of(model, rows, 2, machine, 8)
        alone = scores_of(model, rows, 2, machine, 1)
    assert np.array(together) == pytest.approx(np.array(alone), abs=1e-5)
    with pytest.raises(BadRecipe, match="the base model has 2"):
        fresh_model(root / "base", AutoConfig.from_pretrained(root / "base"), machine, job(root, layers=3).recipe)


@pytest.fixture(scope="module")
def undisturbed(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(tiny_base, root / "base")
    made = job(root)
    run(made, StopRequest(), lambda message: None)
    return results(made)


@pytest.mark.parametrize(("kind", "step"), [("step", 1), ("step", 3), ("checkpoint", 4)])
def test_kill_9_and_again(root: Path, undisturbed: dict[str, str], kind: str, step: int) -> None:
    made = job(root, "killed")
    assert in_child(made, send(signal.SIGKILL, kind, step)) == -signal.SIGKILL
    run(made, StopRequest(), lambda message: None)
    assert results(made) == undisturbed


@pytest.mark.parametrize(
    ("changes", "kind", "says"),
    [({"processes": 2}, BadRecipe, "one process"), ({"batch_size": 400}, BadData, "No batch can be made")],
)
def test_refusals(root: Path, changes: dict[str, Any], kind: type[TrainingError], says: str) -> None:
    with pytest.raises(kind, match=says):
        run(job(root, **changes), StopRequest(), lambda message: None)


def answers(count: int, seed: int = 0) -> list[Answer]:
    random = np.random.default_rng(seed)
    return [
        Answer(
            f"a{i}",
            f"c{i}",
            [1],
            tuple(Target(0, bool(random.random() < 0.3), int(random.integers(5, 50)), k / 3) for k in range(3)),
        )
        for i in range(count)
    ]


def test_noise_beats_no_baseline_and_truth_beats_all() -> None:
    held_out, train = answers(200, 1), answers(200, 2)
    random = np.random.default_rng(3)
    noise = segment_figures(train, held_out, [[float(random.normal()) for _ in a.targets] for a in held_out])
    assert noise["beats_baselines"] is False
    assert 0.4 < noise["auroc"] < 0.6
    truth = segment_figures(train, held_out, [[-3.0 if t.wrong else 3.0 for t in a.targets] for a in held_out])
    assert truth["beats_baselines"] is True
    assert (truth["f1"], truth["auroc"]) == (1.0, 1.0)
    assert truth["f1_low"] == 1.0
    rate = np.mean([t.wrong for a in held_out for t in a.targets])
    assert truth["f1_everything"] == pytest.approx(2 * rate / (1 + rate), abs=0.05)
    assert sum(row["segments"] for row in truth["reliability"]) == truth["segments"]
    assert segment_figures(train, [], []) == {}


def test_a_holistic_model_must_beat_the_longer_answer() -> None:
    pairs = [EncodedPair(f"p{i}", f"c{i}", [1], [1] * (3 if i % 2 else 1), [1, 1]) for i in range(80)]
    good = pair_figures(pairs, [(1.0, 0.0)] * 80)
    assert (good["accuracy"], good["accuracy_longer"], good["beats_baselines"]) == (1.0, 0.5, True)
    by_length = pair_figures(pairs, [(float(len(p.chosen_ids)), 2.0) for p in pairs])
    assert by_length["beats_baselines"] is False
    assert pair_figures([], []) == {}


def test_own_kinds_stand_beside_the_built_in_ones() -> None:
    own = {"tone": {"granularity": {"segmenter": "sentence", "error_types": ["incoherent"]}}}
    recipe = RewardModelsRecipe.model_validate({"steps": 5, "kinds": own})
    assert recipe.of("tone").kind.granularity is not None
    assert recipe.of("holistic").kind.learns_from == "pairs"
    assert recipe.of("tone").steps == 5
    with pytest.raises(ValueError, match="needs a granularity"):
        RewardModelsRecipe.model_validate({"kinds": {"x": {}}})
