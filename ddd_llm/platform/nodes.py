"""The asset graph as data: what each asset reads, by which config and code, and whether its head is up to date.

Belongs here: nodes and their status, without Dagster, so that sensors, `make demo` and the command line ask one place.
Does not belong here: how an asset is computed (`step`) or shown (`lineage`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from ddd_llm.platform.code_version import code_version
from ddd_llm.platform.environment import library_versions
from ddd_llm.platform.settings import Settings
from ddd_llm.store.artifact_store import object_key
from ddd_llm.store.canonical import stream_digest
from ddd_llm.store.errors import Corrupt, NotFound, Refused, Unreadable
from ddd_llm.store.records import Pin, fingerprint
from ddd_llm.store.session import Held, Session, unmet

Over = Literal["same", "all", "earlier"]
Config = dict[str, Any]


@dataclass(frozen=True)
class Input:
    """An upstream asset. `over` says which of its partitions: this one, all of them, or those before this one."""

    asset: str
    over: Over = "same"


@dataclass(frozen=True)
class Node:
    """One asset of the lineage.

    `partitioned` assets have one partition per batch, those with `variants` one per variant (and no batches).
    `config` gives the full configuration as plain data; `baselines` gives pins that are only compared against;
    a `sealed` asset is never stale once recorded (an ingest says what was collected then).
    """

    name: str
    group: str
    function: Callable[..., None]
    inputs: tuple[Input, ...] = ()
    partitioned: bool = False
    variants: tuple[str, ...] = ()
    sealed: bool = False
    config: Callable[[Settings], Config] | None = None
    baselines: Callable[[Session, Settings], list[Held]] | None = None
    after: Callable[..., None] | None = None
    checks: tuple[str, ...] = ()
    columns: dict[str, str] = field(default_factory=dict)

    @cached_property
    def code_version(self) -> str:
        """Digest of the code this asset reaches and of the names of its required checks."""
        return code_version(self.function, *self.checks)


class Graph:
    """All nodes in pipeline order. Stages add theirs when they are imported."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}

    def add(self, node: Node) -> Node:
        """Register a node; its inputs must be there already. Re-importing a module replaces it."""
        unknown = [i.asset for i in node.inputs if i.asset not in self._nodes and i.asset != node.name]
        if unknown:
            raise ValueError(f"{node.name}: unknown inputs {unknown}")
        self._nodes[node.name] = node
        return node

    def __getitem__(self, name: str) -> Node:
        return self._nodes[name]

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def reads_variants(self) -> set[str]:
        """The assets that read one with variants, directly or not: they wait until every variant is there."""
        varied = {node.name for node in self._nodes.values() if node.variants}
        return self.downstream(varied) - varied

    def downstream(self, names: Iterable[str]) -> set[str]:
        """The named assets and everything that reads them, directly or not."""
        found = set(names)
        for node in self._nodes.values():
            if any(i.asset in found for i in node.inputs):
                found.add(node.name)
        return found


GRAPH = Graph()


@dataclass(frozen=True)
class Expected:
    """What a materialisation would rest on now."""

    pins: tuple[Pin, ...]
    held: dict[str, list[Held]]
    config: Config
    code_version: str
    fingerprint: str


def resolve(session: Session, node: Node, partition: str | None) -> dict[str, list[Held]]:
    """The readable input records of an asset partition, by upstream asset, in partition order.

    Raises:
        Unreadable: an input has no record or a required verdict of it is missing or bad.
    """
    found: dict[str, list[Held]] = {}
    for item in node.inputs:
        partitions: list[str | None] = [None]
        if item.over == "same":
            partitions = [partition] if GRAPH[item.asset].partitioned else [None]
        elif variants := GRAPH[item.asset].variants:
            partitions = list(variants)
        else:
            partitions = list(session.partitions(item.asset))
            if item.over == "earlier":
                partitions = [p for p in partitions if p is not None and partition is not None and p < partition]
            elif not partitions:
                raise Unreadable(f"{item.asset} has no partition yet: ingest a batch first")
        found[item.asset] = [session.read(item.asset, p) for p in partitions]
    return found


def expect(session: Session, node: Node, settings: Settings, partition: str | None) -> Expected:
    """What a materialisation of this asset partition would rest on now. Raises as `resolve` and the config's reader."""
    held = resolve(session, node, partition)
    pins = [h.pin("input") for records in held.values() for h in records]
    if node.baselines is not None:
        held["baseline"] = node.baselines(session, settings)
        pins += [h.pin("baseline") for h in held["baseline"]]
    config = node.config(settings) if node.config is not None else {}
    mark = fingerprint(node.name, partition, pins, config, node.code_version)
    return Expected(tuple(pins), held, config, node.code_version, mark)


@dataclass(frozen=True)
class Status:
    """Whether a head is up to date. `why` holds one sentence per reason; `libraries` what changed without making it stale."""

    state: Literal["current", "stale", "blocked"]
    why: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    head: Held | None = None


def intact(session: Session, held: Held) -> bool:
    """Whether every object of a record is there and verifies."""
    for ref in held.record.objects().values():
        try:
            with session.store.backend.open(object_key(ref.digest)) as stream:
                if stream_digest(stream)[0] != ref.digest:
                    return False
        except NotFound:
            return False
    return True


def status(
    session: Session, node: Node, settings: Settings, partition: str | None, verify: bool = False, verdicts: bool = True
) -> Status:
    """Whether an asset partition's head is what a materialisation would make now.

    `verify=True` also reads every byte of it; damaged bytes are a reason to make them again. A missing verdict is a reason to
    start a run (its checks come with it) but none to compute again: `verdicts=False` leaves it out.
    """
    try:
        head = session.head(node.name, partition)
    except (Corrupt, NotFound) as error:
        return Status("stale", (f"its record does not verify: {error}",))
    if head is None:
        try:
            resolve(session, node, partition)
        except Refused as error:
            return Status("blocked", (str(error),))
        except (Unreadable, Corrupt, NotFound):
            pass  # its inputs are still to be made, which the same run does
        return Status("stale", ("it has never been materialised",))
    if verify and not intact(session, head):
        return Status("stale", ("stored bytes of it are damaged",), head=head)
    missing = [c for c, state in unmet(session.store, head).items() if state != "failed"]
    if missing and verdicts:
        return Status("stale", (f"no verdict yet of {', '.join(missing)}",), head=head)
    libraries = tuple(
        f"{name} {head.record.libraries.get(name, 'absent')} -> {version}"
        for name, version in library_versions().items()
        if head.record.libraries.get(name, "absent") != version
    )
    if node.sealed:
        return Status("current", (), libraries, head)
    try:
        wanted = expect(session, node, settings, partition)
    except (Unreadable, Corrupt, NotFound) as error:
        return Status("blocked", (str(error),), libraries, head)
    if wanted.fingerprint == head.record.fingerprint:
        return Status("current", (), libraries, head)
    return Status("stale", tuple(_differences(head, wanted)), libraries, head)


def _differences(head: Held, wanted: Expected) -> Iterable[str]:
    record = head.record
    old = {(p.role, p.asset, p.partition): p.content for p in record.inputs}
    new = {(p.role, p.asset, p.partition): p.content for p in wanted.pins}
    changed = sorted(
        {
            a if p is None else f"{a}[{p}]"
            for r, a, p in old.keys() | new.keys()
            if old.get((r, a, p)) != new.get((r, a, p))
        }
    )
    if changed:
        yield f"new data in {', '.join(changed)}"
    if record.code_version != wanted.code_version:
        yield "its code changed"
    keys = sorted(
        k for k in record.config.keys() | wanted.config.keys() if record.config.get(k) != wanted.config.get(k)
    )
    if keys:
        yield f"its configuration changed: {', '.join(keys)}"
