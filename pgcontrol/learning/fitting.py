"""Shared by rules that update the actor and the critic separately: the critic's fit, and functions of unmasked rows."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from pgcontrol.learning.optimiser import GradientStep, fresh_adam, load_adam
from pgcontrol.learning.rollout import Rollout
from pgcontrol.learning.rule import Moved, explained_variance
from pgcontrol.machine.compiler import EAGER, Compilation
from pgcontrol.machine.tensors import named
from pgcontrol.options import option
from pgcontrol.policy import Policy


@dataclass(frozen=True)
class CriticOptions:
    """Options of the critic's fit."""

    critic_learning_rate: float = option(1e-3, "Adam's step size for the critic", above=0)
    critic_epochs: int = option(10, "passes of the critic over a rollout", least=1, most=1000)
    critic_minibatch: int = option(256, "samples per gradient step of the critic", least=1, most=10**6)


class CriticFit:
    """Fits the critic to its targets with Adam, after the policy's step, so that advantages use the critic before it.

    The actor and the critic have separate trunks. So the gradient of the critic's loss is zero in the actor's part of
    `theta` [P], and Adam does not change that part.
    """

    def __init__(self, policy: Policy, options: CriticOptions, compilation: Compilation = EAGER):
        self.policy, self.options = policy, options
        self.adam = fresh_adam(policy)
        self.step = GradientStep(policy, self.loss, scaled=False, compilation=compilation)
        self.learns = any(True for _ in policy.critic.parameters())

    def loss(self, theta: Tensor, obs: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The critic's mean loss for weights `theta` [P], observations [B, O] and targets [B]. No other metrics."""
        return self.policy.critic.loss(self.policy.criticise(theta, obs), target).mean(), {}

    def __call__(self, theta: Tensor, rollout: Rollout, target: Tensor, rng: Generator) -> Moved:
        """Fit the critic to one rollout with targets [T, N]. The metrics are those of `fit`, and the explained
        variance before it.
        """
        theta, loss = self.fit(theta, rollout.obs.flatten(0, 1), target.flatten(), rng)
        return theta, loss | {"train/explained_variance": explained_variance(rollout.value, target)}

    def fit(self, theta: Tensor, obs: Tensor, target: Tensor, rng: Generator) -> Moved:
        """Fit the critic. The metric is the mean loss during the fit.

        Args:
            theta: weights [P].
            obs: [B, O], normalised.
            target: targets [B].
            rng: random stream for the order of minibatches.
        """
        options = self.options
        rate = torch.tensor(options.critic_learning_rate, dtype=torch.float64)
        losses = list[Tensor]()
        self.step.rows = min(options.critic_minibatch, len(obs))
        for _ in range(options.critic_epochs if self.learns else 0):
            for rows in torch.randperm(len(obs), generator=rng).split(options.critic_minibatch):
                theta, self.adam, metrics = self.step(theta, self.adam, rate, obs[rows], target[rows])
                losses.append(metrics.values[0])
        loss = float(torch.stack(losses).mean()) if losses else 0.0
        return theta, {"train/value_loss": loss}

    def state(self) -> dict[str, Tensor]:
        """Adam's state, for a checkpoint."""
        return named("critic_", self.adam._asdict())

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restore Adam's state from a checkpoint; a fit that the run did not have before begins without one."""
        if any(name.startswith("critic_") for name in state):
            self.adam = load_adam(self.adam, state, "critic_")


def critic_steps(options: CriticOptions, samples: int) -> int:
    """The number of steps in the critic's fit to a rollout of `samples` choices, without smaller last minibatches."""
    return options.critic_epochs * max(samples // options.critic_minibatch, 1)


def normalised(advantage: Tensor, rows: Tensor) -> Tensor:
    """Advantages [B] with mean 0 and standard deviation 1 in the bool mask `rows` [B], and 0 elsewhere."""
    if rows.sum() < 2:
        return advantage
    std, mean = torch.std_mean(advantage[rows])
    return torch.where(rows, (advantage - mean) / (std + 1e-8), 0.0)


def prior_cost(policy: Policy, params: Tensor, rollout: Rollout) -> Tensor:
    """The KL penalty, a scalar, for a policy with params [T·N, ...]; 0 if the rollout has no prior."""
    if rollout.prior is None:
        return params.new_zeros(())
    rows = ~rollout.masked.flatten()
    kl = policy.head.kl(params, rollout.prior.flatten(0, 1))
    return rollout.prior_weight * (kl * rows).sum() / rows.sum().clamp_min(1)


def ratio_error(log_prob: Tensor, stored: Tensor) -> float:
    """The largest |ratio − 1| for log-probabilities [B] and those of the rollout, `stored` [B]."""
    return float(((log_prob.detach() - stored).exp() - 1).abs().max())
