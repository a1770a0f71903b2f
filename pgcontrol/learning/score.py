"""The score-function rule: one step along E[A ∇log π], without ratio or clipping; every sample is used once."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from pgcontrol.learning.advantages import Estimate
from pgcontrol.learning.fitting import CriticFit, CriticOptions, critic_steps, normalised, prior_cost, ratio_error
from pgcontrol.learning.optimiser import OPTIMISERS, GradientStep, decayed
from pgcontrol.learning.rollout import Rollout
from pgcontrol.learning.rule import Moved, Rule, move, require_ratio_one
from pgcontrol.options import option


class Score(Rule):
    """θ ← θ + α E[A ∇log π(choice)] (Williams 1992, eq. 4; Sutton et al. 2000, theorem 1), once per rollout.

    For tasks with a single step and A = r, the same code computes reward-weighted maximum likelihood.
    """

    @dataclass(frozen=True)
    class Options:
        learning_rate: float = option(1e-3, "initial step size", above=0)
        decay: str = option("linear", "decay of the step size to 0 over the run", choices=("linear", "none"))
        optimiser: str = option("adam", "optimiser of the policy", choices=OPTIMISERS)
        entropy_coef: float = option(0.0, "weight of the entropy bonus", least=0)
        max_grad_norm: float = option(0.5, "largest norm of the gradient; a longer one is scaled down", above=0)
        normalise_advantage: bool = option(False, "scale a rollout's advantages to mean 0, standard deviation 1")

    def set_up(self) -> None:
        super().set_up()
        # not compiled: with one step per rollout, compilation would not pay off
        self.step = GradientStep(self.policy, self.loss, self.options.max_grad_norm, OPTIMISERS[self.options.optimiser])

    def loss(self, theta: Tensor, rollout: Rollout, advantage: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """−E[A log π] minus the entropy bonus, a scalar, and metrics.

        Args:
            theta: weights [P].
            rollout: T x N choices; masked rows are ignored.
            advantage: [T, N].
        """
        options, rows = self.options, ~rollout.masked.flatten()
        params = self.policy.distribution(theta, rollout.obs.flatten(0, 1))
        log_prob = self.policy.head.log_prob(params, rollout.choice.flatten(0, 1))
        require_ratio_one(ratio_error(log_prob, rollout.log_prob.flatten()), self.compilation)
        weight = advantage.flatten()
        if options.normalise_advantage:
            weight = normalised(weight, rows)
        count = rows.sum().clamp_min(1)
        policy_loss = -(weight * log_prob).sum() / count
        with torch.set_grad_enabled(options.entropy_coef > 0):  # its gradient can be slow
            entropy = (self.policy.head.entropy(params) * rows).sum() / count
        loss = policy_loss - options.entropy_coef * entropy + prior_cost(self.policy, params, rollout)
        return loss, {"policy_gradient_loss": policy_loss, "entropy_loss": -entropy}

    def update(self, rollout: Rollout, estimate: Estimate, progress: float, rng: Generator) -> dict[str, float]:
        """Take one step; see `Rule.update`."""
        policy, rate = self.policy, decayed(self.options, progress)
        theta, adam, metrics = self.step(policy.theta, self.adam, rate, rollout, estimate.advantage)
        theta, fitted = self.fit(theta, rollout, estimate.target, rng)
        row = {f"train/{name}": metrics.of(name) for name in metrics.names}
        move(policy, theta, row | {"train/value_loss": fitted.get("train/value_loss", 0.0)})
        self.adam = adam
        return row | fitted | {"train/learning_rate": float(rate), "train/n_updates": int(adam.steps)}

    def fit(self, theta: Tensor, rollout: Rollout, target: Tensor, rng: Generator) -> Moved:
        """Hook for further changes of the weights; this class has no critic and changes nothing."""
        return theta, {}


class ScoreAndCritic(Score):
    """The score-function step of the policy, and a separate fit of the critic."""

    @dataclass(frozen=True)
    class Options(Score.Options, CriticOptions):
        """Options of the step and of the critic's fit."""

    def set_up(self) -> None:
        super().set_up()
        self.critic_fit = CriticFit(self.policy, self.options, self.compilation)

    @classmethod
    def gradient_steps(cls, options: Any, samples: int) -> int:
        """The minibatches of the critic's fit."""
        return critic_steps(options, samples)

    def fit(self, theta: Tensor, rollout: Rollout, target: Tensor, rng: Generator) -> Moved:
        return self.critic_fit(theta, rollout, target, rng)

    def state(self) -> dict[str, Tensor]:
        return super().state() | self.critic_fit.state()

    def load_state(self, state: dict[str, Tensor]) -> None:
        super().load_state(state)
        self.critic_fit.load_state(state)
