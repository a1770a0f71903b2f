"""Training from a prior: start with the policy of a run or clone, warm up the critic, and limit the KL to the prior."""

import dataclasses
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from pgcontrol.learning.fitting import CriticFit, CriticOptions
from pgcontrol.learning.merging import FinishedEpisode
from pgcontrol.learning.rollout import Rollout
from pgcontrol.learning.rule import move
from pgcontrol.machine import devices
from pgcontrol.options import InputError
from pgcontrol.play import evaluate
from pgcontrol.policy import Policy
from pgcontrol.runs.config import Config, flat
from pgcontrol.runs.load import env_to_play, load_with_meta

# weights and buffers that are taken from the prior: all except the critic's
ACTOR = ("normaliser.", "actor_trunk.", "head.")
STATES = 512  # visited states for which `prior_std` is set: at least this many, if an evaluation has them
RECENT, FEWEST = 20, 5  # largest and smallest number of episodes for the alarm


class Prior:
    """The prior of a run, and its use in training.

    The prior is the initial policy, with a new σ if `prior_std` is set. It is stored as a vector `origin` [P] of
    weights. The normaliser and the head's decoding stay fixed, because with others the prior would be another policy.
    KL(policy || prior), from the head's `kl`, is a penalty with a coefficient that decays to 0. In the first
    `prior_warmup` steps only the critic learns: the gradients from an untrained critic would destroy the prior (Nair
    et al. 2020, arXiv 2006.09359, section 3).
    """

    def __init__(self, policy: Policy, config: Config):
        self.policy, self.config = policy, config
        self.origin = torch.empty(0)
        # mean return of the initial policy's samples over `eval_episodes`
        self.prior_return = torch.zeros((), dtype=torch.float64)
        # whether the alarm is on: the return is more than `prior_margin` below the prior's
        self.fallen = torch.zeros((), dtype=torch.bool)
        self.critic_fit = CriticFit(policy, CriticOptions())  # not compiled: it has too few steps for that to pay

    def begin(self, spec: dict[str, Any], seed: int, threads: int) -> str:
        """Initialise the policy, which has the specification `spec`, from the prior. Returns a line for the user.

        Raises:
            InputError: the prior does not exist, or its specification differs; the message names the first difference.
        """
        where, own = str(self.config.prior), self.policy.state_dict()
        prior, meta = load_with_meta(where)
        alike = ("obs_size", "mirror", "low", "high", "hidden", "trunk", "head")
        theirs, ours = (flat({key: one.get(key) for key in alike}) for one in (meta["policy"], spec))
        # the options that an older version did not have, with their defaults
        theirs = {f"head.{name}": value for name, value in dataclasses.asdict(prior.head.options).items()} | theirs
        for key in ours | theirs:
            if theirs.get(key) != ours.get(key):
                its, here = (f"{one.get(key)!r:.60}" for one in (theirs, ours))
                raise InputError(f"prior = {where!r}: its {key} is {its}, here it is {here}")
        for name, tensor in prior.state_dict().items():
            if name.startswith("normaliser.") and tensor.dim():  # only the entries that the policy sees
                own[name][: prior.obs_size] = tensor[: prior.obs_size]
            elif name.startswith(ACTOR):
                own[name].copy_(tensor)
        if self.policy.privileged:  # only the moments of the critic's entries change, so the count is theirs
            self.policy.normaliser.count.zero_()
        if self.config.prior_std is not None:
            visited: list[Tensor] = []
            self._play(seed, threads, lambda played: visited.append(played.obs))
            obs = torch.cat(visited).to(self.policy.theta.device)
            some = obs[:: max(1, len(obs) // STATES)]
            with devices.on(self.policy.theta.device):
                self.policy.widen(self.config.prior_std, some)
        self.origin = self.policy.theta.clone()
        self.prior_return.fill_(self._play(seed, threads))
        return f"{self.config.prior}: mean return {self.prior_return:,.1f} with sampled actions, at the start"

    def _play(self, seed: int, threads: int, watch: evaluate.OnStep | None = None) -> float:
        """Mean return of sampled actions over `eval_episodes`."""
        count = self.config.eval_episodes
        with closing(env_to_play(self.config.env, count, seed, threads)) as env:
            agent = evaluate.policy_agent(self.policy.here(), False, seed)
            return float(evaluate.episodes(env, agent, seed, on_step=watch, count=count).returns.mean())

    def beside(self, rollout: Rollout, progress: float) -> Rollout:
        """Add the prior's params and the current KL coefficient to a rollout."""
        params = self.policy.distribution(self.origin, rollout.obs.flatten(0, 1))
        weight = self.prior_weight(progress)
        return dataclasses.replace(rollout, prior=params.unflatten(0, rollout.log_prob.shape), prior_weight=weight)

    def prior_weight(self, progress: float) -> float:
        """The coefficient of KL(policy || prior) at this fraction of the budget; it decays while the policy learns."""
        before = self.config.prior_warmup / self.config.total_steps if self.critic_fit.learns else 0.0
        learned = max(0.0, progress - before) / (1 - before) if before < 1 else 0.0
        return self.config.prior_kl * max(0.0, 1 - learned / self.config.prior_kl_until)

    def warming_up(self, steps: int) -> bool:
        """Whether only the critic learns, after `steps` environment steps."""
        return self.critic_fit.learns and steps < self.config.prior_warmup

    def warm_up(self, rollout: Rollout, target: Tensor, rng: Generator) -> dict[str, float]:
        """Fit the critic to the targets [T, N] instead of an update. Returns the metrics."""
        theta, row = self.critic_fit(self.policy.theta, rollout, target, rng)
        move(self.policy, theta)
        return row

    @torch.no_grad()
    def metrics(self, rollout: Rollout) -> dict[str, float]:
        """KL between the policy that sampled the rollout and the prior, and its coefficient."""
        assert rollout.prior is not None
        kl = self.policy.head.kl(rollout.params.flatten(0, 1), rollout.prior.flatten(0, 1)).mean()
        return {"prior/kl": float(kl), "prior/pull": rollout.prior_weight}

    def watch(
        self, row: dict[str, float], before: int, after: int, episodes: Sequence[FinishedEpisode]
    ) -> tuple[dict[str, float], list[str]]:
        """Metrics, and lines for the user about the end of the warm-up and the alarm.

        There is a line when the return falls more than the margin below the prior's, and when it has recovered.

        Args:
            row: metrics of the update.
            before, after: environment steps before and after the update.
            episodes: the latest finished episodes.
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
        """Tensors for a checkpoint, so that resuming does not need the prior's folder."""
        return {"origin": self.origin, "return": self.prior_return, "fallen": self.fallen} | self.critic_fit.state()

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Continue from a checkpoint's tensors."""
        self.origin = state["origin"].clone()
        self.prior_return.copy_(state["return"])
        self.fallen.copy_(state["fallen"])
        self.critic_fit.load_state(state)
