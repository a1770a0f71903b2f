"""Rollouts of T choices in each of N environments."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from pgcontrol.learning.advantages import Estimate, Estimator, Trajectories, estimated
from pgcontrol.learning.merging import Finals


@dataclass
class Rollout:
    """T x N choices of one policy, and the transitions that followed.

    All tensors have the leading dimensions [T, N], except `seen` and `finals`. O is the size of an observation,
    including the entries that only the critic sees.

    Attributes:
        raw_obs: [T, N, O] float64, observations from the environment.
        raw_next: [T, N, O] float64, observations in which the transitions ended, before any reset.
        obs: [T, N, O] float32, normalised observations, as the policy saw them.
        choice: the sampled choices, [T, N, *choice_spec.shape].
        params: params of the head's distribution, [T, N, ...].
        log_prob: log-probability of the choice, [T, N].
        value: V(obs), in units of the scaled reward.
        next_value: V of the state in which the transition ended, before any reset.
        reward: scaled reward; if a choice lasts several steps, their discounted sum.
        reward_scale: the divisor of the rewards.
        discount: γ^(steps of the choice) x (not terminated); 0 in idle rows.
        idle: rows in which the environment waited for its group after the end of its episode. Updates ignore them.
        bad: transitions with infinite or NaN values, or in which the simulation became unstable. The environment was
            reset, and updates ignore the rows.
        steps: environment steps played.
        seen: [T + 1, N, O] float32: `obs`, and the observations after the last choice.
        finals: the final observations, normalised, float32, of the episodes that ended.
        prior: the prior's params in the same states, [T, N, ...]; None: no prior.
        prior_weight: coefficient of KL(policy || prior) in the objective.
    """

    raw_obs: Tensor
    raw_next: Tensor
    obs: Tensor
    choice: Tensor
    params: Tensor
    log_prob: Tensor
    value: Tensor
    next_value: Tensor
    reward: Tensor
    reward_scale: float
    discount: Tensor
    terminated: Tensor
    truncated: Tensor
    idle: Tensor
    bad: Tensor
    steps: int
    seen: Tensor
    finals: Finals
    prior: Tensor | None = None
    prior_weight: float = 0.0

    def values(self, value: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """`value` and `next_value` [T, N] for another value function of normalised observations, [B, O] -> [B]."""
        return values_of(value, self.seen, self.finals)

    def subsample(self, x: Tensor) -> Tensor:
        """Evenly spaced rows of x [T, N, ...], without idle ones, as one batch of some 256 samples or more.

        Used for logging only: heads without closed forms would otherwise spend more time on metrics than on updates.
        """
        every = max(1, self.bad.numel() // 256)
        some, played = x[::every], ~self.idle[::every]
        return some.flatten(0, 1) if played.all() or not played.any() else some[played]

    @property
    def masked(self) -> Tensor:
        """Rows that updates ignore: bad or idle."""
        return self.bad | self.idle

    def trajectories(self) -> Trajectories:
        """The input of an advantage estimator."""
        return Trajectories(self.reward, self.value, self.next_value, self.discount, self.terminated, self.truncated)

    def estimate(self, estimator: Estimator) -> Estimate:
        """Advantages and the critic's targets, [T, N]; see `Estimate.without` for masked rows."""
        return estimated(estimator, self.trajectories()).without(self.masked, self.value)

    def to(self, device: torch.device) -> Self:
        """The rollout with all tensors on a device."""
        moved = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        moved = {name: x.to(device) for name, x in moved.items() if isinstance(x, Tensor)}
        finals = [(t, ids.to(device), final.to(device)) for t, ids, final in self.finals]
        return dataclasses.replace(self, **moved, finals=finals)


def values_of(value: Callable[[Tensor], Tensor], seen: Tensor, finals: Finals) -> tuple[Tensor, Tensor]:
    """V(obs) and V of the states in which the transitions ended, [T, N] each; see `Rollout` for seen and finals."""
    every = value(seen.flatten(0, 1)).unflatten(0, seen.shape[:2])
    after = every[1:].clone()
    for t, ids, final in finals:
        after[t, ids] = value(final)
    return every[:-1], after
