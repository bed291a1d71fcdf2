"""The asset decorator under real Dagster: skipping, verdicts, snapshots, refusals, on a three-asset lineage of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from ddd_llm.automation import staleness
from ddd_llm.platform import lineage, nodes
from ddd_llm.platform.lineage import FORCE_TAG, Lineage, lineage_asset, lineage_check
from ddd_llm.platform.nodes import Input
from ddd_llm.platform.settings import Settings, load_settings
from ddd_llm.platform.step import Step
from ddd_llm.store.artifact_store import ArtifactStore, open_store
from ddd_llm.store.leases import hold
from ddd_llm.store.session import Held, Session


@dataclass
class World:
    """A small lineage, and the knobs that a test turns."""

    store: ArtifactStore
    settings: Settings
    instance: dg.DagsterInstance
    words: dict[str, list[str]] = field(default_factory=lambda: {"b1": ["x", "y"]})
    style: dict[str, Any] = field(default_factory=lambda: {"upper": False, "remark": ""})
    good: bool = True
    calls: list[str] = field(default_factory=list)
    defs: dg.Definitions | None = None

    def run(self, partition: str = "b1", force: bool = False) -> dg.ExecuteInProcessResult:
        assert self.defs is not None
        self.instance.add_dynamic_partitions("batch", [partition])
        return self.defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            partition_key=partition,
            raise_on_error=False,
            tags={FORCE_TAG: "true"} if force else None,
        )

    def records(self) -> int:
        return len(list(self.store.record_digests()))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    graph = nodes.Graph()
    for module in (nodes, lineage, staleness):
        monkeypatch.setattr(module, "GRAPH", graph)
    monkeypatch.setattr(staleness, "BATCH_ROOT", "words")
    monkeypatch.setenv("DDD_LLM_HOME", str(tmp_path / "home"))
    settings = load_settings()
    with dg.DagsterInstance.ephemeral() as instance:
        made = World(open_store(settings.store), settings, instance)

        @lineage_asset(group="g", owner="o", kinds={"python"}, partitioned=True, config=lambda s: {"words": made.words})
        def words(step: Step) -> None:
            """Words of a batch."""
            made.calls.append("words")
            step.put_table("documents", pa.table({"id": made.words[step.partition or ""]}), step.partition or "")

        @lineage_asset(
            group="g", owner="o", kinds={"python"}, inputs=[Input("words", over="all")],
            config=lambda s: dict(made.style), checks=("not_empty",),
        )  # fmt: skip
        def shouted(step: Step) -> None:
            """All words, louder."""
            made.calls.append("shouted")
            rows = step.table("words")["id"].to_pylist()
            step.put_table("documents", pa.table({"id": [w.upper() if step.config["upper"] else w for w in rows]}))
            step.summary["rows"] = len(rows)

        @lineage_check(asset="shouted", checks={"not_empty": "There is at least one word."})
        def shouted_check(held: Held, store: ArtifactStore, settings: Settings) -> dict[str, tuple[bool, str, dict]]:
            """Looks at the rows."""
            made.calls.append("check")
            return {"not_empty": (made.good and held.record.rows > 0, f"{held.record.rows} rows", {})}

        @lineage_asset(group="g", owner="o", kinds={"python"}, inputs=["shouted"])
        def counted(step: Step) -> None:
            """How many."""
            made.calls.append("counted")
            step.put_json("count.json", step.table("shouted").num_rows)

        made.defs = dg.Definitions(
            [words, shouted, counted], asset_checks=[shouted_check], resources={"lineage": Lineage()}
        )
        yield made


def test_a_second_run_writes_nothing(world: World) -> None:
    assert world.run().success
    assert world.calls == ["words", "shouted", "check", "counted"]
    before = sorted(world.store.backend.keys("records")), sorted(world.store.backend.keys("attestations"))
    assert world.run().success
    assert world.calls == ["words", "shouted", "check", "counted"]
    assert before == (sorted(world.store.backend.keys("records")), sorted(world.store.backend.keys("attestations")))


def test_force_makes_it_again_with_the_same_bytes(world: World) -> None:
    world.run()
    first = Session.current(world.store).read("counted").record.data_version
    assert world.run(force=True).success
    assert world.calls.count("shouted") == 2
    assert Session.current(world.store).read("counted").record.data_version == first


def test_equal_bytes_upstream_start_nothing_downstream(world: World) -> None:
    world.run()
    world.style["remark"] = "changes the configuration, not the rows"
    assert [s.asset for s in staleness.survey(world.store, world.settings).stale] == ["shouted"]
    assert world.run().success
    assert world.calls.count("shouted") == 2
    assert world.calls.count("counted") == 1
    assert staleness.survey(world.store, world.settings).stale == ()


def test_new_bytes_upstream_reach_everything_downstream(world: World) -> None:
    world.run()
    world.style["upper"] = True
    assert world.run().success
    assert world.calls.count("counted") == 2


def test_a_new_batch_is_added_and_old_ones_stay(world: World) -> None:
    world.run()
    world.words["b2"] = ["z"]
    found = staleness.requests(staleness.survey(world.store, world.settings), "b2")
    assert [(r.partition, r.assets) for r in found] == [
        ("b1", ("words",)),
        ("b2", ("words", "shouted", "counted")),
    ]
    assert world.run("b1").success
    assert world.run("b2").success
    held = Session.current(world.store).read("shouted")
    assert world.store.read_table(held.record.tables["documents"])["id"].to_pylist() == ["x", "y", "z"]


def test_a_failed_verdict_stops_this_run_and_later_ones(world: World) -> None:
    world.good = False
    assert not world.run().success
    assert "counted" not in world.calls
    world.calls.clear()
    result = world.run()
    assert not result.success
    assert "counted" not in world.calls
    found = staleness.survey(world.store, world.settings)
    assert found.stale == (), "running again would not help, so nothing asks for it"
    assert [s.asset for s in found.blocked] == ["counted"]
    assert "not_empty failed" in found.blocked[0].why[0]


def test_a_lost_verdict_is_asked_for_again(world: World) -> None:
    world.run()
    held = Session.current(world.store).read("shouted")
    for key in list(world.store.backend.keys(world.store.attestation_log(held.digest).prefix)):
        world.store.backend.delete(key)
    assert [s.asset for s in staleness.survey(world.store, world.settings).stale] == ["shouted"]
    assert world.run().success
    assert (world.calls.count("check"), world.calls.count("shouted")) == (2, 1)


def test_damaged_bytes_are_made_again(world: World) -> None:
    world.style["upper"] = True
    world.run()
    held = Session.current(world.store).read("shouted")
    (ref,) = held.record.objects().values()
    path = Path(world.settings.store, "objects", ref.digest[:2], ref.digest)
    path.write_bytes(b"damaged")
    assert world.run().success
    assert world.calls.count("shouted") == 2
    assert world.store.read_table(held.record.tables["documents"]).num_rows == 2


def test_work_under_way_elsewhere_is_refused_with_a_sentence(world: World) -> None:
    with hold(world.store, "words[b1]"):
        result = world.run()
    assert not result.success
    failure = next(e for e in result.all_events if e.is_step_failure)
    assert "is being worked on by process" in str(failure.event_specific_data)


def test_metadata_holds_counts_and_digests_and_no_text(world: World) -> None:
    world.words["b1"] = ["SECRETWORD"]
    result = world.run()
    said = str([e.event_specific_data for e in result.all_events])
    assert "SECRETWORD" not in said
    held = Session.current(world.store).read("shouted")
    assert held.digest in said
    assert held.record.fingerprint in said


def test_the_record_says_how_it_was_made(world: World) -> None:
    result = world.run()
    record = Session.current(world.store).read("shouted").record
    assert record.run_id == result.run_id
    assert record.config == {"upper": False, "remark": ""}
    assert record.inputs[0].asset == "words"
    assert record.inputs[0].partition == "b1"
    assert {"python", "dagster", "pyarrow"} <= record.libraries.keys()
    assert record.hardware["cores"]


def test_pickles_are_no_artifacts(world: World) -> None:
    assert world.defs is not None
    step = Step.__new__(Step)
    step.node = nodes.Node("x", "g", lambda step: None)
    with pytest.raises(ValueError, match="pickle"):
        step.put_file("model.pkl", b"")
