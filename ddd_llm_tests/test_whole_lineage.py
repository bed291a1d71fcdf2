"""The whole graph from sources to gate through the program people run, on a small package and a tiny model made on the spot.

The tiny model cannot learn anything, so the gate must hold it back: what passes the gate is shown by `make demo` and in
`release/test_publish.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from ddd_llm.store.session import Session
from ddd_llm.store.verify import verify
from ddd_llm_tests.installation import PACKAGE, Installation, install


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    made = install(tmp_path_factory.mktemp("installation"))
    done = made.refresh()
    assert done.returncode == 1, done.stdout + done.stderr
    assert "gate         NOT passed" in done.stdout, done.stdout + done.stderr
    return made


def test_a_model_that_does_not_pass_the_gate_is_not_registered(installation: Installation) -> None:
    assert installation.audit("list") == (0, {"versions": []})
    assert not (installation.root / "home" / "mlflow" / "mlflow.db").exists()
    heads = {asset for asset, _ in installation.store.head_numbers()}
    assert "delta_report" in heads
    assert "model_version" not in heads


def test_everything_on_the_way_verifies_and_traces_back_to_the_sources(installation: Installation) -> None:
    assert verify(installation.store).clean
    report = Session.current(installation.store).head("delta_report")
    assert report is not None
    code, found = installation.audit("trace", report.digest)
    assert (code, found["verified"]) == (0, True)
    assets = {node["asset"] for node in found["nodes"]}
    assert assets >= {
        "raw_documents",
        "governed_documents",
        "curated_documents",
        "instruction_dataset",
        "sft_model",
        "base_model",
    }
    licences = {source["name"]: source["licence"] for node in found["nodes"] for source in node["sources"]}
    assert licences[PACKAGE] == "BSD-3-Clause"
    assert licences["unlicensed-notes"] is None


def test_in_equals_kept_plus_dropped_at_every_stage(installation: Installation) -> None:
    session = Session.current(installation.store)
    said = {}
    for asset, partition in installation.store.head_numbers():
        held = session.head(asset, partition)
        assert held is not None
        said[asset] = held.record.summary
    chain = ("raw_documents", "governed_documents", "deduplicated_documents", "curated_documents")
    for asset in chain:
        assert said[asset]["documents_in"] == said[asset]["kept"] + said[asset]["dropped"]
        assert sum(said[asset]["dropped_by_reason"].values()) == said[asset]["dropped"]
    for before, after in pairwise(chain):
        assert said[before]["kept"] == said[after]["documents_in"]
    assert said["governed_documents"]["dropped_by_reason"] == {"no_licence": 1}


def test_an_unlicensed_document_reaches_nothing(installation: Installation) -> None:
    code, found = installation.audit("documents", "--grep", "of whose licence")
    (document,) = found["documents"]
    code, reached = installation.audit("impact", document["id"])
    assert code == 0
    assert (reached["near_duplicates"], reached["examples"], reached["model_versions"]) == ([], [], [])


def test_a_second_refresh_writes_no_record(installation: Installation) -> None:
    store = installation.store
    before = sorted(store.record_digests()), store.head_numbers()
    done = installation.refresh()
    assert "up to date" in done.stdout, done.stdout + done.stderr
    assert (sorted(store.record_digests()), store.head_numbers()) == before


def test_what_was_trained_on_is_recorded_and_is_train_only(installation: Installation) -> None:
    session = Session.current(installation.store)
    tuned, dataset = session.read("sft_model"), session.read("instruction_dataset")
    rows = installation.store.read_table(dataset.record.tables["examples"], ["id", "split"]).to_pylist()
    train = {row["id"] for row in rows if row["split"] == "train"}
    used = installation.store.read_table(tuned.record.tables["trained_on"])["id"].to_pylist()
    assert 0 < len(used) == len(set(used)) <= 24
    assert set(used) <= train
    assert {name.rpartition(".")[2] for name in tuned.record.files} <= {"json", "safetensors", "png"}


def test_what_a_model_wrote_is_read_and_what_is_no_example_is_dropped_with_the_reason(
    installation: Installation,
) -> None:
    session, store = Session.current(installation.store), installation.store
    written = session.head("synthetic_candidates")
    assert written is not None and written.record.rows == 0, "a model of random weights writes no question"
    decisions = store.read_table(written.record.tables["decisions"]).to_pylist()
    assert len(decisions) == 8
    assert {row["reason"] for row in decisions} == {"other_form", "too_long"}, "its tokenizer has a token per byte"
    figures = json.loads(store.read_bytes(written.record.files["synthetic.json"]))
    assert figures["writer"].startswith("tiny@sha256:") and 0 < figures["tokens"] <= figures["budget_tokens"]
    assert store.verdicts(written.digest) == {"worth_its_tokens": False}


def test_feedback_of_every_origin_reaches_the_aligned_model_and_says_so(installation: Installation) -> None:
    session, store = Session.current(installation.store), installation.store
    pairs = store.read_table(session.read("preference_pairs").record.tables["pairs"]).to_pylist()
    origins = {origin for row in pairs for origin in row["origins"]}
    assert origins == {"demo", "adversarial", "constructed"}
    assert all(row["annotators"] and row["label_ids"] for row in pairs if "demo" in row["origins"])
    examples = store.read_table(session.read("instruction_dataset").record.tables["examples"]).to_pylist()
    documents = {source for row in examples for source in row["source_ids"]}
    assert all(set(row["source_ids"]) <= documents for row in pairs if "constructed" in row["origins"])
    aligned = session.read("dpo_model")
    used = set(store.read_table(aligned.record.tables["trained_on"])["id"].to_pylist())
    assert used and used <= {row["id"] for row in pairs if row["split"] == "train"}
    assert {pin.asset for pin in aligned.record.inputs} == {"base_model", "sft_model", "preference_pairs"}
    spans = store.read_table(session.read("span_feedback").record.tables["feedback"]).to_pylist()
    assert {row["origin"] for row in spans} == {"demo", "constructed"}
    for kind in ("completeness", "factuality", "holistic", "relevance"):
        record = session.read("reward_models", kind).record
        learnt = set(store.read_table(record.tables["trained_on"])["id"].to_pylist())
        assert learnt <= {row["id"] for row in (pairs if kind == "holistic" else spans) if row["split"] == "train"}
        assert learnt
    reinforced = session.read("rlhf_model").record
    read_by_it = {(pin.asset, pin.partition) for pin in reinforced.inputs}
    assert read_by_it == {
        ("base_model", None), ("sft_model", None), ("instruction_dataset", None),
        *(("reward_models", kind) for kind in ("completeness", "factuality", "holistic", "relevance")),
    }  # fmt: skip
    prompted = set(store.read_table(reinforced.tables["trained_on"])["id"].to_pylist())
    assert prompted and prompted <= {row["id"] for row in examples if row["split"] == "train"}
    traces = store.read_table(reinforced.tables["traces"])
    assert set(traces["prompt_id"].to_pylist()) == prompted and len(traces) > 4
    page = store.read_bytes(reinforced.files["report/index.html"]).decode()
    assert "Do the rewards pull the same way?" in page and "<script" not in page
    row = next(r for r in pairs if "constructed" in r["origins"] and r["id"] in used)
    code, reached = installation.audit("impact", row["source_ids"][0])
    assert code == 0
    (mine,) = [found for found in reached["feedback"] if found["id"] == row["id"]]
    assert "dpo_model" in mine["trained"]
    taught = set(
        store.read_table(session.read("reward_models", "factuality").record.tables["trained_on"])["id"].to_pylist()
    )
    row = next(r for r in spans if r["source_ids"] and r["id"] in taught)
    (mine,) = [x for x in installation.audit("impact", row["source_ids"][0])[1]["feedback"] if x["id"] == row["id"]]
    assert set(mine["trained"]) >= {"reward_models[factuality]", "rlhf_model"}
    some = next(row for row in examples if row["id"] in prompted)
    (mine,) = [x for x in installation.audit("impact", some["source_ids"][0])[1]["examples"] if x["id"] == some["id"]]
    assert mine["answered_in_rlhf"]
    code, person = installation.audit("annotator", "demo-author-1")
    assert (code, person["labels"]) == (0, 70)
    assert {found["asset"] for found in person["feedback"]} == {"preference_pairs", "span_feedback"}
    plans = {row["plan"] for row in aligned.record.summary["plans"]}
    assert len(plans) == 5
    verdicts = store.read_bytes(session.read("annotator_agreement").record.files["verdicts.json"])
    assert {outcome for outcome, _ in json.loads(verdicts).values()} == {"pass"}


def test_every_model_was_attacked_listened_to_and_asked_to_recite(installation: Installation) -> None:
    session, store = Session.current(installation.store), installation.store
    attacked = session.head("red_team_report")
    assert attacked is not None
    rows = store.read_table(attacked.record.tables["outcomes"]).to_pylist()
    models = ("base", "supervised", "dpo", "rlhf")
    assert len(rows) == 40 * len(models) and {row["model"] for row in rows} == set(models)
    found = json.loads(store.read_bytes(attacked.record.files["red_team.json"]))
    whole = {r["model"]: r["worked"] for r in found["rates"] if r["gap"] is None}
    assert whole == {name: sum(r["worked"] for r in rows if r["model"] == name) for name in models}
    assert set(store.verdicts(attacked.digest)) == {"gaps_not_widened", "found_attacks_stay_closed"}
    said = installation.call("red-team", "failures", "--json")
    assert said.returncode == (1 if sum(whole.values()) else 0), said.stderr
    assert len(json.loads(said.stdout)["failures"]) == sum(whole.values())
    sounded = session.head("tone_report")
    assert sounded is not None
    scores = store.read_table(sounded.record.tables["scores"]).to_pylist()
    assert {row["answers"] for row in scores} == {"held-out questions", "prompts of RLHF", "attacks", "alignment data"}
    assert len([row for row in scores if row["answers"] == "attacks"]) == len(rows)
    assert set(store.verdicts(sounded.digest)) == {"tone_kept", "scorer_agrees_with_people"}
    curve = session.head("learning_curve")
    assert curve is not None
    trained_on = store.read_table(session.read("sft_model").record.tables["trained_on"]).num_rows
    assert [gain["to"] for gain in curve.record.summary["gains"]] == [trained_on // 2, trained_on]
    asked = session.head("memorisation_report")
    assert asked is not None
    probes = store.read_table(asked.record.tables["probes"]).to_pylist()
    trained = set(store.read_table(session.read("sft_model").record.tables["trained_on"])["id"].to_pylist())
    assert probes and all((row["id"] in trained) is row["trained_on"] for row in probes)
    assert store.verdicts(asked.digest)["not_memorised"] is False, "so few examples cannot show it"


def test_a_machines_preferences_reach_no_training_before_people_accept_them(installation: Installation) -> None:
    session, store = Session.current(installation.store), installation.store
    sampled = session.read("sampled_answers").record
    items = store.read_table(sampled.tables["items"]).to_pylist()
    assert 0 < len(items) <= 6 and all(row["source_ids"] and len(row["responses"]) == 2 for row in items)
    judged = session.read("ai_preferences").record
    assert judged.rows == len(items)
    acceptance = json.loads(store.read_bytes(judged.files["acceptance.json"]))
    assert acceptance["outcome"] == "insufficient"
    pairs = store.read_table(session.read("preference_pairs").record.tables["pairs"])["origins"].to_pylist()
    assert not any("rlaif" in origins for origins in pairs)
    done = installation.call("annotate", "take-samples")
    assert done.returncode == 0 and f"{len(items)} items" in done.stdout, done.stderr
    (installation.root / "home" / "annotations" / Path(done.stdout.split(": ")[0]).name).unlink()


@pytest.fixture(scope="module")
def twin(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Another home with the same files and keys."""
    made = installation.copied(tmp_path_factory.mktemp("twin"))
    made.refresh()
    return made


def test_other_homes_with_the_same_keys_have_the_same_digests(installation: Installation, twin: Installation) -> None:
    """Two machines, one key: equal bytes, because nothing of time, run or place is in an object."""
    for asset, partition in installation.store.head_numbers():
        one, other = (Session.current(s).head(asset, partition) for s in (installation.store, twin.store))
        assert one is not None
        assert other is not None
        assert one.record.data_version == other.record.data_version, asset


def test_a_corpus_that_changed_is_learnt_from_anew(installation: Installation, twin: Installation) -> None:
    """A second batch reaches every model, past labels that it gives no reason to judge again."""
    sources = yaml.safe_load((twin.root / "sources.yaml").read_text())
    sources["sources"][0]["modules"].append("networkx.classes")
    (twin.root / "sources.yaml").write_text(yaml.safe_dump(sources))
    done = twin.refresh()
    before, now = installation.store.head_numbers(), twin.store.head_numbers()
    assert "two different versions" not in done.stdout + done.stderr
    assert now["raw_documents", "batch-00002"] == 1
    moved = {asset for (asset, partition), number in now.items() if number > before.get((asset, partition), number)}
    assert {
        "ai_preferences",
        "preference_pairs",
        "dpo_model",
        "reward_models",
        "rlhf_model",
        "red_team_report",
    } <= moved
    assert {"annotator_agreement", "adjudicated_labels", "base_model"}.isdisjoint(moved)
    assert verify(twin.store).clean


def test_a_mistake_in_the_recipe_is_said_at_once_with_its_line(installation: Installation, tmp_path: Path) -> None:
    wrong = Installation(tmp_path)
    shutil.copyfile(installation.root / "sources.yaml", tmp_path / "sources.yaml")
    shutil.copytree(installation.root / "assets", tmp_path / "assets")
    (tmp_path / "notes").mkdir()
    (tmp_path / "recipe.yaml").write_text("sft:\n  steps: 10\n  learning_rate: fast\n")
    done = wrong.refresh()
    assert done.returncode == 1
    assert f"{tmp_path / 'recipe.yaml'}:3: sft.learning_rate" in done.stderr
    assert list(wrong.store.record_digests()) == []


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(25))
def test_killed_at_any_moment_the_next_refresh_completes(
    installation: Installation, tmp_path: Path, moment: int
) -> None:
    """kill -9 of the whole process group somewhere in the run; the next one ends with the digests of an undisturbed one."""
    hurt = installation.copied(tmp_path)
    command = [sys.executable, "-m", "ddd_llm.automation.refresh"]
    process = subprocess.Popen(
        command, env=hurt.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    time.sleep(4 + moment * 1.7)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert verify(hurt.store).clean
    hurt.refresh()
    assert verify(hurt.store).clean
    for asset, partition in installation.store.head_numbers():
        one, other = (Session.current(s).head(asset, partition) for s in (installation.store, hurt.store))
        assert one is not None
        assert other is not None
        assert one.record.data_version == other.record.data_version, asset
