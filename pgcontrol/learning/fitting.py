"""What rules share that move the actor and the critic apart: the critic's fit, and checks before a step is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from pgcontrol.learning.optimiser import adam_step, fresh_adam, load_adam
from pgcontrol.learning.rollout import Rollout
from pgcontrol.learning.updates import Diverged, require_finite_weights
from pgcontrol.options import option
from pgcontrol.policy import Policy


@dataclass(frozen=True)
class CriticOptions:
    """The critic's own epochs of minibatches."""

    critic_learning_rate: float = option(1e-3, "Adam's step size for the critic", above=0)
    critic_epochs: int = option(10, "passes of the critic over a rollout", least=1)
    critic_minibatch: int = option(256, "samples a gradient step of the critic", least=1)


class CriticFit:
    """Fits the critic to its targets with Adam, after the policy's step: advantages never see their own targets.

    Trunks are apart, so the gradient of the critic's loss in `theta` [P] is zero on the actor's part, and Adam leaves
    that part where it is.
    """

    def __init__(self, policy: Policy, options: CriticOptions):
        self.policy, self.options = policy, options
        self.adam = fresh_adam(policy)
        self.learns = any(True for _ in policy.critic.parameters())

    def __call__(self, theta: Tensor, rollout: Rollout, target: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
        """New weights [P], and the mean loss over the fit as a scalar.

        Args:
            theta: weights [P].
            rollout: T x N choices.
            target: returns [T, N].
            rng: for the order of minibatches.
        """
        options = self.options
        obs, wanted = rollout.obs.flatten(0, 1), target.flatten()
        rate = torch.tensor(options.critic_learning_rate, dtype=torch.float64)
        losses = [torch.zeros(())] if not self.learns else []
        for _ in range(options.critic_epochs if self.learns else 0):
            for rows in torch.randperm(len(obs), generator=rng).split(options.critic_minibatch):
                leaf = theta.detach().requires_grad_()
                loss = self.policy.critic.loss(self.policy.criticise(leaf, obs[rows]), wanted[rows]).mean()
                (gradient,) = torch.autograd.grad(loss, leaf)
                step, self.adam = adam_step(gradient, self.adam, rate)
                theta = theta - step
                losses.append(loss.detach())
        return theta, torch.stack(losses).mean()

    def state(self) -> dict[str, Tensor]:
        """Adam's state, to checkpoint."""
        return {f"critic_{name}": x for name, x in self.adam._asdict().items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take Adam's state from a checkpoint."""
        self.adam = load_adam(self.adam, state, "critic_")


def normalised(advantage: Tensor, rows: Tensor) -> Tensor:
    """Advantage [B] with mean 0 and deviation 1 over the bool mask `rows` [B], and 0 elsewhere."""
    if rows.sum() < 2:
        return advantage
    std, mean = torch.std_mean(advantage[rows])
    return torch.where(rows, (advantage - mean) / (std + 1e-8), 0.0)


def prior_cost(policy: Policy, params: Tensor, rollout: Rollout) -> Tensor:
    """What being away from the rollout's prior costs a policy of these params [T·N, ...]: a scalar, 0 without one."""
    if rollout.prior is None:
        return params.new_zeros(())
    rows = ~rollout.silent.flatten()
    kl = policy.head.kl(params, rollout.prior.flatten(0, 1))
    return rollout.pull * (kl * rows).sum() / rows.sum().clamp_min(1)


def ratio_error(log_prob: Tensor, stored: Tensor) -> float:
    """The largest |ratio − 1| of log-probabilities [B] against those of the rollout."""
    return float(((log_prob.detach() - stored).exp() - 1).abs().max())


def require_finite(policy: Policy, theta: Tensor, metrics: dict[str, Any]) -> None:
    """Metrics and new weights [P] are numbers.

    Raises:
        Diverged: names the first that is not.
    """
    for name, metric in metrics.items():
        if not torch.as_tensor(metric).isfinite().all():
            raise Diverged(f"{name} became {float(metric)} in this update")
    require_finite_weights(policy, theta)
