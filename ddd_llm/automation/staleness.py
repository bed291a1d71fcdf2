"""Which assets a run should make now, asked from the store's fingerprints and nothing else.

An upstream that merely ran again changes no fingerprint; changed bytes, code or configuration do.
"""

from __future__ import annotations

from dataclasses import dataclass

from ddd_llm.platform.nodes import GRAPH, status
from ddd_llm.platform.settings import Settings
from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.session import Session

BATCH_ROOT = "raw_documents"


@dataclass(frozen=True)
class Stale:
    """An asset partition that is not what a materialisation would make now, and why."""

    asset: str
    partition: str | None
    why: tuple[str, ...]


@dataclass(frozen=True)
class Survey:
    """What is stale, what waits for an upstream that may not be read, and which libraries changed without effect."""

    stale: tuple[Stale, ...]
    blocked: tuple[Stale, ...]
    libraries: tuple[str, ...]


def survey(store: ArtifactStore, settings: Settings, verify: bool = False) -> Survey:
    """Ask every asset partition for its status, in pipeline order. `verify` also reads every stored byte."""
    session = Session.current(store)
    batches = session.partitions(BATCH_ROOT)
    stale: list[Stale] = []
    blocked: list[Stale] = []
    libraries: dict[str, None] = {}
    for node in GRAPH:
        for partition in node.variants or (batches if node.partitioned else [None]):
            found = status(session, node, settings, partition, verify)
            libraries.update(dict.fromkeys(found.libraries))
            if found.state == "stale":
                stale.append(Stale(node.name, partition, found.why))
            elif found.state == "blocked":
                blocked.append(Stale(node.name, partition, found.why))
    return Survey(tuple(stale), tuple(blocked), tuple(libraries))


@dataclass(frozen=True)
class Request:
    """One run to start: its batch or variant (None for a run of unpartitioned assets only) and its assets."""

    partition: str | None
    assets: tuple[str, ...]


def requests(found: Survey, new_batch: str | None) -> list[Request]:
    """The runs that bring everything up to date, in order: batches first, the last of them with all that follows; then every
    variant; then what reads the variants.

    Assets downstream of a stale one are asked for along with it: they look at their own fingerprint when their turn comes
    and do nothing if their inputs' bytes turn out the same.
    """
    wanted = {item.asset for item in found.stale} | ({BATCH_ROOT} if new_batch else set())
    if not wanted:
        return []
    assets = [node for node in GRAPH if node.name in GRAPH.downstream(wanted)]
    last = GRAPH.reads_variants()
    first = tuple(node.name for node in assets if not node.variants and node.name not in last)
    batches = sorted({i.partition for i in found.stale if i.partition is not None and GRAPH[i.asset].partitioned})
    batches = [b for b in batches if b != new_batch] + ([new_batch] if new_batch else [])
    batched = tuple(node.name for node in assets if node.partitioned)
    todo = [Request(batch, batched) for batch in batches[:-1]]
    if batches:
        todo.append(Request(batches[-1], first))
    else:
        todo.append(Request(None, tuple(name for name in first if name not in batched)))
    todo += [Request(variant, (node.name,)) for node in assets for variant in node.variants]
    todo.append(Request(None, tuple(node.name for node in assets if node.name in last)))
    return [request for request in todo if request.assets]
