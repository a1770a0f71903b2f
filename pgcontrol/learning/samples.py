"""Samples for rules with minibatches: those of a rollout, and of older rollouts with current values."""

from typing import NamedTuple

import torch
from torch import Tensor

from pgcontrol.heads.base import Head
from pgcontrol.learning.advantages import Estimate, Estimator, Trajectories, estimated
from pgcontrol.learning.rollout import Rollout
from pgcontrol.machine import trees
from pgcontrol.policy import Policy


class Minibatch(NamedTuple):
    """B samples.

    Attributes:
        obs: [B, O], normalised.
        log_prob: [B], log-probability of the choice under the weights at the start of the update.
        advantage: [B].
        target: [B], the critic's target.
        value: [B], the critic's value before the update.
        prior: the prior's params [B, ...]; None: no prior.
        prior_weight: coefficient of KL(policy || prior), [B].
        drift: [B], probability of the choice at the start of the update divided by that when it was sampled; None: 1.
    """

    obs: Tensor
    choice: Tensor
    log_prob: Tensor
    advantage: Tensor
    target: Tensor
    value: Tensor
    prior: Tensor | None = None
    prior_weight: Tensor | None = None
    drift: Tensor | None = None


def likelihood_ratio(log_ratio: Tensor) -> Tensor:
    """exp(log_ratio), but at most e^20.

    Where a loss does not use a ratio, its gradient is 0 times the ratio, which must not be infinite.
    """
    return log_ratio.clamp_max(20.0).exp()


def samples_of(rollout: Rollout, estimate: Estimate) -> Minibatch:
    """The samples of a rollout in one batch, except those of masked rows."""
    weight = None if rollout.prior is None else torch.full_like(rollout.log_prob, rollout.prior_weight)
    chosen = rollout.obs, rollout.choice, rollout.log_prob
    return trees.rows(Minibatch(*chosen, *estimate, rollout.value, rollout.prior, weight), ~rollout.masked)


class Kept(NamedTuple):
    """The stored data of m rollouts, the oldest first, concatenated to one rollout of m·N environments.

    Attributes:
        obs, after: [T, m·N, O] float32, not normalised, because the normaliser's moments still change.
        choice: [T, m·N, *choice_spec.shape].
        action: [T, m·N, H, A], the decoded choices, in half-ranges.
        log_prob: [T, m·N], log-probability of the choice under the weights that sampled it.
        reward: [T, m·N], unscaled.
        discount, terminated, truncated, masked: [T, m·N], as in `Rollout`.
        prior: the prior's params [T, m·N, ...]; None: no prior.
    """

    obs: Tensor
    after: Tensor
    choice: Tensor
    action: Tensor
    log_prob: Tensor
    reward: Tensor
    discount: Tensor
    terminated: Tensor
    truncated: Tensor
    masked: Tensor
    prior: Tensor | None = None


def kept(rollout: Rollout, policy: Policy) -> Kept:
    """The data of a rollout that is stored."""
    made = rollout.raw_obs.float(), rollout.raw_next.float(), rollout.choice, _played(policy.head, rollout.choice)
    ended = rollout.discount, rollout.terminated, rollout.truncated, rollout.masked
    return Kept(*made, rollout.log_prob, rollout.reward * rollout.reward_scale, *ended, rollout.prior)


def _played(head: Head, choice: Tensor) -> Tensor:
    """Decode choices [T, N, ...] to actions [T, N, H, A] in half-ranges."""
    return head.to_unit(head.decode(choice.flatten(0, 1))).unflatten(0, choice.shape[:2])


class Past:
    """The rollouts before the newest one, for rules that reuse rollouts."""

    def __init__(self, policy: Policy, estimator: Estimator, most: int):
        """`most`: number of rollouts to keep."""
        self.policy, self.estimator, self.most = policy, estimator, most
        self.rows: Kept | None = None

    def add(self, rollout: Rollout) -> None:
        """Add a rollout; if there are too many, the oldest one is removed."""
        new = kept(rollout, self.policy)
        if self.rows is not None and len(self.rows.reward) != len(new.reward):
            self.rows = None  # a resumed run has another length of rollouts
        if self.rows is not None:
            width = (self.most - 1) * new.reward.shape[1]
            old = trees.each(lambda x: x[:, max(0, x.shape[1] - width) :], self.rows)
            new = trees.cat(old, new, 1)
        self.rows = new

    @torch.no_grad()
    def samples(self, rollout: Rollout) -> Minibatch | None:
        """The stored samples with current log-probabilities and values, and with the rollout's scale of rewards; none
        of masked rows.

        Advantages and targets are corrected for the older policies (`Estimator.corrected`). None: nothing is stored, or
        the head's decoding has changed, so that the stored choices no longer give the actions that were played.
        """
        policy, rows = self.policy, self.rows
        if rows is None or not torch.allclose(_played(policy.head, rows.choice), rows.action, rtol=0, atol=1e-4):
            self.rows = None
            return None

        def current(obs: Tensor, after: Tensor, choice: Tensor) -> tuple[Tensor, ...]:
            obs, after = policy.normaliser(obs), policy.normaliser(after)
            now = policy(obs, choice)
            return obs, now.log_prob, policy.critic.value(now.critic), policy.value(after)

        # one rollout at a time, because params are large
        flat = (x.flatten(0, 1).split(rollout.bad.numel()) for x in (rows.obs, rows.after, rows.choice))
        parts = zip(*(current(*part) for part in zip(*flat, strict=True)), strict=True)
        obs, log_prob, value, after = (torch.cat(part).unflatten(0, rows.reward.shape) for part in parts)
        drift = likelihood_ratio(log_prob - rows.log_prob)
        ended = rows.discount, rows.terminated, rows.truncated
        seen = Trajectories(rows.reward / rollout.reward_scale, value, after, *ended)
        estimate = estimated(self.estimator, seen, drift)
        weight = None if rows.prior is None else torch.full_like(value, rollout.prior_weight)
        batch = Minibatch(obs, rows.choice, log_prob, *estimate, value, rows.prior, weight, drift)
        return trees.rows(batch, ~rows.masked)

    def state(self) -> dict[str, Tensor]:
        """Tensors for a checkpoint."""
        rows = {} if self.rows is None else self.rows._asdict()
        return {name: tensor for name, tensor in rows.items() if tensor is not None}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Continue from `state`."""
        self.rows = Kept(**{name: tensor.clone() for name, tensor in state.items()}) if state else None
