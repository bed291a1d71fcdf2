"""The instruction dataset: candidates placed in splits, chosen by quota, mixed with the user's own examples if asked
for.

Here belongs the assembly. Here does not belong how an example is made (`candidates`), placed (`split`) or chosen
(`selection`).
"""

import json
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ddd_llm.instructions.candidates import CANDIDATES_SCHEMA, DECISIONS_SCHEMA, example_id
from ddd_llm.instructions.coverage import Coverage, coverage
from ddd_llm.instructions.own import QUARANTINE_SCHEMA, OwnExamples, resting_on
from ddd_llm.instructions.prompts import passage_of, stable_hash
from ddd_llm.instructions.recipe import STAGE, DatasetConfig, OwnExamplesEntry
from ddd_llm.instructions.selection import REFUSAL_TASKS, Item, select
from ddd_llm.instructions.similarity import near_pairs
from ddd_llm.instructions.split import SPLITS, SplitPlan, module_of, plan_splits
from ddd_llm.platform.inputs import InputError

OWN_TASK = "own"
EXAMPLES_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("task", pa.string()),
        ("split", pa.string()),
        ("slice", pa.string()),
        ("messages", pa.string()),
        ("facts", pa.string()),
        ("source_ids", pa.list_(pa.string())),
        ("package", pa.string()),
        ("module", pa.string()),
        ("component", pa.string()),
        ("generator", pa.string()),
        ("generator_version", pa.string()),
        ("author", pa.string()),  # program, model, person
        ("guideline", pa.string()),  # name and version that a person wrote it under; null where there was none
        ("stage", pa.string()),  # instruction, domain
    ]
)


@dataclass(frozen=True)
class BuiltDataset:
    """The dataset (`EXAMPLES_SCHEMA`, by split and stable hash), what became of each candidate, and the coverage.

    `decisions` has one row per candidate; reasons of dropped ones: `no_document` (its document is not among those
    given), `split_conflict`, `duplicate_prompt`, `package_cap`, `module_cap`, `quota`; of those that a model wrote
    also `held_out_document` and `synthetic_share`. `quarantine` holds refused lines of the user's own files.
    """

    table: pa.Table
    decisions: pa.Table
    coverage: Coverage
    quarantine: pa.Table


def build_dataset(
    candidates: pa.Table,
    documents: pa.Table,
    pairs: pa.Table,
    config: DatasetConfig,
    own: Sequence[OwnExamples] = (),
    batches: Sequence[str] | None = None,
    synthetic: pa.Table | None = None,
) -> BuiltDataset:
    """Build the instruction dataset.

    Args:
        candidates: examples without split and component (`CANDIDATES_SCHEMA`).
        documents: the curated documents; columns `id`, `locator` (`module:qualname`) and `batch` are read.
        pairs: near-duplicate documents, columns `left_id`, `right_id`, `jaccard`. Pairs of passages that candidates
            show
            are found here and added: two documents may be alike only where they are quoted.
        config: settings.
        own: what `permitted` left of each of `config.own_examples`, in that order; they all go into train.
        batches: batch names in order of ingestion; None takes them in order of their names.
        synthetic: examples that a model wrote (`CANDIDATES_SCHEMA`); train alone takes some of them, for nobody checked what a
            model is held against.

    Raises:
        ValueError: `own` does not match `config.own_examples`, so examples would be mixed in without the recipe saying
            so (or left out although it does); or documents repeat an id.
        InputError: a stage has more of the train split than `config.mix` allows.
    """
    if len(own) != len(config.own_examples):
        raise ValueError(f"{len(own)} files of own examples given, the recipe names {len(config.own_examples)}")
    made = candidates.cast(CANDIDATES_SCHEMA).to_pylist()
    written = [] if synthetic is None else synthetic.cast(CANDIDATES_SCHEMA).to_pylist()
    rows = [*made, *written]
    plan = _plan(rows, documents, pairs, config, batches)
    placed, reasons = _placed(made, plan)
    chosen: list[dict[str, Any]] = []
    for split in SPLITS:
        mine = [row for row in placed if row["split"] == split]
        ids, dropped = select(_items(mine), config.quota(split))
        chosen += [{**row, "author": "program"} for row in mine if row["id"] in ids]
        reasons |= dropped
    prompts = {json.loads(row["messages"])[0]["content"] for row in chosen}
    taken, dropped = _synthetic(written, plan, prompts, round(config.train_size * config.synthetic_share))
    chosen += [{**row, "author": "model"} for row in taken]
    reasons |= dropped
    curated = set(documents["id"].to_pylist())
    held_out = {document for document, split in plan.split.items() if split != "train"}
    own = [resting_on(examples, curated, held_out) for examples in own]
    for entry, examples in zip(config.own_examples, own, strict=True):
        chosen += _own_rows(examples, entry)
    chosen = [{"stage": STAGE, **row} for row in chosen]
    _check_mix(chosen, config)
    # By what they say and not by id, which depends on this installation's key: training takes rows in this order.
    chosen.sort(key=lambda row: (row["split"], stable_hash("row", row["messages"]), row["id"]))
    table = pa.Table.from_pylist(chosen, schema=EXAMPLES_SCHEMA)
    decisions = [
        {"id": row["id"], "verdict": "dropped" if row["id"] in reasons else "kept", "reason": reasons.get(row["id"])}
        for row in rows
    ]
    quarantine = pa.concat_tables([QUARANTINE_SCHEMA.empty_table(), *(examples.quarantine for examples in own)])
    return BuiltDataset(table, pa.Table.from_pylist(decisions, schema=DECISIONS_SCHEMA), coverage(table), quarantine)


def _plan(
    rows: list[dict[str, Any]],
    documents: pa.Table,
    pairs: pa.Table,
    config: DatasetConfig,
    batches: Sequence[str] | None,
) -> SplitPlan:
    """Splits of the documents that candidates come from, with the pairs of their passages added to the pairs given."""
    passages: dict[tuple[str, str], None] = {}
    for row in rows:
        passage = passage_of(json.loads(row["messages"])[0]["content"])
        if passage is not None:
            passages[(row["source_ids"][0], passage)] = None
    shown = near_pairs([source for source, _ in passages], [text for _, text in passages], config.split.jaccard)
    given = pairs.select(shown.column_names).cast(shown.schema)
    used = {row["source_ids"][0] for row in rows}
    columns = (documents.column(name).to_pylist() for name in ("id", "locator", "batch"))
    kept = [(i, module_of(locator), batch) for i, locator, batch in zip(*columns, strict=True) if i in used]
    table = pa.table({name: [row[k] for row in kept] for k, name in enumerate(("id", "module", "batch"))})
    return plan_splits(table, pa.concat_tables([given, shown]), config.split, batches)


def _placed(
    rows: list[dict[str, Any]], plan: SplitPlan, taken: Set[str] = frozenset()
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Candidates with split and component, one per prompt that is not taken yet, and the reasons of those without."""
    placed: list[dict[str, Any]] = []
    reasons: dict[str, str] = {}
    prompts = set(taken)
    for row in sorted(rows, key=lambda row: (stable_hash("prompt", row["messages"]), row["id"])):
        source = row["source_ids"][0]
        prompt = json.loads(row["messages"])[0]["content"]
        if source not in plan.split:
            reasons[row["id"]] = "split_conflict" if source in plan.conflicts else "no_document"
        elif prompt in prompts:
            reasons[row["id"]] = "duplicate_prompt"
        else:
            prompts.add(prompt)
            placed.append({**row, "split": plan.split[source], "component": plan.component[source]})
    return placed, reasons


def _synthetic(
    rows: list[dict[str, Any]], plan: SplitPlan, prompts: Set[str], most: int
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """What train takes of the examples that a model wrote, by stable hash, and the reasons of the others; `prompts` are taken."""
    placed, reasons = _placed(rows, plan, prompts)
    reasons |= {row["id"]: "held_out_document" for row in placed if row["split"] != "train"}
    train = [row for row in placed if row["split"] == "train"]
    reasons |= {row["id"]: "synthetic_share" for row in train[most:]}
    return train[:most], reasons


def _items(rows: list[dict[str, Any]]) -> list[Item]:
    benign = {(row["source_ids"][0], row["task"]): row["id"] for row in rows if row["slice"] == "open_book"}
    items = []
    for row in rows:
        twin = None
        if row["task"] in REFUSAL_TASKS:
            twin = benign.get((row["source_ids"][0], json.loads(row["facts"])["form"]))
        closed_book = row["slice"] == "closed_book"
        items.append(
            Item(row["id"], row["task"], closed_book, row["package"], row["module"], twin, key=row["messages"])
        )
    return items


def _check_mix(rows: list[dict[str, Any]], config: DatasetConfig) -> None:
    stages = Counter(row["stage"] for row in rows if row["split"] == "train")
    for stage, most in config.mix.items():
        share = stages[stage] / max(1, stages.total())
        if share > most:
            raise InputError(
                f"{stages[stage]:,} of {stages.total():,} train examples are of stage {stage}, {share:.1%}; dataset.mix allows "
                f"{most:.1%}: repeat them less, or raise train_size"
            )


def _own_rows(examples: OwnExamples, entry: OwnExamplesEntry) -> list[dict[str, Any]]:
    """Train rows of the user's conversations. Each repetition has an id of its own; the first one's names the
    source."""
    module = f"{OWN_TASK}:{examples.name}"
    rows: dict[str, dict[str, Any]] = {}
    for conversation in examples.conversations:
        source = example_id(OWN_TASK, [module], conversation.messages)
        for turn in range(entry.repeat):
            identity = source if turn == 0 else example_id(OWN_TASK, [module, str(turn)], conversation.messages)
            rows[identity] = {
                "id": identity,
                "task": OWN_TASK,
                "split": "train",
                "slice": "closed_book",
                "messages": json.dumps(list(conversation.messages), ensure_ascii=False),
                "facts": json.dumps({"task": OWN_TASK}),
                "source_ids": [source, *conversation.source_ids],
                "package": OWN_TASK,
                "module": module,
                "component": module,
                "generator": OWN_TASK,
                "generator_version": "1",
                "author": "person",
                "guideline": conversation.guideline,
                "stage": entry.stage,
            }
    return list(rows.values())
