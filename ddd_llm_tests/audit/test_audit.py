"""Audit answers against a brute-force oracle on random lineages, and the command line as an auditor uses it."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from ddd_llm import cli
from ddd_llm.audit.impact import documents, impact
from ddd_llm.audit.trace import trace
from ddd_llm.platform.versions import versions
from ddd_llm.store.artifact_store import ArtifactStore, open_store
from ddd_llm.store.records import Record
from ddd_llm.store.session import Held, Session


@dataclass
class Truth:
    """A made lineage and what is true of it by construction."""

    store: ArtifactStore
    near: dict[str, set[str]] = field(default_factory=dict)
    examples: dict[str, set[str]] = field(default_factory=dict)
    trained: dict[str, set[str]] = field(default_factory=dict)
    raw: list[str] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)


def put(
    store: ArtifactStore,
    run: str,
    asset: str,
    table: str,
    rows: pa.Table,
    inputs: list[Held],
    partition: str | None = None,
) -> Held:
    """Commit one record of one table."""
    record = Record(
        asset=asset, partition=partition, tables={table: store.put_table([("all", rows)])}, fingerprint=run + asset,
        inputs=tuple(h.pin("input") for h in inputs), code_version="c", run_id=run, started="s", finished="f",
        sources=({"name": "s", "licence": "MIT"},),
    )  # fmt: skip
    return Session.begin(store, run).commit(record)


def build(store: ArtifactStore, seed: int, version: int = 1, truth: Truth | None = None) -> Truth:
    """One more model version over random documents, duplicates, examples and training."""
    dice = random.Random(seed * 100 + version)
    truth = truth or Truth(store)
    ids = [f"doc-{version}-{i}" for i in range(dice.randint(3, 12))]
    truth.raw += ids
    run = f"run-{version}"
    raw = put(
        store, run, "raw_documents", "documents",
        pa.table({"id": ids, "source": ["s"] * len(ids), "locator": [f"l{i}" for i in ids], "op": ["add"] * len(ids),
                  "title": ids, "text": [f"the words of {i} <b>" for i in ids]}), [], f"batch-{version:05d}",
    )  # fmt: skip
    kept = [i for i in ids if dice.random() < 0.7] or ids[:1]
    leader: dict[str, str] = {i: dice.choice(kept) for i in ids if i not in kept}
    for one, other in leader.items():
        truth.near.setdefault(one, set()).add(other)
        truth.near.setdefault(other, set()).add(one)
    decisions = pa.table(
        {"id": ids, "kept_id": pa.array([leader.get(i) for i in ids], pa.string()),
         "jaccard": pa.array([0.9 if i in leader else None for i in ids], pa.float64())}
    )  # fmt: skip
    dedup = put(store, run, "deduplicated_documents", "decisions", decisions, [raw])
    made = {
        f"ex-{version}-{i}": dice.sample(kept, dice.randint(1, min(3, len(kept)))) for i in range(dice.randint(1, 15))
    }
    truth.examples |= {name: set(sources) for name, sources in made.items()}
    splits = {name: dice.choice(["train", "train", "test"]) for name in made}
    dataset = put(
        store, run, "instruction_dataset", "examples",
        pa.table({"id": list(made), "split": [splits[n] for n in made], "source_ids": list(made.values())}), [dedup],
    )  # fmt: skip
    used = [n for n in made if splits[n] == "train" and dice.random() < 0.8]
    truth.trained[str(version)] = set(used)
    model = put(store, run, "sft_model", "trained_on", pa.table({"id": pa.array(used, pa.string())}), [dataset])
    truth.answered = {n for n in made if splits[n] == "train" and dice.random() < 0.5}
    put(
        store, run, "rlhf_model", "trained_on", pa.table({"id": pa.array(sorted(truth.answered), pa.string())}), [dataset]
    )  # fmt: skip
    released = put(store, run, "model_version", "none", pa.table({"id": ["m"]}), [model])
    detail = {"name": "demo", "version": version, "alias": "champion", "model_digest": model.record.data_version}
    store.attest(released.digest, "registered", "registered", True, detail, by="test")
    return truth


@pytest.mark.parametrize("seed", range(25))
def test_impact_equals_the_oracle_on_random_lineages(tmp_path: Path, seed: int) -> None:
    truth = build(open_store(tmp_path), seed)
    build(truth.store, seed, 2, truth)
    for document in truth.raw:
        found = impact(truth.store, document)
        assert found is not None
        twins = truth.near.get(document, set())
        assert {t["id"] for t in found["near_duplicates"]} == twins
        wanted = {name for name, sources in truth.examples.items() if sources & ({document} | twins)}
        assert {e["id"] for e in found["examples"]} == wanted
        trained = set().union(*truth.trained.values())
        assert {e["id"] for e in found["examples"] if e["trained_on"]} == wanted & trained
        assert {e["id"] for e in found["examples"] if e["answered_in_rlhf"]} == wanted & truth.answered
        reached = {v for v, used in truth.trained.items() if used & wanted}
        assert {m["version"] for m in found["model_versions"]} == reached
    assert impact(truth.store, "no such document") is None


def test_trace_reaches_every_record_and_checks_every_object(tmp_path: Path) -> None:
    truth = build(open_store(tmp_path), 1)
    (version,) = versions(truth.store)
    found = trace(truth.store, version.record)
    assert found.verified
    assert {n["asset"] for n in found.nodes} == {
        "raw_documents", "deduplicated_documents", "instruction_dataset", "sft_model", "model_version"
    }  # fmt: skip
    assert len(found.edges) == 4
    for node in found.nodes:
        for ref in truth.store.get_record(node["record"]).objects().values():
            path = tmp_path / "objects" / ref.digest[:2] / ref.digest
            good = path.read_bytes()
            path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
            bad = trace(truth.store, version.record)
            assert not bad.verified
            assert ref.digest in bad.problems[0]
            path.write_bytes(good)


def test_the_alias_stays_with_the_last_registration(tmp_path: Path) -> None:
    truth = build(open_store(tmp_path), 3)
    build(truth.store, 3, 2, truth)
    assert [(v.version, v.alias) for v in versions(truth.store)] == [("1", None), ("2", "champion")]


def test_grep_finds_text_titles_and_locators(tmp_path: Path) -> None:
    truth = build(open_store(tmp_path), 4)
    assert [d["id"] for d in documents(truth.store, "WORDS OF doc-1-0 ")] == ["doc-1-0"]
    assert next(iter(documents(truth.store, "ldoc-1-1")))["id"] == "doc-1-1"
    assert documents(truth.store, "nowhere") == []


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    build(open_store(tmp_path / "store"), 5)
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


def call(*words: str) -> tuple[int, str]:
    """Run the command line as `main` does: wrong use is 2, a refusal of the store is 1."""
    result = CliRunner().invoke(cli.app, list(words))
    if isinstance(result.exception, cli.WrongUseError):
        return 2, str(result.exception)
    return result.exit_code, result.stdout


def test_the_command_line_answers_in_json(home: Path) -> None:
    at = ["--json", "--home", str(home)]
    code, said = call("audit", "list", *at)
    (version,) = json.loads(said)["versions"]
    assert code == 0
    assert version.keys() == {"name", "version", "alias", "record", "model_digest", "created"}
    code, said = call("audit", "trace", "demo/1", *at)
    found = json.loads(said)
    assert (code, found["root"], found["verified"], found["problems"]) == (0, version["record"], True, [])
    assert found["nodes"][0].keys() >= {
        "record", "asset", "partition", "digest", "rows", "code_version", "config", "checks", "sources"
    }  # fmt: skip
    code, said = call("audit", "verify", *at)
    assert (code, json.loads(said)["corrupt"], json.loads(said)["missing"]) == (0, [], [])
    code, said = call("audit", "documents", "--grep", "words of", *at)
    (first, *_) = json.loads(said)["documents"]
    code, said = call("audit", "impact", first["id"], *at)
    assert code == 0
    assert json.loads(said).keys() == {
        "documents", "near_duplicates", "examples", "feedback", "model_versions"
    }  # fmt: skip


def test_exit_status_tells_findings_from_wrong_use(home: Path) -> None:
    at = ["--home", str(home)]
    assert call("audit", "trace", "demo/9", *at)[0] == 2
    assert call("audit", "impact", "nothing", *at)[0] == 2
    assert call("audit", "verify", "--home", str(home / "elsewhere"))[0] == 2
    assert call("audit", "nonsense")[0] == 2
    victim = next(p for p in (home / "store" / "objects").rglob("*") if p.is_file())
    victim.write_bytes(b"tampered")
    assert call("audit", "verify", *at)[0] == 1
    code, said = call("audit", "trace", "demo/1", "--json", *at)
    assert (code, json.loads(said)["verified"]) == (1, False)


def test_the_drawn_page_is_self_contained_and_escaped(home: Path, tmp_path: Path) -> None:
    target = tmp_path / "lineage.html"
    assert call("audit", "trace", "demo@champion", "--html", str(target), "--home", str(home))[0] == 0
    page = target.read_text()
    assert "default-src 'none'" in unescape(page)
    assert "<script" not in page
    assert "image/svg+xml" in page
    for asset in ("raw_documents", "instruction_dataset", "model_version"):
        assert asset in page
