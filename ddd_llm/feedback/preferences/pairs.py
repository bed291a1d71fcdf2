"""The table of preference pairs, and merging what people, red teams, judges and programs prefer into it.

Belongs here: the schema, merging, what is refused on the way. Does not: judging the whole (`qa`), nor the sources themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ddd_llm.feedback.constructed import Planted
from ddd_llm.feedback.labels import Item
from ddd_llm.feedback.splits import Splits, part
from ddd_llm.instructions.prompts import compose
from ddd_llm.store.canonical import canonical_json, digest

PAIRS_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("prompt", pa.string()),  # messages as JSON, the last one the user's
        ("chosen", pa.string()),
        ("rejected", pa.string()),
        ("origins", pa.list_(pa.string())),  # people, demo, adversarial, rlaif, constructed
        ("rubrics", pa.string()),  # {rubric: [chosen, rejected]} as JSON, where people scored
        ("gap", pa.string()),  # the safety gap an adversarial pair aims at
        ("error", pa.string()),  # the error planted in a constructed pair
        ("annotators", pa.list_(pa.string())),
        ("label_ids", pa.list_(pa.string())),
        ("item_id", pa.string()),
        ("judge", pa.string()),
        ("source_ids", pa.list_(pa.string())),  # documents the prompt shows
        ("component", pa.string()),  # what may not be parted by the split
        ("split", pa.string()),  # train, held_out
    ]
)
QUARANTINE_SCHEMA = pa.schema([(name, pa.string()) for name in ("origin", "place", "reason", "detail")])
Pair = dict[str, Any]


@dataclass(frozen=True)
class Merged:
    """`pairs` (PAIRS_SCHEMA, by id), `quarantine`, and counts of items that were judged a tie, by origin."""

    pairs: pa.Table
    quarantine: pa.Table
    ties: dict[str, int]


def pair_id(prompt: str, chosen: str, rejected: str) -> str:
    """Digest of what a pair says."""
    return digest(canonical_json([prompt, chosen, rejected]))


def prompt_of(passage: str | None, question: str) -> str:
    """A prompt as JSON messages, in the form the instruction dataset has."""
    return json.dumps([{"role": "user", "content": compose(passage, question)}], ensure_ascii=False)


def from_people(adjudicated: pa.Table, items: Mapping[str, Item], splits: Splits) -> tuple[list[Pair], dict[str, int]]:
    """Pairs of settled preferences, and the number of ties by origin (a tie prefers nothing).

    Args:
        adjudicated: ADJUDICATED_SCHEMA; rows of other kinds are passed over.
        items: by id.
        splits: side of each.
    """
    pairs, ties = [], {}
    for row in adjudicated.to_pylist():
        if row["kind"] != "preference":
            continue
        value, item = json.loads(row["value"]), items[row["item_id"]]
        if value["preferred"] == "tie":
            ties[row["origin"]] = ties.get(row["origin"], 0) + 1
            continue
        order = (0, 1) if value["preferred"] == "first" else (1, 0)
        chosen, rejected = (item.responses[i] for i in order)
        component, split = splits.of(item)
        pairs.append(
            pair(
                prompt_of(item.passage, item.prompt),
                chosen,
                rejected,
                row["origin"],
                rubrics=json.dumps({name: [s[i] for i in order] for name, s in sorted(value["rubrics"].items())}),
                annotators=row["annotators"],
                label_ids=row["label_ids"],
                item_id=row["item_id"],
                source_ids=sorted(item.source_ids),
                component=component,
                split=split,
            )
        )
    return pairs, ties


def settled_preferences(adjudicated: pa.Table) -> dict[str, str]:
    """first, second or tie of each item on which people's preference is settled."""
    rows = adjudicated.select(["item_id", "kind", "value"]).to_pylist()
    return {row["item_id"]: json.loads(row["value"])["preferred"] for row in rows if row["kind"] == "preference"}


def from_constructed(planted: Iterable[Planted]) -> list[Pair]:
    """Pairs whose order a program proved: the right answer over its harmed copy."""
    return [
        pair(
            p.prompt,
            p.right,
            p.harmed,
            "constructed",
            error=p.error,
            source_ids=sorted(p.source_ids),
            component=p.component,
            split=p.split,
        )
        for p in planted
    ]


def from_judge(
    judged: pa.Table,
    items: Mapping[str, Item],
    accepted: bool,
    splits: Splits,
    settled: Mapping[str, str] | None = None,
) -> tuple[list[Pair], list[dict[str, str]]]:
    """Pairs of a batch that a machine judged (`judge.JUDGED_SCHEMA`), and quarantine rows `overruled_by_people`.

    Args:
        judged: the batch.
        items: by id.
        accepted: whether the batch was; of another there are no pairs.
        splits: side of each.
        settled: what people prefer of the items that they judged as well; where they differ, their word stands.
    """
    pairs, refused = [], []
    for row in judged.to_pylist() if accepted else ():
        if row["preferred"] not in ("first", "second"):
            continue
        people = (settled or {}).get(row["item_id"], row["preferred"])
        if people != row["preferred"]:
            detail = f"the judge prefers the {row['preferred']}, people say {people}"
            refused.append(refused_row("rlaif", row["item_id"], "overruled_by_people", detail))
            continue
        item = items[row["item_id"]]
        chosen, rejected = item.responses if row["preferred"] == "first" else item.responses[::-1]
        component, split = splits.of(item)
        pairs.append(
            pair(
                prompt_of(item.passage, item.prompt),
                chosen,
                rejected,
                "rlaif",
                item_id=row["item_id"],
                judge=row["judge"],
                source_ids=sorted(item.source_ids),
                component=component,
                split=split,
            )
        )
    return pairs, refused


def pair(prompt: str, chosen: str, rejected: str, origin: str, **more: Any) -> Pair:
    """A row of PAIRS_SCHEMA; what is not given is null or empty."""
    empty = {"annotators": [], "label_ids": [], "source_ids": []}
    known = {"id": pair_id(prompt, chosen, rejected), "prompt": prompt, "chosen": chosen, "rejected": rejected}
    return {**dict.fromkeys(PAIRS_SCHEMA.names), **empty, **known, "origins": [origin], **more}


def refused_row(origin: str, place: str, reason: str, detail: str) -> dict[str, str]:
    """A row of QUARANTINE_SCHEMA."""
    return {"origin": origin, "place": place, "reason": reason, "detail": detail}


def merge(pairs: Iterable[Pair], refused: Iterable[dict[str, str]] = (), ties: dict[str, int] | None = None) -> Merged:
    """One table of everybody's pairs.

    A pair that comes from several origins stands once and names them all. Quarantined: `same_answers`; `contradiction`, a pair
    whose answers are preferred the other way round as well; `split_conflict`, a train pair whose prompt, or a document of it,
    is held out.
    """
    rows = list(refused)
    by_id: dict[str, Pair] = {}
    for pair in sorted(pairs, key=lambda p: (p["id"], p["origins"])):
        if pair["chosen"] == pair["rejected"]:
            rows.append(refused_row(pair["origins"][0], pair["id"], "same_answers", "both answers are the same"))
        elif (other := by_id.get(pair["id"])) is not None:
            by_id[pair["id"]] = _united(other, pair)
        else:
            by_id[pair["id"]] = pair
    sound = []
    for pair in by_id.values():
        if pair_id(pair["prompt"], pair["rejected"], pair["chosen"]) in by_id:
            detail = "the same two answers are preferred the other way round, too"
            rows.append(refused_row(pair["origins"][0], pair["id"], "contradiction", detail))
        else:
            sound.append(pair)
    kept, conflict = part(sound)
    detail = "its prompt, or a document of it, is held out"
    rows += [refused_row(pair["origins"][0], pair["id"], "split_conflict", detail) for pair in conflict]
    return Merged(
        pa.Table.from_pylist(kept, schema=PAIRS_SCHEMA),
        pa.Table.from_pylist(sorted(rows, key=lambda r: tuple(r.values())), schema=QUARANTINE_SCHEMA),
        dict(sorted((ties or {}).items())),
    )


def _united(one: Pair, two: Pair) -> Pair:
    joined = {name: sorted({*one[name], *two[name]}) for name in ("origins", "annotators", "label_ids", "source_ids")}
    split = "held_out" if "held_out" in (one["split"], two["split"]) else "train"
    filled = {name: one[name] if one[name] is not None else two[name] for name in one}
    return {**filled, **joined, "split": split}
