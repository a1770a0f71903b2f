"""Advantage estimators: pure functions of [T, N] tensors. They know no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from pgcontrol.options import option


class Trajectories(NamedTuple):
    """What an estimator sees, all [T, N].

    `discount` is γ^(steps played) x (not terminated), so no estimator reads a scalar γ; `next_value` is V of the state
    that the transition truly ended in, also where the time limit cut it off.
    """

    reward: Tensor
    value: Tensor
    next_value: Tensor
    discount: Tensor
    terminated: Tensor
    truncated: Tensor


class Estimator:
    """Trajectories -> (advantage, return target for the critic), both [T, N]."""

    Options: ClassVar[type]

    def __init__(self, options: Any):
        self.options = options

    def __call__(self, trajectories: Trajectories) -> tuple[Tensor, Tensor]:
        """The advantage and the critic's target."""
        raise NotImplementedError


def gae(trajectories: Trajectories, lam: float) -> Tensor:
    """Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438, eq. 16).

    δ_t = r_t + discount_t V(s_{t+1}) − V(s_t);  A_t = δ_t + λ discount_t A_{t+1}, where the sum stops at an episode's
    end: at a termination because discount is 0, at a time limit because the next row belongs to another episode, while
    δ still bootstraps on V of the true final state.

    Args:
        trajectories: [T, N] tensors.
        lam: λ in [0, 1]; 0 is the one-step TD error, 1 the Monte Carlo return minus V.

    Returns:
        advantage [T, N].
    """
    reward, value, next_value, discount, _, truncated = trajectories
    delta = reward + discount * next_value - value
    carry = lam * discount * ~truncated
    advantage = torch.empty_like(delta)
    running = torch.zeros_like(delta[0])
    for t in range(len(delta) - 1, -1, -1):
        running = torch.addcmul(delta[t], carry[t], running, out=advantage[t])
    return advantage


class GAE(Estimator):
    """GAE(λ), and the λ-return as the critic's target."""

    @dataclass(frozen=True)
    class Options:
        """What the estimator adds to `--algorithm.X`."""

        gae_lambda: float = option(0.95, "λ of GAE: 0 one-step TD, 1 Monte Carlo", least=0, most=1)

    def __call__(self, trajectories: Trajectories) -> tuple[Tensor, Tensor]:
        """GAE and A + V."""
        advantage = gae(trajectories, self.options.gae_lambda)
        return advantage, advantage + trajectories.value
