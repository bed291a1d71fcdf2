"""The dataset: quotas, caps, own examples, no leaks; and the coverage of it."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from ddd_llm.corpus.sources import Governed
from ddd_llm.instructions.build import EXAMPLES_SCHEMA, BuiltDataset, build_dataset
from ddd_llm.instructions.candidates import CandidateConfig, candidates
from ddd_llm.instructions.coverage import coverage
from ddd_llm.instructions.leakage import find_leaks
from ddd_llm.instructions.own import read_own_examples
from ddd_llm.instructions.recipe import DatasetConfig, OwnExamplesEntry
from ddd_llm.instructions.selection import REFUSAL_TASKS
from ddd_llm.instructions.split import SplitConfig
from ddd_llm_tests.instructions.samples import no_pairs, real_candidates, real_documents, table

SPLIT = SplitConfig(validation=0.2, test=0.2, largest_held_out=1.0)
RIGHTS = {
    "name": "mine", "owner": "Editors", "licence": "MIT", "licence_evidence": "LICENSE", "legal_basis": "licence",
    "purpose": ["training"], "collected": "2026-01-01",
}  # fmt: skip
SMALL = DatasetConfig(train_size=150, validation_size=40, test_size=40, per_module=40, split=SPLIT)


def built(config: DatasetConfig = SMALL, documents: pa.Table | None = None, **more: Any) -> BuiltDataset:
    if documents is None:
        return build_dataset(real_candidates(3, 0.3), real_documents(), no_pairs(), config, **more)
    made = candidates(documents, CandidateConfig(closed_book_share=0.3)).table
    return build_dataset(made, documents, no_pairs(), config, **more)


def test_the_dataset_has_the_schema_the_sizes_and_no_leak() -> None:
    dataset = built()
    assert dataset.table.schema.equals(EXAMPLES_SCHEMA)
    assert dataset.table["split"].to_pylist().count("train") == 150
    for split in ("validation", "test"):
        assert 0 < dataset.table["split"].to_pylist().count(split) <= 40
    assert find_leaks(dataset.table) == []
    assert len(set(dataset.table["id"].to_pylist())) == dataset.table.num_rows


def test_every_candidate_has_one_decision_with_a_reason() -> None:
    dataset = built()
    kept = {row["id"] for row in dataset.decisions.to_pylist() if row["verdict"] == "kept"}
    assert kept == set(dataset.table["id"].to_pylist())
    for row in dataset.decisions.to_pylist():
        assert (row["reason"] is None) == (row["verdict"] == "kept")


def test_refusals_have_their_share_and_their_twins() -> None:
    table_ = built().table.to_pylist()
    refusals = [row for row in table_ if row["task"] in REFUSAL_TASKS]
    assert {row["task"] for row in refusals} == set(REFUSAL_TASKS)
    assert len([row for row in refusals if row["split"] == "train"]) == round(150 * 0.12)
    benign = {(row["source_ids"][0], row["task"]) for row in table_ if row["slice"] == "open_book"}
    assert all((row["source_ids"][0], json.loads(row["facts"])["form"]) in benign for row in refusals)


def test_categories_of_refusals_have_their_weights() -> None:
    config = DatasetConfig(
        train_size=150, package_share=1.0, split=SPLIT, refusals={"unknown_object": 2, "unknown_parameter": 1}
    )
    tasks = [row["task"] for row in built(config).table.to_pylist() if row["split"] == "train"]
    assert (tasks.count("unknown_object"), tasks.count("unknown_parameter")) == (12, 6)
    assert "undescribed_parameter" not in tasks
    with pytest.raises(ValidationError, match="unknown categories"):
        DatasetConfig(refusals={"other": 1})
    with pytest.raises(ValidationError, match="not negative"):
        DatasetConfig(refusals={"unknown_object": -1})


def test_caps_hold() -> None:
    dataset = built(DatasetConfig(train_size=150, per_module=6, split=SPLIT))
    rows = dataset.table.to_pylist()
    for split in ("train", "validation", "test"):
        modules = [row["module"] for row in rows if row["split"] == split]
        assert all(modules.count(module) <= 6 for module in set(modules))
    assert "module_cap" in dataset.decisions["reason"].to_pylist()


def test_same_input_same_bytes_in_any_order() -> None:
    documents = real_documents()
    turned = documents.take(list(reversed(range(documents.num_rows))))
    assert built().table.equals(built(documents=turned).table)


def test_growth_moves_no_example() -> None:
    documents = real_documents()
    newer = documents.slice(60)
    later = newer.set_column(newer.column_names.index("batch"), "batch", pa.array(["b2"] * newer.num_rows))
    grown = built(documents=pa.concat_tables([documents.slice(0, 60), later])).table.to_pylist()
    before = built(documents=documents.slice(0, 60)).table.to_pylist()
    split = {row["id"]: row["split"] for row in grown}
    stayed = [row for row in before if row["id"] in split]
    assert stayed
    assert all(split[row["id"]] == row["split"] for row in stayed)


def test_documents_alike_only_in_what_they_show_are_not_split() -> None:
    """Two long documents of other modules share their head, which the passages show, and differ in the rest."""
    head = "Shift the signal by a number of samples, cyclically, and write it to the given output when there is one."
    tail = {
        name: "\n\n".join(f"{name} line {i} of the {name} tail, number {i * 7}" for i in range(80)) for name in "xy"
    }
    documents = table(
        {
            f"pk.{name}{n}:f": f"def pk.{name}{n}.f(a=1, b=2)\n\n{head}\n\n{tail[name]} {n}"
            for name in "xy"
            for n in range(9)
        }
    )
    made = candidates(documents, CandidateConfig()).table
    dataset = build_dataset(made, documents, no_pairs(), DatasetConfig(split=SPLIT))
    assert find_leaks(dataset.table) == []
    assert len(set(dataset.table["component"].to_pylist())) < 18


def test_own_examples_need_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    message = {"messages": [{"role": "user", "content": "Who owns it?"}, {"role": "assistant", "content": "We do."}]}
    path.write_text(json.dumps(message) + "\nbroken\n", encoding="utf-8")
    own = read_own_examples(path)
    with pytest.raises(ValueError, match="recipe"):
        built(own=[own])
    config = SMALL.model_copy(
        update={"own_examples": (OwnExamplesEntry(path=str(path), repeat=3, source=Governed.model_validate(RIGHTS)),)}
    )
    with pytest.raises(ValueError, match="recipe"):
        built(config)
    dataset = built(config, own=[own])
    mine = [row for row in dataset.table.to_pylist() if row["task"] == "own"]
    assert len(mine) == 3
    assert len({row["id"] for row in mine}) == 3
    assert {row["split"] for row in mine} == {"train"}
    assert {tuple(row["source_ids"]) for row in mine} <= {(row["id"],) for row in mine}
    assert str(tmp_path) not in str(mine)
    assert dataset.quarantine["reason"].to_pylist() == ["invalid_json"]
    assert find_leaks(dataset.table) == []


def test_another_stage_is_mixed_in_only_as_the_recipe_says(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"stage domain in a dataset of stage instruction.*mix: \{domain"):
        DatasetConfig.model_validate({"own_examples": [{"path": "x", "stage": "domain", "source": RIGHTS}]})
    path = tmp_path / "mine.jsonl"
    turns = [{"role": "user", "content": "What is a leader?"}, {"role": "assistant", "content": "What is kept."}]
    path.write_text(json.dumps({"messages": turns}) + "\n", encoding="utf-8")
    entry = OwnExamplesEntry(path=str(path), stage="domain", repeat=9, source=Governed.model_validate(RIGHTS))
    wide, narrow = (
        SMALL.model_copy(update={"own_examples": (entry,), "mix": {"domain": most}}) for most in (0.9, 0.01)
    )
    stages = {
        row["stage"]: row["task"] == "own" for row in built(wide, own=[read_own_examples(path)]).table.to_pylist()
    }
    assert stages == {"domain": True, "instruction": False}
    with pytest.raises(ValueError, match=r"9 of \d+ train examples are of stage domain.*allows 1.0%"):
        built(narrow, own=[read_own_examples(path)])


def test_own_examples_go_with_the_documents_they_were_made_from(tmp_path: Path) -> None:
    rows = built().table.to_pylist()
    by_split = {split: next(r["source_ids"][0] for r in rows if r["split"] == split) for split in ("train", "test")}
    path = tmp_path / "mine.jsonl"
    made_from = [[], [by_split["train"]], [by_split["test"]], ["erased"], [by_split["train"], "erased"]]
    lines = [
        {
            "messages": [{"role": "user", "content": f"Q{i}"}, {"role": "assistant", "content": "A"}],
            "source_ids": ids,
            "guideline": "g 2",
        }
        for i, ids in enumerate(made_from)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    entry = OwnExamplesEntry(path=str(path), source=Governed.model_validate(RIGHTS))
    dataset = built(SMALL.model_copy(update={"own_examples": (entry,)}), own=[read_own_examples(path)])
    mine = [row for row in dataset.table.to_pylist() if row["task"] == "own"]
    assert {json.loads(r["messages"])[0]["content"]: r["source_ids"][1:] for r in mine} == {
        "Q0": [],
        "Q1": made_from[1],
    }
    assert {(row["author"], row["guideline"]) for row in mine} == {("person", "g 2")}
    refused = {row["locator"]: row["reason"] for row in dataset.quarantine.to_pylist()}
    assert refused == {
        "mine.jsonl:3": "document_held_out",
        "mine.jsonl:4": "document_not_curated",
        "mine.jsonl:5": "document_not_curated",
    }
    assert find_leaks(dataset.table) == []


def test_an_empty_corpus_gives_an_empty_dataset() -> None:
    dataset = built(documents=real_documents().slice(0, 0))
    assert dataset.table.num_rows == 0
    assert dataset.coverage.table.num_rows == 0


def test_config_names_what_is_wrong() -> None:
    with pytest.raises(ValidationError, match="poetry"):
        DatasetConfig(weights={"poetry": 1.0})
    with pytest.raises(ValidationError, match="above 0"):
        DatasetConfig(weights={"summary": 0.0})
    with pytest.raises(ValidationError, match="repeat"):
        DatasetConfig.model_validate({"own_examples": [{"path": "x", "repeat": 0, "source": RIGHTS}]})


def test_coverage_counts_cells_and_their_evenness() -> None:
    rows = [("a", "p", "train"), ("a", "p", "train"), ("b", "q", "train"), ("a", "q", "test")]
    examples = pa.table({name: [row[k] for row in rows] for k, name in enumerate(("task", "package", "split"))})
    found = coverage(examples)
    assert found.table.to_pylist()[0] == {"task": "a", "package": "p", "train": 2, "validation": 0, "test": 0}
    assert found.table.num_rows == 4
    assert found.empty == (("a", "q"), ("b", "p"))
    expected = -(2 / 3 * math.log2(2 / 3) + 1 / 3 * math.log2(1 / 3))
    assert found.entropy["train"] == pytest.approx(expected)
    assert found.evenness["train"] == pytest.approx(expected / 2)
    assert found.entropy["validation"] == 0.0


def test_another_key_and_another_order_give_the_same_questions() -> None:
    """Document ids depend on the installation's key; what is asked, trained on and tested must not."""
    documents = real_documents()
    renamed = [hashlib.sha256(f"another key {name}".encode()).hexdigest() for name in documents["id"].to_pylist()]
    elsewhere = documents.set_column(0, "id", pa.array(renamed)).sort_by("id")
    here, there = (
        built(documents=table_).table.select(["task", "split", "slice", "messages"])
        for table_ in (documents, elsewhere)
    )
    assert here.equals(there)
