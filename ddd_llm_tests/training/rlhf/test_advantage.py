"""Formulas of policy optimisation, against torchrl, against numpy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ddd_llm.training.rlhf.advantage import (
    approximate_kl,
    clipped_value_loss,
    generalised_advantages,
    token_rewards,
    whiten,
)

SIZES = st.tuples(st.integers(1, 4), st.integers(1, 12))


def ragged(shape: tuple[int, int], seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rewards, values and a mask whose rows end at lengths of their own."""
    random = torch.Generator().manual_seed(seed)
    rewards, values = torch.randn(*shape, generator=random), torch.randn(*shape, generator=random)
    lengths = torch.randint(1, shape[1] + 1, (shape[0], 1), generator=random)
    return rewards, values, (torch.arange(shape[1]) < lengths).float()


@settings(max_examples=40)
@given(SIZES, st.integers(0, 10_000), st.floats(0.5, 1.0), st.floats(0.0, 1.0))
def test_advantages_are_torchrls(shape: tuple[int, int], seed: int, gamma: float, lam: float) -> None:
    from torchrl.objectives.value.functional import generalized_advantage_estimate

    rewards, values, mask = ragged(shape, seed)
    found = generalised_advantages(rewards, values, mask, gamma, lam)
    for row in range(shape[0]):
        n = int(mask[row].sum())
        v = values[row, :n, None].double()
        following = torch.cat([v[1:], torch.zeros(1, 1, dtype=v.dtype)])
        done = torch.zeros(n, 1, dtype=torch.bool)
        done[-1] = True
        expected, target = generalized_advantage_estimate(
            gamma, lam, v, following, rewards[row, :n, None].double(), done, done
        )
        assert found[row, :n].numpy() == pytest.approx(expected[:, 0].numpy(), abs=1e-4)
        assert (found[row, :n] + values[row, :n]).numpy() == pytest.approx(target[:, 0].numpy(), abs=1e-4)
        assert not found[row, n:].any(), "nothing is learnt from padding"


@settings(max_examples=40)
@given(SIZES, st.integers(0, 10_000))
def test_without_discount_an_advantage_is_what_is_still_to_come(shape: tuple[int, int], seed: int) -> None:
    """With gamma = lambda = 1 the estimate is the sum of the rewards to come minus the value."""
    rewards, values, mask = ragged(shape, seed)
    found = generalised_advantages(rewards, values, mask, 1.0, 1.0)
    to_come = (rewards * mask).flip(1).cumsum(1).flip(1)
    assert found.numpy() == pytest.approx(((to_come - values) * mask).numpy(), abs=1e-4)


@settings(max_examples=40)
@given(SIZES, st.integers(0, 10_000), st.booleans())
def test_whitening_is_numpys(shape: tuple[int, int], seed: int, keep_mean: bool) -> None:
    values, _, mask = ragged(shape, seed)
    found = whiten(values, mask, keep_mean)
    inside = values[mask > 0].double().numpy()
    spread = inside.std() if inside.std() > 1e-6 else 1.0
    expected = (inside - inside.mean()) / spread + (inside.mean() if keep_mean else 0.0)
    assert found[mask > 0].numpy() == pytest.approx(expected, abs=1e-3)
    assert not found[mask == 0].any()


def test_equal_rewards_are_not_blown_up() -> None:
    values = torch.full((2, 3), 0.25)
    assert whiten(values, torch.ones(2, 3), True).numpy() == pytest.approx(0.25)
    assert whiten(values, torch.ones(2, 3), False).numpy() == pytest.approx(0.0)


def test_a_tokens_reward_is_its_segments_minus_the_log_ratio() -> None:
    given_rewards = torch.tensor([[0.0, 1.0, 5.0]])
    log_ratio = torch.tensor([[0.5, -1.0, 9.0]])
    mask = torch.tensor([[1.0, 1.0, 0.0]])
    assert token_rewards(given_rewards, log_ratio, mask, 0.2).tolist() == [pytest.approx([-0.1, 1.2, 0.0])]


def test_the_value_loss_is_clipped_as_by_hand() -> None:
    """Three tokens: unmoved, moved beyond the clip towards its return (held back), and away from it (the worse counts)."""
    values = torch.tensor([[1.0, 2.0, -1.0, 77.0]], requires_grad=True)
    old, returns = torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([[2.0, 3.0, 1.0, 0.0]])
    mask = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    loss = clipped_value_loss(values, old, returns, mask, 0.2)
    # (1-2)^2 = 1; max((2-3)^2, (1.2-3)^2) = 3.24; max((-1-1)^2, (-.2-1)^2) = 4
    assert loss.item() == pytest.approx(0.5 * (1 + 3.24 + 4) / 3)
    loss.backward()
    assert values.grad is not None
    assert values.grad[0].tolist() == pytest.approx([-1 / 3, 0.0, -2 / 3, 0.0]), "a value beyond the clip is held"


def test_the_divergence_is_never_negative_and_zero_for_the_same_policy() -> None:
    old = torch.randn(3, 5)
    mask = torch.ones(3, 5)
    assert approximate_kl(old, old, mask).item() == 0.0
    new = old + torch.randn(3, 5)
    expected = np.mean([np.exp(d) - 1 - d for d in (new - old).flatten().tolist()])
    assert approximate_kl(new, old, mask).item() == pytest.approx(expected, rel=1e-4)
