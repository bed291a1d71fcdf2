"""From rewards to what a policy and a critic learn: the reward of each token, advantages, returns, and the critic's loss.

Belongs here: formulas on tensors of shape (B, T), answers by tokens, padded on the right; `mask` is 1 on an answer's tokens.
Does not: where rewards come from (`rewards`). Heavy: imports torch.
"""

from __future__ import annotations

import torch

Tensor = torch.Tensor


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over an answer's tokens of all answers; a scalar."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def whiten(values: Tensor, mask: Tensor, keep_mean: bool) -> Tensor:
    """Values scaled to variance 1 over the mask, their mean taken off or kept.

    Divides by the standard deviation. (The published code of Wu et al. 2023 divides by its square root.) Constant values are left
    unscaled. Values beyond the mask become 0.
    """
    mean = masked_mean(values, mask)
    variance = masked_mean((values - mean) ** 2, mask)
    spread = torch.where(variance > 1e-12, variance.sqrt(), torch.ones_like(variance))
    scaled = (values - mean) / spread
    return (scaled + mean if keep_mean else scaled) * mask


def token_rewards(segment_rewards: Tensor, log_ratio: Tensor, mask: Tensor, kl_weight: float) -> Tensor:
    """r_t = sum of the weighted rewards of segments that end on token t, minus kl_weight times the log-ratio to the reference
    (Wu et al. 2023, section 3.2)."""
    return (segment_rewards - kl_weight * log_ratio) * mask


def generalised_advantages(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> Tensor:
    """Generalised advantage estimates (Schulman et al. 2016, arXiv:1506.02438, equation 16); the answer's end has value 0.

    A_t = sum_l (gamma lam)^l delta_{t+l}, delta_t = r_t + gamma V_{t+1} - V_t. Beyond the mask 0.
    """
    rewards, values = rewards * mask, values * mask
    found = torch.zeros_like(rewards)
    carried = torch.zeros_like(rewards[:, 0])
    following = torch.zeros_like(carried)
    for t in range(rewards.shape[1] - 1, -1, -1):
        delta = rewards[:, t] + gamma * following - values[:, t]
        carried = (delta + gamma * lam * carried) * mask[:, t]
        found[:, t] = carried
        following = values[:, t]
    return found


def clipped_value_loss(values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, clip: float) -> Tensor:
    """Half the mean squared error to the returns, the worse of the value and the value held within `clip` of the old one."""
    held = old_values + (values - old_values).clamp(-clip, clip)
    return 0.5 * masked_mean(torch.maximum((values - returns) ** 2, (held - returns) ** 2), mask)


def approximate_kl(log_probs: Tensor, old_log_probs: Tensor, mask: Tensor) -> Tensor:
    """Mean divergence of the new policy from the one that sampled, in nats per token: E[ratio - 1 - log ratio], never negative
    (J. Schulman, Approximating KL Divergence, 2020)."""
    log_ratio = (log_probs - old_log_probs) * mask
    return masked_mean(log_ratio.exp() - 1 - log_ratio, mask)
