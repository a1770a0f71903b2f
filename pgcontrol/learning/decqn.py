"""Decoupled Q-networks (Seyde et al. 2022, arXiv 2210.12566): the value-based baseline, beside the policy gradients.

A Q-function of all joints' bins at once has Kᴬ outputs. Decoupled, it is a mean of utilities, K of each joint:

    Q(s, a) = 1/A Σ_j U_j(s, a_j)                                                                    (eq. 3)

so its maximum over all actions is the mean of the joints' maxima, and the network has K·A outputs. It is learned by
what DQN has come to: a replay, n-step returns, a target network, double Q-learning, Huber's loss. The policy's trunk
and head are the network: the params of the head `utilities` are U, its distribution explores, its mode is greedy.

Not taken from the authors' code: priorities in the replay, and a second network whose Q is averaged with the first's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from pgcontrol.heads import categorical
from pgcontrol.learning.replay import Replay, Transitions, transitions
from pgcontrol.learning.rollout import Rollout
from pgcontrol.learning.updates import (
    Adam,
    Rule,
    adam_step,
    clipped,
    decayed,
    fresh_adam,
    load_adam,
    require_finite_metrics,
    require_finite_weights,
)
from pgcontrol.machine.compiler import Graph
from pgcontrol.options import InputError, option
from pgcontrol.policy import Policy

METRICS = ("loss", "td_error", "q_value", "grad_norm")


def q_value(utilities: Tensor, choice: Tensor) -> Tensor:
    """Q [B] of the choices [B, A] by utilities [B, A, K]: eq. 3."""
    return categorical.pick(utilities, choice).mean(-1)


def double_q(online: Tensor, target: Tensor) -> Tensor:
    """The next state's value [B] by double Q-learning (van Hasselt et al. 2016, eq. 4), decoupled.

    Every joint chooses by the online utilities [B, A, K]; the target network's [B, A, K] say what that is worth. So the
    noise that makes a utility the highest is not also the noise in its worth.
    """
    return q_value(target, online.argmax(-1))


class DecQN(Rule):
    """After each rollout, gradient steps on minibatches of the replay, so many that `replay_ratio` holds."""

    heeds_prior = False

    @dataclass(frozen=True)
    class Options:
        """What the rule adds to `--algorithm.X`."""

        learning_rate: float = option(3e-4, "Adam's step size at the start", above=0)
        decay: str = option("none", "how the step size goes to 0 over the run", choices=("linear", "none"))
        minibatch: int = option(128, "transitions a gradient step", least=1)
        replay_ratio: float = option(48.0, "how often a transition is learned from, on average", above=0)
        n_step: int = option(5, "n: rewards before the bootstrap", least=1)
        target_period: int = option(100, "gradient steps after which the target network is the online one", least=1)
        capacity: int = option(1_000_000, "transitions kept; one takes 8 bytes a number of the observation", least=1)
        warmup: int = option(5_000, "transitions in the replay before the first gradient step", least=1)
        max_grad_norm: float = option(40.0, "the whole gradient is scaled down to this norm", above=0)

    def __init__(self, policy: Policy, options: Any, compiled: bool = False):
        super().__init__(policy, options, compiled)
        self.adam = fresh_adam(policy)
        self.target = policy.theta.clone()
        """The target network's weights [P]."""
        self.replay = Replay(options.capacity, policy.obs_size, policy.head.choice_spec)
        self._step = Graph(self._whole, list(policy.buffers())) if compiled else self._whole

    @classmethod
    def check(cls, options: Any, samples: int) -> None:
        """A rollout must fit into the replay, and ask for a gradient step at least."""
        for name, least in (("warmup", options.warmup), ("num_envs x rollout_steps", samples)):
            if options.capacity < least:
                raise InputError(f"algorithm.capacity = {options.capacity}: must be at least {name} = {least}")
        if not cls.gradient_steps(options, samples):
            raise InputError(
                f"algorithm.replay_ratio = {options.replay_ratio:g}: with num_envs x rollout_steps = {samples} it must"
                f" be at least {options.minibatch / samples:g}, or no minibatch of {options.minibatch} is drawn"
            )

    @classmethod
    def gradient_steps(cls, options: Any, samples: int) -> int:
        """Minibatches a rollout, to the nearest."""
        return round(options.replay_ratio * samples / options.minibatch)

    def loss(self, theta: Tensor, target: Tensor, batch: Transitions) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Huber's loss of a minibatch under weights `theta` [P], and METRICS but the last; observations normalised."""
        with torch.no_grad():
            online, frozen = (self.policy.distribution(weights, batch.after) for weights in (theta, target))
            wanted = batch.reward + batch.discount * double_q(online, frozen)
        q = q_value(self.policy.distribution(theta, batch.obs), batch.choice)
        loss = F.huber_loss(q, wanted)
        return loss, (loss.detach(), (wanted - q).detach().abs().mean(), q.detach().mean())

    def _whole(self, theta: Tensor, target: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """(theta, target, *Adam, rate, *Transitions) -> (theta, *Adam, metrics), plain tensors: it can be compiled."""
        adam, rate, batch = Adam(*rest[:3]), rest[3], Transitions(*rest[4:])
        leaf = theta.detach().requires_grad_()
        with torch.enable_grad():
            loss, metrics = self.loss(leaf, target, batch)
            (gradient,) = torch.autograd.grad(loss, leaf)
        gradient, norm = clipped(gradient, self.options.max_grad_norm)
        step, adam = adam_step(gradient, adam, rate)
        return theta - step, *adam, torch.stack([*metrics, norm])

    def update(
        self, rollout: Rollout, advantage: Tensor, target: Tensor, progress: float, rng: Generator
    ) -> dict[str, float]:
        """The rollout into the replay, then gradient steps; advantages and their targets are not asked."""
        options, replay = self.options, self.replay
        replay.add(transitions(rollout, options.n_step))
        row: dict[str, float] = {"train/replay": len(replay)}
        if len(replay) < options.warmup:
            return row
        rate = decayed(options, progress)
        rate_tensor = torch.tensor(rate, dtype=torch.float64)
        count = self.gradient_steps(options, rollout.bad.numel())
        samples = self._seen(replay.sample(count * options.minibatch, rng), rollout.reward_scale)
        theta, adam, frozen, history = self.policy.theta, self.adam, self.target, list[Tensor]()
        first = int(adam.steps)
        for k, batch in enumerate(zip(*(x.split(options.minibatch) for x in samples), strict=True), first):
            if k % options.target_period == 0:
                frozen = theta.clone()
            theta, *moments, metrics = self._step(theta, frozen, *adam, rate_tensor, *batch)
            adam = Adam(*moments)
            history.append(metrics)
        table = torch.stack(history)
        require_finite_metrics(table, METRICS)
        require_finite_weights(self.policy, theta)
        self.policy.theta.copy_(theta)
        self.adam, self.target = adam, frozen
        row |= {f"train/{name}": value for name, value in zip(METRICS, table.mean(0).tolist(), strict=True)}
        return row | {"train/learning_rate": rate, "train/n_updates": int(adam.steps)}

    def _seen(self, batch: Transitions, reward_scale: float) -> Transitions:
        """Observations and rewards in today's units: the network's inputs, and the scaled reward."""
        normaliser = self.policy.normaliser
        return batch._replace(
            obs=normaliser(batch.obs), after=normaliser(batch.after), reward=batch.reward / reward_scale
        )

    def state(self) -> dict[str, Tensor]:
        """Adam's state, the target network, and the replay, which is large."""
        replay = {f"memory.{name}": tensor for name, tensor in self.replay.state().items()}
        return self.adam._asdict() | {"target": self.target} | replay

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take them from a checkpoint; ValueError when they are those of other weights or another replay."""
        self.adam = load_adam(self.adam, state)
        self.target = state["target"].clone()
        self.replay.load_state({k.removeprefix("memory."): v for k, v in state.items() if k.startswith("memory.")})
