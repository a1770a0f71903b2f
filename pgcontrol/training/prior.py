"""From a prior to RL: start as a run or a clone, let the critic catch up, and stay near while improving."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from pgcontrol.learning.fitting import CriticFit, CriticOptions
from pgcontrol.learning.rollout import FinishedEpisode, Rollout
from pgcontrol.learning.rule import move
from pgcontrol.options import InputError
from pgcontrol.play import evaluate
from pgcontrol.policy import Policy
from pgcontrol.runs.config import Config, flat
from pgcontrol.runs.load import load_with_meta, make_env

# whose weights and buffers are the prior's: all but the critic's, which begins fresh
ACTOR = ("normaliser.", "actor_trunk.", "head.")
STATES = 512  # visited states, at least, in which `prior_std` is to hold
RECENT, FEWEST = 20, 5  # episodes that the alarm looks at, at most and at least


class Prior:
    """The policy that a run begins as, and what its Learner makes of it.

    The prior is the policy as it begins, its σ reset where that is asked for: a vector `origin` [P] of weights, as the
    normaliser and what a head decodes by stay as they were: under other moments the prior would be another policy.
    KL(policy || prior), by the head's own `kl`, is added to the objective at a cost that goes to 0. For the first
    `prior_warmup` steps only the critic learns: the gradients that an untrained one gives would undo the prior before
    it knows any better (Nair et al. 2020, arXiv 2006.09359, section 3).
    """

    def __init__(self, policy: Policy, config: Config):
        self.policy, self.config = policy, config
        self.origin = torch.empty(0)
        # of the policy's samples as it began, over `eval_episodes`
        self.prior_return = torch.zeros((), dtype=torch.float64)
        # whether the return is below the prior's by the margin, as the user has been told
        self.fallen = torch.zeros((), dtype=torch.bool)
        self.critic_fit = CriticFit(policy, CriticOptions())

    def begin(self, spec: dict[str, Any], seed: int, threads: int) -> str:
        """Make the policy, made of `spec`, the prior; a line for the user.

        Raises:
            InputError: the prior is not there, or is made of something else; names the first difference.
        """
        where, own = str(self.config.prior), self.policy.state_dict()
        prior, meta = load_with_meta(where)
        alike = ("obs_size", "mirror", "low", "high", "hidden", "trunk", "head")
        theirs, ours = (flat({key: of.get(key) for key in alike}) for of in (meta["policy"], spec))
        for key in ours | theirs:
            if theirs.get(key) != ours.get(key):
                its, here = (f"{of.get(key)!r:.60}" for of in (theirs, ours))
                raise InputError(f"prior = {where!r}: its {key} is {its}, here it is {here}")
        for name, tensor in prior.state_dict().items():
            if name.startswith("normaliser.") and tensor.dim():  # of the columns that the policy sees
                own[name][: prior.obs_size] = tensor[: prior.obs_size]
            elif name.startswith(ACTOR):
                own[name].copy_(tensor)
        if self.policy.privileged:  # the count is that of the critic's columns, as those alone go on
            self.policy.normaliser.count.zero_()
        if self.config.prior_std is not None:
            visited: list[Tensor] = []
            self._play(seed, threads, lambda played: visited.append(played.obs))
            obs = torch.cat(visited)
            some = obs[:: max(1, len(obs) // STATES)]
            self.policy.head.widen(self.config.prior_std, self.policy.features(self.policy.normaliser(some)))
        self.origin = self.policy.theta.clone()
        self.prior_return.fill_(self._play(seed, threads))
        return f"{self.config.prior}: mean return {self.prior_return:,.1f} with sampled actions, at the start"

    def _play(self, seed: int, threads: int, watch: evaluate.OnStep | None = None) -> float:
        """Mean return of the policy's samples over `eval_episodes`."""
        env = make_env(self.config.env, self.config.eval_episodes, seed, threads)
        played = evaluate.episodes(env, evaluate.policy_agent(self.policy, False, seed), seed, on_step=watch)
        env.close()
        return float(played.returns.mean())

    def beside(self, rollout: Rollout, progress: float) -> Rollout:
        """The rollout with the prior's params, and what a nat of KL to them costs at this share of the budget."""
        params = self.policy.distribution(self.origin, rollout.obs.flatten(0, 1))
        weight = self.prior_weight(progress)
        return dataclasses.replace(rollout, prior=params.unflatten(0, rollout.log_prob.shape), prior_weight=weight)

    def prior_weight(self, progress: float) -> float:
        """What a nat of KL to the prior costs, at this share of the budget."""
        return self.config.prior_kl * max(0.0, 1 - progress / self.config.prior_kl_until)

    def warming_up(self, steps: int) -> bool:
        """Whether only the critic learns, after so many environment steps."""
        return self.critic_fit.learns and steps < self.config.prior_warmup

    def warm_up(self, rollout: Rollout, target: Tensor, rng: Generator) -> dict[str, float]:
        """The critic's fit to the targets [T, N], in place of an update; its metrics."""
        theta, row = self.critic_fit(self.policy.theta, rollout, target, rng)
        move(self.policy, theta)
        return row

    @torch.no_grad()
    def metrics(self, rollout: Rollout) -> dict[str, float]:
        """How far from the prior the policy was that made the rollout, and what that cost."""
        assert rollout.prior is not None
        kl = self.policy.head.kl(rollout.params.flatten(0, 1), rollout.prior.flatten(0, 1)).mean()
        return {"prior/kl": float(kl), "prior/pull": rollout.prior_weight}

    def watch(
        self, row: dict[str, float], before: int, after: int, episodes: Sequence[FinishedEpisode]
    ) -> tuple[dict[str, float], list[str]]:
        """Metrics, and lines for the user: that the warm-up is over, and the alarm.

        The alarm is told when the return falls below the prior's by the margin, and when it is back.

        Args:
            row: metrics of what has just been learned.
            before, after: environment steps played before and after that.
            episodes: the last ones that ended.
        """
        began, remarks = float(self.prior_return), list[str]()
        if self.warming_up(before) and not self.warming_up(after):
            explained = f"explained variance {row['train/explained_variance']:.2f}"
            remarks.append(f"step {after:,}: from here on the policy learns, too; {explained}")
        recent = [episode.total for episode in list(episodes)[-RECENT:]]
        if len(recent) >= FEWEST:
            now, least = float(np.mean(recent)), began - self.config.prior_margin * abs(began)
            if (now < least) != bool(self.fallen):
                self.fallen.fill_(now < least)
                what = "ALARM: return {:,.1f} is" if now < least else "return {:,.1f} is no longer"
                share = f"more than {self.config.prior_margin:.0%} below the prior's {began:,.1f}"
                remarks.append(f"step {before:,}: {what.format(now)} {share}")
        return {"prior/return": began, "prior/alarm": float(self.fallen)}, remarks

    def state(self) -> dict[str, Tensor]:
        """Tensors to checkpoint: the prior's folder is not needed again."""
        return {"origin": self.origin, "return": self.prior_return, "fallen": self.fallen} | self.critic_fit.state()

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Continue from a checkpoint's tensors."""
        self.origin = state["origin"].clone()
        self.prior_return.copy_(state["return"])
        self.fallen.copy_(state["fallen"])
        self.critic_fit.load_state(state)
