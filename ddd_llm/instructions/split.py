"""Train, validation and test: whole components of related documents, in splits that growth never changes.

Here belongs the rule that says in which split a document lies. Here does not belong the search for near-duplicates
(`similarity`), the choice of examples (`selection`), or the check afterwards (`leakage`), which shares no code with it.

The rule is a pure function of documents, batches and near-duplicate pairs; it keeps no state. Two documents are related
when they come from one module or are a near-duplicate pair (J >= .5); a component is a set of related modules. Batches
are taken in order, and a batch looks only at itself and at earlier ones:

1. Modules that the batch brings are joined through pairs among its documents. A group that touches no earlier module is
   a new component, named after its first module; a stable hash of that name assigns its split. A group that touches
   earlier modules joins the component of the earliest of them. Documents of an earlier module follow their module.
2. A document that then has a near-duplicate in another split, placed before it, is left out (`split_conflict`): it
   bridges two components that were assigned before it came, and neither side may move.

So adding batches changes neither the split of an earlier document nor whether it is left out; no module and no pair
lies in two splits. Only taking documents away (an erasure, a revised file) can rename a component and so reassign it,
which a new dataset record then shows.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


class SplitConfig(BaseModel):
    """Settings of the split."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    validation: float = Field(default=0.1, gt=0.0, lt=1.0, description="Share of components held out for validation.")
    test: float = Field(default=0.1, gt=0.0, lt=1.0, description="Share of components held out for test.")
    jaccard: float = Field(default=0.5, gt=0.0, le=1.0, description="Similarity from which two texts may not be split.")
    largest_held_out: float = Field(
        default=0.2,
        gt=0.0,
        le=1.0,
        description="A new component with more than this share of the documents so far is assigned to train.",
    )

    @model_validator(mode="after")
    def _leaves_train(self) -> "SplitConfig":
        if self.validation + self.test >= 1.0:
            raise ValueError("validation + test must leave a share for train")
        return self


@dataclass(frozen=True)
class SplitPlan:
    """Split and component per kept document id, and per document left out the id of the near-duplicate that bars it."""

    split: Mapping[str, Split]
    component: Mapping[str, str]
    conflicts: Mapping[str, str]


def assign(component: str, config: SplitConfig) -> Split:
    """Split of a component by a stable hash of its name: uniform in [0, 1), test first, then validation, then train."""
    place = int.from_bytes(hashlib.sha256(f"split\x1f{component}".encode()).digest()[:7], "big") / 2**56
    if place < config.test:
        return "test"
    return "validation" if place < config.test + config.validation else "train"


def module_of(locator: str) -> str:
    """What a document stays in one split with: its module where the locator is `module:qualname`, the file of `file:line`, else
    the locator itself."""
    return locator.rpartition(":")[0] or locator


def plan_splits(
    documents: pa.Table, pairs: pa.Table, config: SplitConfig, batches: Sequence[str] | None = None
) -> SplitPlan:
    """Place every document in a split.

    Args:
        documents: columns `id`, `module`, `batch`; one row per document, any order.
        pairs: columns `left_id`, `right_id`, `jaccard`; pairs below `config.jaccard` or of other documents are ignored.
        config: settings.
        batches: batch names in order of ingestion; None takes them in order of their names.

    Raises:
        ValueError: a document id occurs twice, or a batch is missing from `batches`.
    """
    ids, modules, of_batch = (documents.column(name).to_pylist() for name in ("id", "module", "batch"))
    module = dict(zip(ids, modules, strict=True))
    if len(module) != len(ids):
        raise ValueError("a document id occurs twice")
    order = list(batches) if batches is not None else sorted(set(of_batch))
    if set(of_batch) - set(order):
        raise ValueError(f"batches without a place in the order: {sorted(set(of_batch) - set(order))}")
    members: dict[str, list[str]] = {name: [] for name in order}
    for document, batch in zip(ids, of_batch, strict=True):
        members[batch].append(document)
    planner = _Planner(module, _neighbours(pairs, module, config.jaccard), config)
    for name in order:
        planner.take(sorted(members[name], key=lambda document: (module[document], document)))
    return SplitPlan(planner.split, planner.component, planner.conflicts)


def _neighbours(pairs: pa.Table, known: Mapping[str, str], threshold: float) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    columns = (pairs.column(name).to_pylist() for name in ("left_id", "right_id", "jaccard"))
    for left, right, jaccard in sorted(zip(*columns, strict=True)):
        if jaccard >= threshold and left in known and right in known and left != right:
            found.setdefault(left, []).append(right)
            found.setdefault(right, []).append(left)
    return found


class _Planner:
    """The walk over the batches: homes of modules, in the order in which modules came."""

    def __init__(self, module: Mapping[str, str], neighbours: Mapping[str, list[str]], config: SplitConfig) -> None:
        self.split: dict[str, Split] = {}
        self.component: dict[str, str] = {}
        self.conflicts: dict[str, str] = {}
        self._module = module
        self._neighbours = neighbours
        self._config = config
        self._home: dict[str, str] = {}
        self._assigned: dict[str, Split] = {}
        self._seen = 0

    def take(self, batch: list[str]) -> None:
        """Place the documents of one batch, sorted by module and id."""
        self._seen += len(batch)
        arrived = set(batch)
        rank = {name: place for place, name in enumerate(self._home)}
        fresh = sorted({self._module[d] for d in batch} - self._home.keys())
        content: dict[str, list[str]] = {}
        for document in batch:
            content.setdefault(self._module[document], []).append(document)
        for group in self._groups(fresh, batch, arrived):
            self._settle(group, [d for name in group for d in content[name]], arrived, rank)
        for document in batch:
            self._place(document)

    def _groups(self, fresh: list[str], batch: list[str], arrived: set[str]) -> list[list[str]]:
        """New modules joined through pairs among the batch's documents; each group sorted, groups in order of name."""
        parent = {name: name for name in fresh}

        def root(name: str) -> str:
            while parent[name] != name:
                parent[name] = parent[parent[name]]
                name = parent[name]
            return name

        for document in batch:
            for other in self._neighbours.get(document, ()):
                left, right = self._module[document], self._module[other]
                if other in arrived and left in parent and right in parent:
                    first, second = sorted((root(left), root(right)))
                    parent[second] = first
        groups: dict[str, list[str]] = {}
        for name in fresh:
            groups.setdefault(root(name), []).append(name)
        return list(groups.values())

    def _settle(self, group: list[str], documents: list[str], arrived: set[str], rank: Mapping[str, int]) -> None:
        """Give the modules of a group, which hold `documents`, their component and its split."""
        touched = self._touched(documents, arrived, rank)
        if touched:
            home = self._home[min(touched, key=rank.__getitem__)]
        else:
            home = group[0]
            large = len(documents) > self._config.largest_held_out * self._seen
            self._assigned[home] = "train" if large else assign(home, self._config)
        self._home.update((name, home) for name in group)

    def _touched(self, documents: Iterable[str], arrived: set[str], rank: Mapping[str, int]) -> set[str]:
        """Earlier modules with a document, kept or of this batch, that is a near-duplicate of one of `documents`."""
        return {
            self._module[other]
            for document in documents
            for other in self._neighbours.get(document, ())
            if self._module[other] in rank and (other in self.split or other in arrived)
        }

    def _place(self, document: str) -> None:
        home = self._home[self._module[document]]
        split = self._assigned[home]
        barring = [o for o in self._neighbours.get(document, ()) if self.split.get(o, split) != split]
        if barring:
            self.conflicts[document] = barring[0]
            return
        self.split[document] = split
        self.component[document] = home
