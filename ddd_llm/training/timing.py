"""What a training attempt took: wall and processor seconds, speed, memory. Times are no part of any result.

Belongs here: measuring this process. Does not: telling anybody while it runs (`callbacks`).
"""

from __future__ import annotations

import resource
import sys
import time

from ddd_llm.training.batching import BatchPlan
from ddd_llm.training.recipe import TrainingRecipe


def timings_of(
    plan: BatchPlan, recipe: TrainingRecipe, resumed_from: int, seconds: float, started: tuple[float, float]
) -> dict[str, float]:
    """What this attempt took; steps before a resume are an earlier attempt's.

    Args:
        plan: the batches of all steps.
        recipe: the settings.
        resumed_from: steps done before.
        seconds: wall time inside steps.
        started: perf_counter and process_time at the beginning.
    """
    per_step = recipe.gradient_accumulation * recipe.processes
    tokens = plan.tokens() - plan.tokens(resumed_from * per_step)
    found = attempt_timings(recipe, resumed_from, seconds, started)
    return {**found, "tokens_per_s": round(tokens / seconds, 1) if seconds else 0.0}


def attempt_timings(
    recipe: TrainingRecipe, resumed_from: int, seconds: float, started: tuple[float, float]
) -> dict[str, float]:
    """The same without the speed, for a training whose tokens no plan knows beforehand."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "worker_wall_s": round(time.perf_counter() - started[0], 3),
        "worker_cpu_s": round(time.process_time() - started[1], 3),
        "steps_wall_s": round(seconds, 3),
        "steps_timed": float(recipe.steps - resumed_from),
        "peak_rss_bytes": float(peak),
    }
