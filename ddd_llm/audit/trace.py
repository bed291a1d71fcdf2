"""From one record to everything it rests on, every digest checked on the way. Needs the store and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ddd_llm.store.artifact_store import ArtifactStore, object_key, record_key
from ddd_llm.store.canonical import stream_digest
from ddd_llm.store.errors import Corrupt, NotFound
from ddd_llm.store.records import Record
from ddd_llm.store.session import BASELINE
from ddd_llm.store.verify import erased_objects


@dataclass
class Trace:
    """The lineage of one record. Edges go from a record to each record it was made from."""

    root: str
    nodes: list[dict[str, Any]] = field(default_factory=list)
    edges: list[tuple[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def verified(self) -> bool:
        """True when every digest on the way fits."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "root": self.root,
            "nodes": self.nodes,
            "edges": [list(edge) for edge in self.edges],
            "verified": self.verified,
            "problems": self.problems,
        }


def trace(store: ArtifactStore, root: str) -> Trace:
    """The whole tree below a record, breadth first; problems in the order in which they were met."""
    found = Trace(root)
    seen = {root}
    queue = [root]
    while queue:
        digest = queue.pop(0)
        try:
            record = store.get_record(digest)
        except (Corrupt, NotFound) as error:
            found.problems.append(str(error) if isinstance(error, Corrupt) else f"missing: {record_key(digest)}")
            continue
        _check_objects(store, digest, record, found)
        found.nodes.append(_node(store, digest, record, found))
        for pin in record.inputs:
            found.edges.append((digest, pin.record))
            if pin.record not in seen:
                seen.add(pin.record)
                queue.append(pin.record)
            _check_pin(store, record, pin.record, pin.content, found)
    return found


def _check_pin(store: ArtifactStore, record: Record, pinned: str, content: str, found: Trace) -> None:
    try:
        actual = store.get_record(pinned).content
    except (Corrupt, NotFound):
        return  # reported when the walk reaches it
    if actual != content:
        found.problems.append(f"{record.asset}: its pin on record {pinned} names other data than that record holds")


def _check_objects(store: ArtifactStore, digest: str, record: Record, found: Trace) -> None:
    for part, ref in record.objects().items():
        try:
            with store.backend.open(object_key(ref.digest)) as stream:
                if stream_digest(stream)[0] != ref.digest:
                    found.problems.append(f"corrupt: {object_key(ref.digest)} ({record.label}: {part})")
        except NotFound:
            if ref.digest not in erased_objects(store, digest):
                found.problems.append(f"missing: {object_key(ref.digest)} ({record.label}: {part})")


def _node(store: ArtifactStore, digest: str, record: Record, found: Trace) -> dict[str, Any]:
    checks: dict[str, bool] = {}
    try:
        checks = store.verdicts(digest)
    except (Corrupt, NotFound) as error:
        found.problems.append(str(error))
    return {
        "record": digest,
        "asset": record.asset,
        "partition": record.partition,
        "digest": record.data_version,
        "rows": record.rows,
        "code_version": record.code_version,
        "config": record.config,
        "checks": checks,
        "sources": list(record.sources),
        "baselines": [pin.record for pin in record.inputs if pin.role == BASELINE],
        "run_id": record.run_id,
        "finished": record.finished,
    }
