"""Which candidates of a split go into the dataset: quotas per task, caps per package and module.

Here belongs the choice among candidates of one split. Here does not belong the split itself (`split`) or the assembly
of the dataset (`build`). Every order is by a stable hash of what an example says, so the choice is the same on every
machine and under every key.
"""

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ddd_llm.instructions.prompts import stable_hash

REFUSAL_TASKS = ("unknown_parameter", "unknown_object", "undescribed_parameter")
"""Categories of what must be refused."""


@dataclass(frozen=True)
class Item:
    """What the choice needs to know of a candidate.

    `twin` is the benign look-alike of a refusal example; `key` is what its place in the order is drawn from.
    """

    id: str
    task: str
    closed_book: bool
    package: str
    module: str
    twin: str | None = None
    key: str = ""


@dataclass(frozen=True)
class Quota:
    """How many examples of one split: in all, per task (weights), refusals (and their categories' weights among themselves) and
    closed book as shares of all."""

    size: int
    weights: Mapping[str, float]
    refusal_share: float
    refusals: Mapping[str, float]
    closed_book_share: float
    package_share: float
    per_module: int


def select(items: Sequence[Item], quota: Quota) -> tuple[set[str], dict[str, str]]:
    """Choose the examples of one split.

    Refusals come first, by the weights of their categories (where one has too few, the weightier ones fill up), and bring
    their twins, which count for the twins' tasks; then each task up to its quota; then,
    where a task had too few, other tasks fill up. Within a task packages take turns. A package gives at most
    `package_share` of `size` (more where there are too few packages to fill it), a module at most `per_module`.

    Returns:
        Ids chosen, and per id not chosen the reason: `package_cap`, `module_cap`, `quota`.
    """
    chooser = _Chooser(items, quota)
    closed = round(quota.size * quota.closed_book_share)
    chooser.take([item for item in items if item.closed_book], closed)
    open_book = [item for item in items if not item.closed_book]
    open_size = quota.size - closed
    refusals = [item for item in open_book if item.task in REFUSAL_TASKS]
    wanted = round(quota.size * quota.refusal_share)
    categories = sorted(REFUSAL_TASKS, key=lambda task: -quota.refusals.get(task, 0.0))
    total = sum(quota.refusals.values()) or 1.0
    for task in categories:
        mine = [item for item in refusals if item.task == task]
        chooser.take_with_twins(mine, round(wanted * quota.refusals.get(task, 0.0) / total))
    for task in categories:
        mine = [item for item in refusals if item.task == task and quota.refusals.get(task)]
        chooser.take_with_twins(mine, wanted - chooser.count(refusals))
    benign = [item for item in open_book if item.task not in REFUSAL_TASKS]
    weights = {task: weight for task, weight in sorted(quota.weights.items()) if weight > 0}
    room = max(0, open_size - wanted)
    for task, weight in weights.items():
        wanted = round(room * weight / sum(weights.values()))
        have = chooser.count([item for item in benign if item.task == task])
        left = open_size - chooser.count(open_book)
        chooser.take([item for item in benign if item.task == task], min(wanted - have, left))
    weighted = [item for item in benign if item.task in weights]
    chooser.take(weighted, open_size - chooser.count(open_book))
    return chooser.chosen, {item.id: chooser.reason(item) for item in items if item.id not in chooser.chosen}


class _Chooser:
    def __init__(self, items: Sequence[Item], quota: Quota) -> None:
        self.chosen: set[str] = set()
        self._by_id = {item.id: item for item in items}
        self._of_package: Counter[str] = Counter()
        self._of_module: Counter[str] = Counter()
        packages = len({item.package for item in items})
        self._package_cap = math.ceil(quota.size * max(quota.package_share, 1.5 / max(1, packages)))
        self._module_cap = quota.per_module

    def take(self, items: Sequence[Item], count: int) -> None:
        """Choose up to `count` of `items`, packages taking turns."""
        for item in _in_turns(items):
            if count <= 0:
                return
            count -= self._add(item)

    def take_with_twins(self, items: Sequence[Item], count: int) -> None:
        """Choose up to `count` of `items`, each together with its twin, or not at all."""
        for item in _in_turns([item for item in items if item.id not in self.chosen]):
            if count <= 0:
                return
            twin = self._by_id.get(item.twin or "")
            if twin is not None and self._fits(item, 2) and (twin.id in self.chosen or self._add(twin)):
                count -= self._add(item)

    def count(self, items: Sequence[Item]) -> int:
        """How many of `items` are chosen."""
        return sum(item.id in self.chosen for item in items)

    def reason(self, item: Item) -> str:
        """Why an item was not chosen."""
        if self._of_package[item.package] >= self._package_cap:
            return "package_cap"
        return "module_cap" if self._of_module[item.module] >= self._module_cap else "quota"

    def _fits(self, item: Item, count: int = 1) -> bool:
        return (
            self._of_package[item.package] + count <= self._package_cap
            and self._of_module[item.module] + count <= self._module_cap
        )

    def _add(self, item: Item) -> bool:
        if item.id in self.chosen or not self._fits(item):
            return False
        self.chosen.add(item.id)
        self._of_package[item.package] += 1
        self._of_module[item.module] += 1
        return True


def _in_turns(items: Sequence[Item]) -> list[Item]:
    """Items in an order in which packages take turns, each giving its items by stable hash."""
    queues: dict[str, deque[Item]] = {}
    for item in sorted(items, key=lambda item: (item.package, stable_hash("select", item.key), item.id)):
        queues.setdefault(item.package, deque()).append(item)
    ordered: list[Item] = []
    waiting = deque(queues.values())
    while waiting:
        queue = waiting.popleft()
        ordered.append(queue.popleft())
        if queue:
            waiting.append(queue)
    return ordered
