"""Runs and policies with a known, planted defect."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from pgcontrol_envs import VecEnv
from pgcontrol_envs.demonstrators import Demonstrator
from torch import Tensor

from pgcontrol.learning.optimiser import adam_step, fresh_adam
from pgcontrol.policy import Policy
from pgcontrol.runs.config import configure
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.load import make_env, make_policy
from pgcontrol.training.learner import Learner
from pgcontrol.training.train import loop

Plan = Callable[[float], float | None]
"""Share of the budget used -> how wide the policy is to be made, in half-ranges; None: as it is."""
QUICK = {
    "env": "InvertedPendulum-v5",
    "num_envs": 8,
    "rollout_steps": 64,
    "total_steps": 40_000,
    "checkpoint_every": 2_000,
    "eval_every": 0,
    "algorithm.learning_rate": 1e-3,
    "algorithm.minibatch": 128,
    "algorithm.epochs": 6,
    "video": False,
    "compile": "off",
    "threads": 1,
}
"""A task that is learned in seconds."""
CLONED = {
    "gaussian": {},
    "mixture": {
        "initial_spread": 1.0,
        "min_std": 0.05,
    },  # the actions lie at the bounds: without a floor σ falls to 0 there
    "autoregressive": {},
    "token": {"tokenizer": "bins", "codes": 11},
}
"""Heads, with their options, for clones."""


@functools.cache
def demonstrations(env_id: str, episodes: int = 1024, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Observations [M, O] and actions [M, A] of the scripted demonstrator, all routes equally often."""
    env = make_env(env_id, episodes, seed)
    obs, teacher = env.reset(seed=seed), Demonstrator(env, seed)
    going, seen, done = torch.ones(episodes, dtype=torch.bool), [], []
    while going.any():
        action = teacher.act()
        seen.append(obs[going])
        done.append(action[going])
        step = env.step(action, active=going)
        going &= ~(step.terminated | step.truncated)
        obs = step.obs
    return torch.cat(seen), torch.cat(done)


def clone(env_id: str, head: str, seed: int = 0, steps: int = 1000) -> Policy:
    """A policy that was fitted to demonstrations of all routes by maximum likelihood; everybody gets their own copy."""
    return copy.deepcopy(_cloned(env_id, head, seed, steps))


@functools.cache
def _cloned(env_id: str, head: str, seed: int, steps: int) -> Policy:
    obs, action = demonstrations(env_id)
    env = make_env(env_id, 1, 0)
    policy = make_policy(policy_of(env, head, CLONED[head]), seed)
    policy.normaliser.update(obs)
    inputs, target = policy.normaliser(obs), policy.head.encode(action.unsqueeze(1))
    adam, rng = fresh_adam(policy), torch.Generator().manual_seed(seed)
    for k in range(steps):
        rate = torch.tensor(3e-3 * (1 - k / steps), dtype=torch.float64)
        batch = torch.randint(len(obs), (512,), generator=rng)
        leaf = policy.theta.detach().requires_grad_()
        loss = -policy.head.log_prob(policy.distribution(leaf, inputs[batch]), target[batch]).mean()
        (gradient,) = torch.autograd.grad(loss, leaf)
        step, adam = adam_step(gradient, adam, rate)
        policy.theta.sub_(step)
    return policy


def policy_of(env: VecEnv, head: str, options: dict[str, Any]) -> dict[str, Any]:
    """The spec of such a policy."""
    sizes = {"obs_size": env.obs_size, "low": env.action_low.tolist(), "high": env.action_high.tolist()}
    return sizes | {
        "env": env.env_id,
        "hidden": [64, 64],
        "head": {"name": head, **options},
        "critic": {"name": "none"},
    }


class Planted(Learner):
    """A training that sets the policy's width according to a plan after each update."""

    plan: Plan

    def update(self) -> dict[str, float]:
        """A normal update, then the plan."""
        row = super().update()
        if (std := self.plan(self.steps / self.config.total_steps)) is not None:
            self.widen(std)
        return row


def plant(folder: Path, settings: Mapping[str, Any], plan: Plan) -> Path:
    """A finished run folder of a training that follows the plan."""
    config = configure(QUICK | dict(settings) | {"run_dir": str(folder)})
    learner = Planted(config)
    learner.plan = plan
    run = RunFolder.create(config)
    run.write_manifest(compiled=False)
    loop(learner, run)
    return folder


def left_alone(progress: float) -> float | None:
    """A plan that changes nothing."""
    return None


def forced(std: float, begin: float = 0.04, end: float = 0.3) -> Plan:
    """Narrow early, before anything is learned, and free again at `end`."""
    return lambda progress: std if begin <= progress < end else None


def solved(std: float, begin: float = 0.7) -> Plan:
    """Narrow once the task is learned, until the end."""
    return lambda progress: std if progress >= begin else None
