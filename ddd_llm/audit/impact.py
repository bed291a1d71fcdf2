"""From a document or an annotator to everything reached: near-duplicates, instruction pairs, feedback, models. And from a text
to its document.

Row provenance is `id` and `source_ids` in the tables; this module only follows them, over every registered version as well as
over the heads of today.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ddd_llm.platform.versions import Version, versions
from ddd_llm.store.artifact_store import ArtifactStore
from ddd_llm.store.records import Record
from ddd_llm.store.session import Session, ancestors

RAW, DEDUPLICATED, DATASET, TUNED = "raw_documents", "deduplicated_documents", "instruction_dataset", "sft_model"
FEEDBACK = {"preference_pairs": "pairs", "span_feedback": "feedback"}
LEARNERS = ("dpo_model", "reward_models")
"""Models trained on feedback."""
REINFORCED = "rlhf_model"
"""The model that answers prompts and learns from what reward models say of its answers."""


def _heads(store: ArtifactStore) -> dict[str, Record]:
    session = Session.current(store)
    found: dict[str, Record] = {}
    for asset, partition in sorted(store.head_numbers(), key=lambda k: (k[0], k[1] or "")):
        held = session.head(asset, partition)
        if held is not None:
            found[held.digest] = held.record
    return found


def _version_records(store: ArtifactStore, version: Version) -> dict[str, Record]:
    return ancestors(store, store.get_record(version.record).inputs, baselines=False)


def _tables(
    store: ArtifactStore, records: Iterable[Record], asset: str, name: str, columns: list[str]
) -> Iterator[pa.Table]:
    """The distinct segments of one table over several records, each read once."""
    seen: set[str] = set()
    for record in records:
        if record.asset == asset and name in record.tables:
            for segment in record.tables[name].segments:
                if segment.object.digest not in seen:
                    seen.add(segment.object.digest)
                    yield store.read_segment(segment, columns)


def documents(store: ArtifactStore, text: str) -> list[dict[str, Any]]:
    """Documents whose text, title, locator or source holds `text` (case ignored), as ingested: before any pseudonym.

    Returns one dict per document and batch: id, source, locator, batch. The text itself is not returned.
    """
    found: list[dict[str, Any]] = []
    for record in _heads(store).values():
        if record.asset != RAW:
            continue
        columns = ["id", "source", "locator", "op", "title", "text"]
        for table in _tables(store, [record], RAW, "documents", columns):
            mask = pa.array([False] * table.num_rows)
            for column in ("text", "title", "locator", "source", "id"):
                hit = pc.match_substring(table[column], text, ignore_case=True)  # type: ignore[attr-defined]
                mask = pc.or_(mask, pc.fill_null(hit, False))  # type: ignore[attr-defined]
            for row in table.filter(mask).select(["id", "source", "locator", "op"]).to_pylist():
                found.append({**row, "batch": record.partition})
    return found


def impact(store: ArtifactStore, document_id: str) -> dict[str, Any] | None:
    """What a document reached; None when no batch ever held it.

    Examples made from a near-duplicate twin (the kept leader of a removed document, or documents removed in favour of this one)
    count, because the twin carries the same text; `via` names the document they were made from.
    """
    heads = _heads(store)
    by_version = {version: _version_records(store, version) for version in versions(store)}
    everything = dict(heads)
    for records in by_version.values():
        everything |= records
    located = [
        {**row, "batch": record.partition}
        for record in everything.values()
        for table in _tables(store, [record], RAW, "documents", ["id", "source", "locator", "op"])
        for row in table.filter(pc.equal(table["id"], document_id)).to_pylist()  # type: ignore[attr-defined]
    ]
    if not located:
        return None
    twins = _near_duplicates(store, everything.values(), document_id)
    ids = {document_id} | {twin["id"] for twin in twins}
    trained = _trained_on(store, everything.values())
    answered = _trained_on(store, everything.values(), REINFORCED)
    examples: dict[str, dict[str, Any]] = {}
    for table in _tables(store, everything.values(), DATASET, "examples", ["id", "split", "source_ids"]):
        for row in table.to_pylist():
            via = sorted(ids & set(row["source_ids"]))
            if via:
                examples[row["id"]] = {
                    "id": row["id"],
                    "split": row["split"],
                    "trained_on": row["id"] in trained,
                    "answered_in_rlhf": row["id"] in answered,
                    "via": via,
                }
    reached = []
    for version, records in by_version.items():
        used = _trained_on(store, records.values()) & examples.keys()
        if used:
            reached.append(
                {"name": version.name, "version": version.version, "alias": version.alias, "examples": len(used)}
            )
    return {
        "documents": located,
        "near_duplicates": twins,
        "examples": [examples[key] for key in sorted(examples)],
        "feedback": _feedback(store, everything, ids),
        "model_versions": reached,
    }


def _feedback(store: ArtifactStore, records: dict[str, Record], ids: set[str]) -> list[dict[str, Any]]:
    """Preference pairs and span feedback that show one of the documents, and the models that learnt from them."""
    used = _learners(store, records)
    found: dict[str, dict[str, Any]] = {}
    for asset, name in FEEDBACK.items():
        for table in _tables(store, records.values(), asset, name, ["id", "split", "source_ids"]):
            for row in table.to_pylist():
                if via := sorted(ids & set(row["source_ids"])):
                    about = {"asset": asset, "id": row["id"], "split": row["split"], "via": via}
                    found[row["id"]] = {**about, "trained": sorted(used.get(row["id"], ()))}
    return [found[key] for key in sorted(found)]


def _learners(store: ArtifactStore, records: dict[str, Record]) -> dict[str, set[str]]:
    # Row of feedback -> the models trained on it, and the one that was reinforced by such a model.
    teachers = {pin.record for record in records.values() if record.asset == REINFORCED for pin in record.inputs}
    used: dict[str, set[str]] = {}
    for digest, record in records.items():
        if record.asset in LEARNERS:
            names = {record.label, REINFORCED} if digest in teachers else {record.label}
            for table in _tables(store, [record], record.asset, "trained_on", ["id"]):
                for row in table["id"].to_pylist():
                    used.setdefault(row, set()).update(names)
    return used


def annotator(store: ArtifactStore, name: str) -> dict[str, Any] | None:
    """What a person's labels reached: labels, feedback rows and models; None when nobody of that name labelled anything."""
    records = _heads(store)
    heads = list(records.values())
    labels = [
        row["id"]
        for table in _tables(store, heads, "annotations", "labels", ["id", "annotator"])
        for row in table.to_pylist()
        if row["annotator"] == name
    ]
    rows: list[dict[str, Any]] = []
    for asset, table_name in FEEDBACK.items():
        for table in _tables(store, heads, asset, table_name, ["id", "split", "annotators"]):
            rows += [{"asset": asset, **row} for row in table.to_pylist() if name in row["annotators"]]
    if not labels and not rows:
        return None
    used = _learners(store, records)
    models = sorted(set().union(*(used.get(row["id"], set()) for row in rows)))
    listed = [{"asset": r["asset"], "id": r["id"], "split": r["split"]} for r in rows]
    return {"annotator": name, "labels": len(labels), "feedback": listed, "models": models}


def _near_duplicates(store: ArtifactStore, records: Iterable[Record], document_id: str) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for table in _tables(store, records, DEDUPLICATED, "decisions", ["id", "kept_id", "jaccard"]):
        removed = table.filter(pc.equal(table["kept_id"], document_id)).to_pylist()  # type: ignore[attr-defined]
        leaders = table.filter(pc.equal(table["id"], document_id)).to_pylist()  # type: ignore[attr-defined]
        for row in removed:
            if row["id"] != document_id:
                found[row["id"]] = {"id": row["id"], "jaccard": row["jaccard"], "kept": False}
        for row in leaders:
            if row["kept_id"] not in (None, document_id):
                found[row["kept_id"]] = {"id": row["kept_id"], "jaccard": row["jaccard"], "kept": True}
    return [found[key] for key in sorted(found)]


def _trained_on(store: ArtifactStore, records: Iterable[Record], asset: str = TUNED) -> set[str]:
    return {row for table in _tables(store, records, asset, "trained_on", ["id"]) for row in table["id"].to_pylist()}
