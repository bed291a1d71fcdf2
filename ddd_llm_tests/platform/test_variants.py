"""An asset made once per variant: its partitions, who waits for all of them, and the runs that bring it up to date."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from ddd_llm.automation import staleness
from ddd_llm.platform import lineage, nodes
from ddd_llm.platform.lineage import Lineage, lineage_asset
from ddd_llm.platform.nodes import Input
from ddd_llm.platform.settings import Settings, load_settings
from ddd_llm.platform.step import Step
from ddd_llm.store.artifact_store import ArtifactStore, open_store
from ddd_llm.store.session import Session


@dataclass
class World:
    """A batch, one table, a model per variant, and what reads both models."""

    store: ArtifactStore
    settings: Settings
    instance: dg.DagsterInstance
    style: dict[str, str] = field(default_factory=lambda: {"warm": "a", "cold": "a"})
    calls: list[str] = field(default_factory=list)
    defs: dg.Definitions | None = None

    def refresh(self, batch: str | None = None) -> list[tuple[str | None, tuple[str, ...]]]:
        """What `make demo` does: ask, then run in order."""
        assert self.defs is not None
        todo = staleness.requests(staleness.survey(self.store, self.settings), batch)
        for request in todo:
            if batch:
                self.instance.add_dynamic_partitions("batch", [batch])
            done = self.defs.resolve_implicit_global_asset_job_def().execute_in_process(
                instance=self.instance,
                partition_key=request.partition,
                asset_selection=[dg.AssetKey(name) for name in request.assets],
                raise_on_error=False,
            )
            assert done.success, request
        return [(request.partition, request.assets) for request in todo]


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

        @lineage_asset(group="g", owner="o", kinds={"python"}, partitioned=True)
        def words(step: Step) -> None:
            """Words of a batch."""
            step.put_table("documents", pa.table({"id": ["x"]}), step.partition or "")

        @lineage_asset(group="g", owner="o", kinds={"python"}, inputs=[Input("words", over="all")])
        def table(step: Step) -> None:
            """All words."""
            step.put_table("documents", step.table("words"))

        @lineage_asset(
            group="g", owner="o", kinds={"python"}, inputs=["table"], variants=("cold", "warm"),
            config=lambda s: dict(made.style),
        )  # fmt: skip
        def model(step: Step) -> None:
            """One model of each kind."""
            made.calls.append(step.partition or "")
            step.put_json("model.json", [step.partition, step.config[step.partition or ""]])

        @lineage_asset(group="g", owner="o", kinds={"python"}, inputs=[Input("model", over="all"), "table"])
        def both(step: Step) -> None:
            """What all models together give."""
            made.calls.append("both")
            step.put_json("both.json", [held.record.partition for held in step.inputs("model")])

        @lineage_asset(group="g", owner="o", kinds={"python"}, inputs=["table"])
        def beside(step: Step) -> None:
            """Reads no model."""
            step.put_json("beside.json", 1)

        made.defs = dg.Definitions([words, table, model, both, beside], resources={"lineage": Lineage()})
        yield made


def test_variants_come_after_the_batch_and_before_what_reads_them(world: World) -> None:
    assert world.refresh("b1") == [
        ("b1", ("words", "table", "beside")),
        ("cold", ("model",)),
        ("warm", ("model",)),
        (None, ("both",)),
    ]
    assert world.calls == ["cold", "warm", "both"]
    session = Session.current(world.store)
    assert session.partitions("model") == ["cold", "warm"]
    held = session.read("both")
    assert world.store.read_bytes(held.record.files["both.json"]) == b'["cold","warm"]'
    assert [(pin.asset, pin.partition) for pin in held.record.inputs][:2] == [("model", "cold"), ("model", "warm")]
    assert world.refresh() == []


def test_what_reads_all_variants_waits_for_each(world: World) -> None:
    assert world.defs is not None
    world.refresh("b1")
    log = world.store.head_log("model", "warm")
    for key in list(world.store.backend.keys(log.prefix)):
        world.store.backend.delete(key)
    found = staleness.survey(world.store, world.settings)
    assert [(s.asset, s.partition) for s in found.stale] == [("model", "warm")]
    assert [s.asset for s in found.blocked] == ["both"]
    assert "model[warm] has no record yet" in found.blocked[0].why[0]
    assert world.refresh() == [("cold", ("model",)), ("warm", ("model",)), (None, ("both",))]
    assert world.calls == ["cold", "warm", "both", "warm"], "only what was lost is made again"


def test_a_changed_setting_reaches_what_reads_the_variants(world: World) -> None:
    world.refresh("b1")
    world.style["warm"] = "b"
    world.refresh()
    assert world.calls == ["cold", "warm", "both", "cold", "warm", "both"]
