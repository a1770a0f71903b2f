"""From a prior to RL: start as a run or a clone, let the critic catch up, and stay near while improving."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pgcontrol.learning.fitting import CriticFit, CriticOptions
from pgcontrol.learning.rollout import Rollout
from pgcontrol.learning.updates import explained_variance, require_finite_weights
from pgcontrol.options import InputError
from pgcontrol.play import evaluate
from pgcontrol.policy import Policy
from pgcontrol.runs.config import Config, flat
from pgcontrol.runs.load import load_with_meta, make_env
from pgcontrol.training.trainer import Trainer

ACTOR = ("normaliser.", "actor_trunk.", "head.")
"""Whose weights and buffers are the prior's: all but the critic's, which begins anew."""
STATES = 512
"""Visited states, at least, in which `prior_std` is to hold."""
RECENT, FEWEST = 20, 5
"""Episodes that the alarm looks at, at most and at least."""


class FineTuner(Trainer):
    """A Trainer whose policy begins as another run's.

    The prior is the policy as it begins, its σ reset where that is asked for: a vector `origin` [P] of weights, as the
    normaliser and what a head decodes by stay as they were. KL(policy || prior), by the head's own `kl`, is added to
    the objective at a cost that goes to 0. For the first `prior_warmup` steps only the critic learns: the gradients
    that an untrained one gives would undo the prior before it knows any better (Nair et al. 2020, arXiv 2006.09359,
    section 3).
    """

    def __init__(self, config: Config, compiled: bool | None = None, fresh: bool = True):
        self.origin = torch.empty(0)
        self.prior_return = torch.zeros((), dtype=torch.float64)
        """Of the policy's samples as it began, over `eval_episodes`."""
        self.fallen = torch.zeros((), dtype=torch.bool)
        """Whether the return is below the prior's by the margin, as was told."""
        super().__init__(config, compiled, fresh)
        self.critic_fit = CriticFit(self.policy, CriticOptions())

    def _begin(self) -> None:
        begin_as(self.policy, self.spec, str(self.config.prior))
        if self.config.prior_std is not None:
            visited: list[Tensor] = []
            self._play(lambda obs, *_: visited.append(obs))
            obs = torch.cat(visited)
            some = obs[:: max(1, len(obs) // STATES)]
            self.policy.head.widen(self.config.prior_std, self.policy.actor_trunk(self.policy.normaliser(some)))
        self.origin = self.policy.theta.clone()
        self.prior_return.fill_(self._play())
        self.remarks.append(f"{self.config.prior} returns {self.prior_return:,.1f} by samples, as it begins here")

    def _play(self, watch: evaluate.Watch | None = None) -> float:
        """Mean return of the policy's samples over `eval_episodes`."""
        seed = self.seeds["evaluation"]
        env = make_env(self.config.env, self.config.eval_episodes, seed, self.threads.physics)
        played = evaluate.episodes(env, evaluate.policy_agent(self.policy, False, seed), seed, watch=watch)
        env.close()
        return float(played.returns.mean())

    @property
    def warming_up(self) -> bool:
        """Whether only the critic learns."""
        return self.critic_fit.learns and self.steps < self.config.prior_warmup

    def pull(self, progress: float) -> float:
        """What a nat of KL to the prior costs, at this share of the budget."""
        return self.config.prior_kl * max(0.0, 1 - progress / self.config.prior_kl_until)

    @torch.no_grad()
    def _improve(self, rollout: Rollout, advantage: Tensor, target: Tensor, progress: float) -> dict[str, float]:
        """The rule's update with the prior beside the rollout, or the critic's fit."""
        params = self.policy.distribution(self.origin, rollout.obs.flatten(0, 1))
        near = dataclasses.replace(rollout, prior=params.unflatten(0, rollout.log_prob.shape), pull=self.pull(progress))
        with torch.enable_grad():
            metrics = (
                self._warm_up(near, target) if self.warming_up else super()._improve(near, advantage, target, progress)
            )
        before = self.policy.head.kl(rollout.params.flatten(0, 1), params).mean()
        return metrics | {"prior/kl": float(before), "prior/pull": near.pull, **self._watch()}

    def _warm_up(self, rollout: Rollout, target: Tensor) -> dict[str, float]:
        theta, loss = self.critic_fit(self.policy.theta, rollout, target, self.minibatches)
        require_finite_weights(self.policy, theta)
        self.policy.theta.copy_(theta)
        explained = explained_variance(rollout.value, target)
        if self.steps + rollout.steps >= self.config.prior_warmup:
            after = self.steps + rollout.steps
            self.remarks.append(f"the critic has learned alone for {after:,} steps: explained variance {explained:.2f}")
        return {"train/value_loss": float(loss), "train/explained_variance": explained}

    def _watch(self) -> dict[str, float]:
        """The alarm: told when the return falls below the prior's by the margin, and when it is back."""
        began = float(self.prior_return)
        recent = [episode.total for episode in list(self.episodes)[-RECENT:]]
        if len(recent) >= FEWEST:
            now, least = float(np.mean(recent)), began - self.config.prior_margin * abs(began)
            if (now < least) != bool(self.fallen):
                self.fallen.fill_(now < least)
                what = "ALARM: return {:,.1f} is below" if now < least else "return {:,.1f} is no more below"
                share = f"{self.config.prior_margin:.0%} under the prior's {began:,.1f}"
                self.remarks.append(f"step {self.steps:,}: {what.format(now)} {share}")
        return {"prior/return": began, "prior/alarm": float(self.fallen)}

    def _take_in(self, obs: Tensor) -> None:
        """Nothing: under other moments the prior would be another policy."""

    def _adapt(self, rollout: Rollout, target: Tensor, progress: float) -> None:
        """The critic only: what a head decodes by is part of the prior."""
        self.policy.critic.adapt(target.flatten())

    def _state(self) -> dict[str, dict[str, Tensor]]:
        prior = {"origin": self.origin, "return": self.prior_return, "fallen": self.fallen}
        return super()._state() | {"prior": prior | self.critic_fit.state()}

    def _load_state(self, of: Callable[[str], dict[str, Tensor]]) -> None:
        super()._load_state(of)
        state = of("prior")
        self.origin = state["origin"].clone()
        self.prior_return.copy_(state["return"])
        self.fallen.copy_(state["fallen"])
        self.critic_fit.load_state(state)


@torch.no_grad()
def begin_as(policy: Policy, spec: dict[str, Any], where: str) -> None:
    """Give a policy the actor and the normaliser of a run's.

    Args:
        policy: changed in place.
        spec: what it is made of.
        where: the run, clone or checkpoint.

    Raises:
        InputError: nothing there, or a policy made of something else; names the first difference.
    """
    prior, meta = load_with_meta(where)
    theirs, ours = (
        flat({key: of.get(key) for key in ("obs_size", "low", "high", "hidden", "trunk", "head")})
        for of in (meta["policy"], spec)
    )
    for key in ours | theirs:
        if theirs.get(key) != ours.get(key):
            raise InputError(f"prior = {where!r}: its {key} is {theirs.get(key)!r}, here it is {ours.get(key)!r}")
    own = policy.state_dict()
    for name, tensor in prior.state_dict().items():
        if name.startswith(ACTOR):
            own[name].copy_(tensor)
