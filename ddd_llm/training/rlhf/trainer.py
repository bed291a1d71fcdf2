"""TRL's GRPOTrainer turned into proximal policy optimisation with a critic and a reward on every token.

Belongs here: the trainer class. Does not: formulas (`advantage`), rewards (`rewards`) or the order of events (`run`). Heavy:
imports torch and trl.

GRPO samples answers, scores each as a whole, and updates the policy by PPO's clipped ratio with one advantage per answer.
TRL's loss takes advantages of shape (answers, tokens) from a subclass: here they come from a critic by GAE. Its own comparison
within a group of answers is not used, nor its KL term: the log-ratio to the reference is part of the reward (Wu et al. 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from trl.trainer.utils import pad, selective_log_softmax, use_adapter

from ddd_llm.training.assemble import half_precision, matching_types
from ddd_llm.training.decoding import decode, sampled
from ddd_llm.training.dpo_trainer import score_answers_only
from ddd_llm.training.errors import Crashed
from ddd_llm.training.machine import Machine
from ddd_llm.training.rlhf.advantage import (
    approximate_kl,
    clipped_value_loss,
    generalised_advantages,
    masked_mean,
    token_rewards,
    whiten,
)
from ddd_llm.training.rlhf.answers import SampledAnswer, read_answer
from ddd_llm.training.rlhf.checkpoints import RolloutCheckpoints
from ddd_llm.training.rlhf.figures import answer_figures
from ddd_llm.training.rlhf.recipe import RlhfRecipe
from ddd_llm.training.rlhf.rewards import Reward, Scores, on_tokens, score

REFERENCE = "reference"
"""Name of the frozen adapter that the policy is held to."""


class Rollout:
    """Sampled answers with all that was computed about them; tensors (answers, tokens), on the CPU."""

    def __init__(
        self, rows: Sequence[int], answers: list[SampledAnswer], scores: Scores, tensors: dict[str, torch.Tensor]
    ) -> None:
        self.rows, self.answers, self.scores, self.tensors = rows, answers, scores, tensors


class DenseRewardTrainer(RolloutCheckpoints):
    """Proximal policy optimisation of an adapter, with a critic of its own.

    Args:
        recipe: the settings.
        machine: what was chosen for this machine.
        critic: gives one value per token (`reward.model.fresh_model`).
        rewards: by name, as in the recipe.
        facts: what is known of each prompt, by its row.
        planned: rows of the dataset of each rollout, in order: another one is a defect.
        on_rollout: told of each rollout with the number of optimizer steps done before it.
        kwargs: GRPOTrainer's; the model is a PeftModel with the adapters `default`, which is trained, and `reference` (without
            one, the bare base is the reference); the dataset has the columns prompt and row.
    """

    def __init__(
        self,
        *,
        recipe: RlhfRecipe,
        machine: Machine,
        critic: Any,
        rewards: Mapping[str, Reward],
        facts: Sequence[dict[str, Any]],
        planned: Sequence[Sequence[int]],
        on_rollout: Callable[[int, Rollout], None],
        **kwargs: Any,
    ) -> None:
        self.recipe, self.critic, self.rewards = recipe, critic, rewards
        self._machine, self._facts, self._planned, self._on_rollout = machine, facts, planned, on_rollout
        self._last_log_probs: torch.Tensor | None = None
        super().__init__(reward_funcs=[_no_group_reward], **kwargs)  # TRL asks for one
        if machine.device == "cpu":
            model: Any = self.model
            score_answers_only(model.get_base_model(), recipe.temperature)
        # See `assemble.make_trainer`.
        torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]

    # Sampling

    def sample(self, rows: Sequence[dict[str, Any]]) -> tuple[list[SampledAnswer], dict[str, torch.Tensor]]:
        """One answer for each row, and its padded tokens: `prompt_ids`, `prompt_mask` (left), `completion_ids`,
        `completion_mask`."""
        tokenizer: Any = self.processing_class
        with self._precision(), torch.no_grad():
            prompt_ids, ids, *_ = self._generate([row["prompt"] for row in rows])
        answers = [
            read_answer(row["prompt"], list(p), list(i), row["facts"], tokenizer)
            for row, p, i in zip(rows, prompt_ids, ids, strict=True)
        ]
        tensors: dict[str, torch.Tensor] = {}
        for name, lists, side in (("prompt", prompt_ids, "left"), ("completion", ids, "right")):
            given = [torch.tensor(one) for one in lists]
            tensors[f"{name}_ids"] = pad(given, padding_value=tokenizer.pad_token_id, padding_side=side).to(
                self.args.device
            )
            ones = [torch.ones_like(one) for one in given]
            tensors[f"{name}_mask"] = pad(ones, padding_value=0, padding_side=side).to(self.args.device)
        return answers, tensors

    def _generate_single_turn(self, prompt_ids: list[list[int]], *_: Any) -> tuple[list[list[int]], None]:
        """Answers in place of TRL's own loop, which reads a prompt anew for each of its answers."""
        model: Any = self.accelerator.unwrap_model(self.model)
        was_training = model.training
        model.eval()
        stops, pick = frozenset(self.eos_token_ids), sampled(self.recipe.temperature, self.recipe.top_k)
        found = decode(model, prompt_ids, stops, self.recipe.max_new_tokens, pick)
        model.train(was_training)
        return found, None

    def forget_figures(self) -> None:
        """Drop what TRL noted about answers sampled outside training."""
        for told in self._metrics.values():
            told.clear()
        self.state.num_input_tokens_seen = 0

    @torch.no_grad()
    def log_probs(self, batch: Mapping[str, torch.Tensor], reference: bool = False) -> torch.Tensor:
        """(answers, tokens) log-probabilities, at the recipe's temperature, under the policy or the reference."""
        model: Any = self.accelerator.unwrap_model(self.model)
        other = REFERENCE if REFERENCE in model.peft_config else None  # none: the bare base
        with self._precision(), use_adapter(model, other if reference else "default"):
            ids, mask, keep = _joined(batch)
            return self._get_per_token_logps_and_entropies(
                self.model, ids, mask, keep, batch_size=self.recipe.batch_size
            )[0].float()

    @torch.no_grad()
    def reference_likelihoods(self, batch: Mapping[str, torch.Tensor]) -> list[float]:
        """Log-likelihood of each answer under the reference in nats, at temperature 1: TRL's own is at that of sampling, where
        `exp` of its mean is no perplexity."""
        model: Any = self.accelerator.unwrap_model(self.model)
        found: list[float] = []
        with self._precision(), use_adapter(model, REFERENCE if REFERENCE in model.peft_config else None):
            for part in _parts(batch, self.recipe.batch_size):
                ids, mask, keep = _joined(part)
                logits = model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=keep + 1).logits
                told = selective_log_softmax(logits[:, :-1].float(), part["completion_ids"])
                found += (told * part["completion_mask"]).sum(1).tolist()
        return found

    def values(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """(answers, tokens) value of each token's state: what was written before it."""
        ids, mask, keep = _joined(batch)
        with matching_types(self.critic, self._machine), half_precision(self._machine):
            found = self.critic(input_ids=ids, attention_mask=mask, use_cache=False).logits[..., 0].float()
        return found[:, -keep - 1 : -1]

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        rows = [row["row"] for row in inputs]
        done = self.state.global_step
        planned = self._planned[done // self.recipe.steps_per_rollout]
        if rows != [row for row in planned for _ in range(self.recipe.samples)]:
            raise Crashed(f"The rollout before step {done + 1} has other prompts than planned")
        answers, batch = self.sample([{**row, "facts": self._facts[row["row"]]} for row in inputs])
        mask = batch["completion_mask"].float()
        old, reference = self.log_probs(batch), self.log_probs(batch, reference=True)
        with torch.no_grad():
            values = torch.cat([self.values(part) for part in _parts(batch, self.recipe.batch_size)]) * mask
        scores = score(self.rewards, answers)
        given = pad(
            [torch.tensor(row) for row in on_tokens(scores, answers, self.recipe)],
            padding_value=0,
            padding_side="right",
        )
        rewards = token_rewards(given.to(mask), old - reference, mask, self.recipe.kl_weight)
        scaled = whiten(rewards, mask, keep_mean=True) if self.recipe.whiten_rewards else rewards
        advantages = generalised_advantages(scaled, values, mask, self.recipe.gamma, self.recipe.lam)
        found = {
            **batch,
            "old_per_token_logps": old,
            "old_values": values,
            "returns": (advantages + values) * mask,
            "advantages": whiten(advantages, mask, keep_mean=False),
        }
        plain = self.recipe.temperature == 1  # then what was sampled at is what perplexity is told at
        likelihoods = (reference * mask).sum(1).tolist() if plain else self.reference_likelihoods(batch)
        self._note(
            answer_figures(answers, scores, likelihoods, self.recipe), old - reference, mask, found["returns"], values
        )
        told = {**found, "ref_per_token_logps": reference, "rewards": rewards}
        self._on_rollout(done, Rollout(rows, answers, scores, {name: value.cpu() for name, value in told.items()}))
        return found

    def _note(
        self,
        figures: Mapping[str, float],
        log_ratio: torch.Tensor,
        mask: torch.Tensor,
        returns: torch.Tensor,
        values: torch.Tensor,
    ) -> None:
        """Figures of a rollout, into the history of its first step."""
        left = masked_mean((returns - values - masked_mean(returns - values, mask)) ** 2, mask)
        spread = masked_mean((returns - masked_mean(returns, mask)) ** 2, mask)
        more = {
            "kl": ((log_ratio * mask).sum() / len(mask)).item(),
            "value_explained": (1 - left / spread.clamp(min=1e-12)).item(),
        }
        for name, value in {**figures, **more}.items():
            self._metrics["train"][f"rollout/{name.replace('reward_', 'reward/', 1)}"].append(value)

    # Updating

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        if self._stale:
            self._buffered_inputs, self._stale = None, False
        return super()._prepare_inputs(generation_batch)

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        found = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        self._last_log_probs = found[0].detach()
        return found

    def _compute_loss(self, model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        mask = inputs["completion_mask"].float()
        with self._precision():
            policy_loss = super()._compute_loss(model, inputs)
        assert self._last_log_probs is not None
        moved = approximate_kl(self._last_log_probs.float(), inputs["old_per_token_logps"], mask).item()
        self._stale = moved > self.recipe.kl_stop
        value_loss = clipped_value_loss(
            self.values(inputs), inputs["old_values"], inputs["returns"], mask, self.recipe.value_clip
        )
        told = self._metrics["train"]
        told["policy_loss"].append(policy_loss.item())
        told["value_loss"].append(value_loss.item())
        told["moved"].append(moved)
        told["stopped_early"].append(float(self._stale))
        return policy_loss + value_loss  # they share no weight, and each is clipped and stepped by itself

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        self.critic.train()
        self.critic.zero_grad()  # the trainer empties the policy's gradients alone
        return super().training_step(model, inputs, num_items_in_batch)

    def _clip_grad_norm(self, model: Any) -> Any:
        wide = torch.nn.utils.clip_grad_norm_(self._critic_weights(), self.args.max_grad_norm)
        self._metrics["train"]["critic_grad_norm"].append(float(wide))
        return super()._clip_grad_norm(model)

    def create_optimizer(self, model: Any = None) -> Any:
        """The trainer's, with the critic's weights as a group with a learning rate of its own."""
        first = self.optimizer is None
        optimizer: Any = super().create_optimizer(model)
        if first:
            optimizer.add_param_group(
                {"params": self._critic_weights(), "lr": self.recipe.critic_learning_rate, "weight_decay": 0.0}
            )
        return optimizer

    def _critic_weights(self) -> list[torch.Tensor]:
        return [weight for weight in self.critic.parameters() if weight.requires_grad]

    def _precision(self) -> Any:
        return half_precision(self._machine)


def _no_group_reward(**kwargs: Any) -> list[float | None]:
    raise Crashed("TRL's own rewards of whole answers were asked for")


def _joined(batch: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Prompt and answer as one sequence, its mask, and the answer's tokens."""
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    return ids, torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1), batch["completion_ids"].shape[1]


def _parts(batch: Mapping[str, torch.Tensor], size: int) -> list[dict[str, torch.Tensor]]:
    count = len(batch["completion_ids"])
    return [{name: value[start : start + size] for name, value in batch.items()} for start in range(0, count, size)]
