"""What the parts of `fine_grained.py` share: folders, running trainings, curves and tables.

Belongs here: the tools. Does not: what is compared.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ddd_llm.feedback.agreement.alpha import bootstrap
from ddd_llm.training.base_model import prepare
from ddd_llm.training.errors import TrainingError
from ddd_llm.training.job import TrainingJob
from ddd_llm.training.launch import run_plain
from ddd_llm.training.recipe import BaseModelSpec, SftRecipe
from ddd_llm.training.rlhf.recipe import RlhfRecipe
from ddd_llm.training.rlhf.run import RlhfJob
from ddd_llm.training.sft import SftJob

ARMS = {"dense": {"credit": "segment", "lam": 0.95}, "holistic": {"credit": "sequence", "lam": 0.99}}
"""Lambda as Wu et al. 2023 have it for each."""
_SMOOTH = 5


class Bench:
    """What all parts share: folders, the base model, and running jobs, several at once where asked."""

    def __init__(self, chosen: argparse.Namespace, folder: Path) -> None:
        self.chosen, self.folder = chosen, folder
        self.base = chosen.base
        if self.base is None:
            self.base = folder / "base"
            prepare(BaseModelSpec(), self.base, lambda message: None)
        self.threads = max(1, (os.cpu_count() or 2) // chosen.jobs)

    def run(self, jobs: Mapping[str, TrainingJob]) -> None:
        """Run jobs, each in a process of its own; a failed one ends the benchmark with its last words."""

        def one(entry: tuple[str, TrainingJob]) -> None:
            name, job = entry
            start = time.perf_counter()
            try:
                run_plain(job)
            except TrainingError as error:
                raise SystemExit(f"{name} failed: {error}") from error
            print(f"  {name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)

        with ThreadPoolExecutor(self.chosen.jobs) as pool:
            list(pool.map(one, jobs.items()))

    def settings(self) -> dict[str, Any]:
        """What every recipe of this machine shares."""
        return {"threads": self.threads, "save_every": 1_000_000}

    def supervised(self, name: str, dataset: Path, **changes: Any) -> Path:
        """An adapter trained on a dataset for few steps, so that there is something left to learn."""
        made = SftJob(
            base=self.base,
            dataset=dataset,
            recipe=SftRecipe.model_validate(
                {"batch_size": 8, "eval_every": 0, "eval_examples": 0, **self.settings(), **changes}
            ),
            scratch=self.folder / f"{name}-scratch",
            output=self.folder / name,
        )
        self.run({name: made})
        return made.output / "adapter"

    def policy(
        self, name: str, dataset: Path, adapter: Path | None, inputs: dict[str, Path], **changes: Any
    ) -> RlhfJob:
        """A job of policy optimisation."""
        return RlhfJob(
            base=self.base,
            adapter=adapter,
            dataset=dataset,
            inputs=inputs,
            recipe=RlhfRecipe.model_validate({**self.settings(), "best_of": 1, **changes}),
            scratch=self.folder / f"{name}-scratch",
            output=self.folder / name,
        )


def curve(job: TrainingJob, name: str = "reward") -> list[float]:
    """A figure of each rollout, in order."""
    losses = json.loads((job.output / "losses.json").read_bytes())
    return [row["rollout"][name] for row in losses if "rollout" in row]


def smooth(values: Sequence[float]) -> list[float]:
    """Mean of the last few rollouts at each."""
    return [float(np.mean(values[max(0, i + 1 - _SMOOTH) : i + 1])) for i in range(len(values))]


def reach(values: Sequence[float], level: float) -> int | None:
    """Rollouts until the smoothed figure reaches a level."""
    return next((i + 1 for i, value in enumerate(smooth(values)) if value >= level), None)


def interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Mean over seeds with its 95% bootstrap interval."""
    given = np.array(values, float)
    low, high = bootstrap(len(given), 4000, 0, 0.95, lambda w: w @ given / w.sum(1))
    return float(given.mean()), low, high


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """For people."""
    print(f"\n{title}")
    cells = [list(heads), *[[_cell(value) for value in row] for row in rows]]
    widths = [max(len(line[i]) for line in cells) for i in range(len(heads))]
    for line in cells:
        print("  " + "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)))


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) and not math.isnan(value) else str(value)


def with_interval(found: Mapping[str, Any], name: str) -> str:
    if found.get(name) is None:
        return "undefined"
    low, high = found[f"{name}_low"], found[f"{name}_high"]
    return f"{found[name]:.3f}" + (f" ({low:.3f} to {high:.3f})" if low is not None else "")
