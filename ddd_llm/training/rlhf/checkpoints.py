"""Checkpoints of policy optimisation: policy, critic, and what is left of a rollout. Heavy: imports torch and trl.

Belongs here: what a checkpoint holds. Does not: when one is written (`callbacks`), nor training (`trainer`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import Trainer
from trl import GRPOTrainer  # pyright: ignore[reportPrivateImportUsage]

_CRITIC_FILE = "critic.safetensors"
_ROLLOUT_FILE = "rollout.safetensors"
_COUNTERS = ("step", "stale")


class RolloutCheckpoints(GRPOTrainer):
    """GRPOTrainer with a critic, that can stop and go on inside a rollout."""

    critic: Any
    _stale = False  # whether the rest of the rollout is let go

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """Save the policy's adapter alone."""
        folder = output_dir or str(self.args.output_dir)
        if self.args.should_save:
            os.makedirs(folder, exist_ok=True)
            model: Any = self.model
            model.save_pretrained(folder, selected_adapters=["default"], safe_serialization=True)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        Trainer._save_checkpoint(self, model, trial)  # without TRL's model card, which holds the time
        folder = Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}"
        critic = {name: w.detach().cpu().contiguous() for name, w in self.critic.named_parameters() if w.requires_grad}
        save_file(critic, folder / _CRITIC_FILE)
        # A stop can fall between two steps of one rollout: what was sampled goes on being used after a resume.
        held = {
            f"{i}/{name}": v.cpu().contiguous()
            for i, batch in enumerate(self._buffered_inputs or [])
            for name, v in batch.items()
        }
        counters = {name: torch.tensor(int(v)) for name, v in zip(_COUNTERS, (self._step, self._stale), strict=True)}
        save_file({**held, **counters}, folder / _ROLLOUT_FILE)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        folder, device = Path(resume_from_checkpoint), str(self.args.device)
        self.critic.load_state_dict(load_file(folder / _CRITIC_FILE, device=device), strict=False)
        held = load_file(folder / _ROLLOUT_FILE, device=device)
        self._step, self._stale = (int(held.pop(name)) for name in _COUNTERS)
        batches: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in held.items():
            number, _, name = key.partition("/")
            batches.setdefault(int(number), {})[name] = value
        self._buffered_inputs = [batches[i] for i in sorted(batches)] or None
