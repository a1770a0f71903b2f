"""Decoupled Q-networks (Seyde et al. 2022, arXiv 2210.12566): a value-based baseline for the policy gradients.

A Q-function over the bins of all joints together has Kᴬ outputs. The decoupled one is a mean of K utilities per joint:

    Q(s, a) = 1/A Σ_j U_j(s, a_j)                                                                    (eq. 3)

so its maximum over all actions is the mean of the joints' maxima, and the network has K·A outputs. It is trained as a
modern DQN: replay buffer, n-step returns, target network, double Q-learning, Huber loss. The network consists of the
policy's trunk and head: the params of the head `utilities` are U, its distribution explores, and its mode is greedy.

The authors' code also has a prioritised replay and averages the Q of two networks. Both are left out here.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from pgcontrol.heads import categorical
from pgcontrol.heads.base import Head
from pgcontrol.heads.utilities import Utilities
from pgcontrol.learning.advantages import Estimate
from pgcontrol.learning.optimiser import GradientStep, Metrics, decayed
from pgcontrol.learning.replay import ReplayBuffer, Transitions, transitions
from pgcontrol.learning.rollout import Rollout
from pgcontrol.learning.rule import Rule, means, move
from pgcontrol.machine import trees
from pgcontrol.machine.tensors import named, under
from pgcontrol.measures.metric import Metric
from pgcontrol.options import InputError, option


def q_value(utilities: Tensor, choice: Tensor) -> Tensor:
    """Q [B] of the choices [B, A] for utilities [B, A, K]: eq. 3."""
    return categorical.pick(utilities, choice).mean(-1)


def double_q(online: Tensor, target: Tensor) -> Tensor:
    """The value of the next state [B] by decoupled double Q-learning (van Hasselt et al. 2016, eq. 4).

    Every joint chooses with the online utilities [B, A, K]; the target network's utilities [B, A, K] give the value. So
    the noise that decides the choice is independent of the noise in its value.
    """
    return q_value(target, online.argmax(-1))


class DecQN(Rule):
    """Takes gradient steps on minibatches of the replay buffer after each rollout; `replay_ratio` sets their number."""

    heeds_prior = False
    metrics: ClassVar = {
        "replay": Metric("transitions", "transitions in the replay buffer of decqn"),
        "td_error": Metric("", "decqn: mean |target − Q|, in units of the scaled reward"),
    }

    @dataclass(frozen=True)
    class Options:
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
        super().set_up()
        policy, options = self.policy, self.options
        self.step = GradientStep(policy, self.loss, options.max_grad_norm, compilation=self.compilation)
        self.target = policy.theta.clone()  # the target network's weights [P]
        self.replay = ReplayBuffer(options.capacity, policy.normaliser.mean.numel(), policy.head.choice_spec)

    @classmethod
    def stored(cls, options: Any) -> tuple[str, ...]:
        """Those of the transitions in the replay buffer."""
        return ("gamma", "n_step", "capacity")

    @classmethod
    def trains(cls, head: type[Head]) -> bool:
        """Heads whose params are utilities."""
        return issubclass(head, Utilities)

    @classmethod
    def check(cls, options: Any, samples: int) -> None:
        """A rollout must fit into the replay buffer, and lead to at least one gradient step."""
        for name, least in (("warmup", options.warmup), ("num_envs x rollout_steps", samples)):
            if options.capacity < least:
                raise InputError(f"algorithm.capacity = {options.capacity}: must be at least {name} = {least}")
        if not cls.gradient_steps(options, samples):
            ratio = f"algorithm.replay_ratio = {options.replay_ratio:g}: with num_envs x rollout_steps = {samples}"
            least = f"{options.minibatch / samples:g}, or no minibatch of {options.minibatch} is drawn"
            raise InputError(f"{ratio} it must be at least {least}")

    @classmethod
    def gradient_steps(cls, options: Any, samples: int) -> int:
        """Minibatches per rollout, rounded."""
        return round(options.replay_ratio * samples / options.minibatch)

    @classmethod
    def memory(cls, options: Any, samples: int, total_steps: int, obs_size: int) -> int:
        """Bytes of the part of the replay buffer that the run fills, and of the transitions drawn for an update."""
        drawn = options.minibatch * cls.gradient_steps(options, samples)
        return 8 * obs_size * (min(options.capacity, total_steps) + drawn)

    def loss(self, theta: Tensor, batch: Transitions, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The Huber loss of a minibatch with normalised observations. `theta` [P] and `target` [P] are weights."""
        with torch.no_grad():
            online, frozen = (self.policy.distribution(weights, batch.after) for weights in (theta, target))
            wanted = batch.reward + batch.discount * double_q(online, frozen)
        q = q_value(self.policy.distribution(theta, batch.obs), batch.choice)
        return F.huber_loss(q, wanted), {"td_error": (wanted - q).abs().mean(), "q_value": q.mean()}

    def update(self, rollout: Rollout, estimate: Estimate, progress: float, rng: Generator) -> dict[str, float]:
        """Add the rollout to the replay buffer, then take gradient steps. The estimate is not used."""
        options, replay = self.options, self.replay
        replay.add(transitions(rollout, options.n_step))
        row: dict[str, float] = {"train/replay": len(replay)}
        if len(replay) < options.warmup:
            return row
        rate, count = decayed(options, progress), self.gradient_steps(options, rollout.bad.numel())
        drawn, normaliser = replay.sample(count * options.minibatch, rng), self.policy.normaliser
        # with the current normalisation of observations and scale of rewards
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
        """Adam's state, the target network, and the replay buffer, which is large."""
        return super().state() | {"target": self.target} | named("memory.", self.replay.state())

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restore from a checkpoint. Raises ValueError if the shapes of the weights or the replay buffer differ."""
        super().load_state(state)
        self.target = state["target"].clone()
        self.replay.load_state(under("memory.", state))
