"""Decoupled Q-networks (Seyde et al. 2022, arXiv 2210.12566): the value-based baseline, beside the policy gradients.

A Q-function of all joints' bins at once has Kᴬ outputs. Decoupled, it is a mean of utilities, K of each joint:

    Q(s, a) = 1/A Σ_j U_j(s, a_j)                                                                    (eq. 3)

so its maximum over all actions is the mean of the joints' maxima, and the network has K·A outputs. It is learned by
what DQN has come to: a replay, n-step returns, a target network, double Q-learning, Huber's loss. The policy's trunk
and head are the network: the params of the head `utilities` are U, its distribution explores, its mode is greedy.

Not taken from the authors' code: priorities in the replay, and a second network whose Q is averaged with the first's.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from pgcontrol.heads import categorical
from pgcontrol.learning.advantages import Estimate
from pgcontrol.learning.optimiser import GradientStep, Metrics, decayed
from pgcontrol.learning.replay import ReplayBuffer, Transitions, transitions
from pgcontrol.learning.rollout import Rollout
from pgcontrol.learning.rule import Rule, means, move
from pgcontrol.machine import trees
from pgcontrol.machine.tensors import named, under
from pgcontrol.options import InputError, option


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

        learning_rate: float = option(3e-4, "initial step size of Adam", above=0)
        decay: str = option("none", "decay of the step size to 0 over the run", choices=("linear", "none"))
        minibatch: int = option(128, "transitions per gradient step", least=1, most=10**6)
        replay_ratio: float = option(48.0, "how often a transition is used, on average", above=0)
        n_step: int = option(5, "n of the n-step return", least=1, most=10**4)
        target_period: int = option(100, "gradient steps between updates of the target network", least=1, most=10**9)
        capacity: int = option(
            1_000_000, "size of the replay buffer, in transitions of 8 bytes per observation entry", least=1, most=10**9
        )
        warmup: int = option(5_000, "transitions in the buffer before the first gradient step", least=1, most=10**9)
        max_grad_norm: float = option(40.0, "largest norm of the gradient; a longer one is scaled down", above=0)

    def set_up(self) -> None:
        """Adam, the target network as the online one, and an empty replay."""
        super().set_up()
        policy, options = self.policy, self.options
        self.step = GradientStep(policy, self.loss, options.max_grad_norm, compilation=self.compilation)
        self.target = policy.theta.clone()  # the target network's weights [P]
        self.replay = ReplayBuffer(options.capacity, policy.normaliser.mean.numel(), policy.head.choice_spec)

    @classmethod
    def check(cls, options: Any, samples: int) -> None:
        """A rollout must fit into the replay, and ask for a gradient step at least."""
        for name, least in (("warmup", options.warmup), ("num_envs x rollout_steps", samples)):
            if options.capacity < least:
                raise InputError(f"algorithm.capacity = {options.capacity}: must be at least {name} = {least}")
        if not cls.gradient_steps(options, samples):
            said = f"algorithm.replay_ratio = {options.replay_ratio:g}: with num_envs x rollout_steps = {samples}"
            least = f"{options.minibatch / samples:g}, or no minibatch of {options.minibatch} is drawn"
            raise InputError(f"{said} it must be at least {least}")

    @classmethod
    def gradient_steps(cls, options: Any, samples: int) -> int:
        """Minibatches a rollout, to the nearest."""
        return round(options.replay_ratio * samples / options.minibatch)

    @classmethod
    def memory(cls, options: Any, samples: int, total_steps: int, obs_size: int) -> int:
        """Of the transitions in the replay, as many as the run fills, and of those drawn of it for an update."""
        drawn = options.minibatch * cls.gradient_steps(options, samples)
        return 8 * obs_size * (min(options.capacity, total_steps) + drawn)

    def loss(self, theta: Tensor, batch: Transitions, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Huber's loss of a minibatch of normalised observations under weights `theta` and the target network's [P]."""
        with torch.no_grad():
            online, frozen = (self.policy.distribution(weights, batch.after) for weights in (theta, target))
            wanted = batch.reward + batch.discount * double_q(online, frozen)
        q = q_value(self.policy.distribution(theta, batch.obs), batch.choice)
        return F.huber_loss(q, wanted), {"td_error": (wanted - q).abs().mean(), "q_value": q.mean()}

    def update(self, rollout: Rollout, estimate: Estimate, progress: float, rng: Generator) -> dict[str, float]:
        """The rollout into the replay, then gradient steps; the estimate is not asked."""
        options, replay = self.options, self.replay
        replay.add(transitions(rollout, options.n_step))
        row: dict[str, float] = {"train/replay": len(replay)}
        if len(replay) < options.warmup:
            return row
        rate, count = decayed(options, progress), self.gradient_steps(options, rollout.bad.numel())
        drawn, normaliser = replay.sample(count * options.minibatch, rng), self.policy.normaliser
        # in today's units: the network's inputs, and the scaled reward
        reward = drawn.reward / rollout.reward_scale
        samples = drawn._replace(obs=normaliser(drawn.obs), after=normaliser(drawn.after), reward=reward)
        theta, adam, frozen, history = self.policy.theta, self.adam, self.target, list[Metrics]()
        for k, batch in enumerate(trees.split(samples, options.minibatch), int(adam.steps)):
            if k % options.target_period == 0:
                frozen = theta.clone()
            theta, adam, metrics = self.step(theta, adam, rate, batch, frozen)
            history.append(metrics)
        row |= {f"train/{name}": value for name, value in means(history).items()}
        move(self.policy, theta)
        self.adam, self.target = adam, frozen
        return row | {"train/learning_rate": float(rate), "train/n_updates": int(adam.steps)}

    def state(self) -> dict[str, Tensor]:
        """Adam's state, the target network, and the replay, which is large."""
        return super().state() | {"target": self.target} | named("memory.", self.replay.state())

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take them from a checkpoint; ValueError when they are those of other weights or another replay."""
        super().load_state(state)
        self.target = state["target"].clone()
        self.replay.load_state(under("memory.", state))
