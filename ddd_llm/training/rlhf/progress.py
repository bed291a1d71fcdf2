"""What is told of reinforcement learning while it runs. Heavy: imports transformers."""

from __future__ import annotations

import time
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState

from ddd_llm.training.reporting import Report


class RolloutProgress(TrainerCallback):
    """Reports each step, with the reward where it sampled anew.

    Attributes:
        seconds: wall time inside steps so far, sampling included.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._since = 0.0
        self.seconds = 0.0

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._since = time.perf_counter()

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.seconds += time.perf_counter() - self._since

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, logs: Any = None, **kwargs: Any) -> None:
        if not logs or "loss" not in logs:
            return
        told = {
            "kind": "step",
            "step": state.global_step,
            "steps": state.max_steps,
            "loss": logs["loss"],
            "lr": logs["learning_rate"],
        }
        tokens = int(logs.get("num_tokens") or 0)
        speed = tokens / self.seconds if self.seconds else 0.0
        self._report({**told, "tokens": tokens, "tokens_per_s": speed})
        if "rollout/reward" in logs:
            reward, length, kl = (logs[f"rollout/{name}"] for name in ("reward", "tokens", "kl"))
            said = f"reward {reward:+.3f} per answer, {length:.0f} tokens, log-ratio {kl:+.3f}"
            self._report({"kind": "phase", "message": f"rollout before step {state.global_step}: {said}"})
