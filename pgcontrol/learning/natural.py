"""Natural-gradient rules: conjugate gradients give the direction F⁻¹g, a KL budget gives the length."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Generator, Tensor

from pgcontrol.learning.advantages import Estimate
from pgcontrol.learning.fitting import CriticFit, CriticOptions, critic_steps, normalised, prior_cost, ratio_error
from pgcontrol.learning.rollout import Rollout
from pgcontrol.learning.rule import Moved, Rule, move, require_ratio_one
from pgcontrol.measures.metric import Metric
from pgcontrol.options import InputError, option
from pgcontrol.policy import Policy


class Fisher:
    """Products with the Fisher matrix, averaged over B samples; 0 for the critic's weights.

    At new = old the Hessian of KL(old || new) is the Fisher matrix (Kakade 2002, eq. 2; Schulman et al. 2015, appendix
    C). This is used for heads with an exact `kl`. The Hessian of an *estimated* KL may have negative eigenvalues, with
    which conjugate gradients and the step length fail. For such heads the matrix is the mean of ∇log π ∇log πᵀ over
    `DRAWS` choices per sample, which is unbiased and positive semidefinite.
    """

    DRAWS = 4

    def __init__(self, policy: Policy, theta: Tensor, obs: Tensor):
        """`theta`: weights [P]; `obs`: normalised observations [B, O]."""
        self.leaf = theta.detach().requires_grad_()
        self.estimated = "kl" in policy.head.estimates
        params = policy.distribution(self.leaf, obs.repeat_interleave(self.DRAWS, 0) if self.estimated else obs)
        if not self.estimated:
            kl = policy.head.kl(params.detach(), params).mean()
            (self._slope,) = torch.autograd.grad(kl, self.leaf, create_graph=True)
        else:
            # a rule has no random stream for these draws, so every update uses the same seed
            choice = policy.head.sample(params.detach(), torch.Generator(params.device).manual_seed(0))
            self._scores = policy.head.log_prob(params, choice)
            # Jᵀu for any u; its derivative with respect to u gives J·v
            self._u = torch.zeros_like(self._scores, requires_grad=True)
            (self._pulled,) = torch.autograd.grad(self._scores, self.leaf, self._u, create_graph=True)

    def __call__(self, vector: Tensor) -> Tensor:
        """F·v for v [P]."""
        if not self.estimated:
            return torch.autograd.grad(self._slope @ vector, self.leaf, retain_graph=True)[0]
        (along,) = torch.autograd.grad(self._pulled, self._u, vector, retain_graph=True)
        return torch.autograd.grad(self._scores, self.leaf, along / len(along), retain_graph=True)[0]


def conjugate_gradient(product: Callable[[Tensor], Tensor], b: Tensor, iterations: int) -> Tensor:
    """Solve A x ≈ b for a positive definite A, given as `product`, starting at x = 0 (Hestenes & Stiefel 1952).

    Stops early when the squared norm of the residual is below 1e-10 of that of b.
    """
    x, residual = torch.zeros_like(b), b.clone()
    direction, square = residual.clone(), residual @ residual
    enough = 1e-10 * square
    for _ in range(iterations):
        if square <= enough:
            break
        image = product(direction)
        length = square / (direction @ image)
        x = x + length * direction
        residual = residual - length * image
        before, square = square, residual @ residual
        direction = residual + square / before * direction
    return x


class Measure(NamedTuple):
    """Evaluation of candidate weights on the rollout's samples.

    Attributes:
        gain: the surrogate E[ratio·A] minus the KL penalty of a prior.
        kl: E[KL(old || new)] in nats.
    """

    gain: Tensor
    kl: Tensor


class Natural(Rule):
    """NPG: θ ← θ + √(2δ / xᵀFx) x with x = F⁻¹g (Kakade 2002; Rajeswaran et al. 2017, arXiv 1703.02660, eq. 5).

    The length is exact only to second order: the measured KL, `train/kl`, may exceed δ, and this is not corrected.
    """

    @dataclass(frozen=True)
    class Options(CriticOptions):
        """Adds the KL budget and the conjugate gradients."""

        max_kl: float = option(0.01, "δ: KL budget of a step, in nats per choice", above=0)
        cg_iterations: int = option(10, "iterations of conjugate gradients", least=1, most=1000)
        damping: float = option(0.1, "number added to the diagonal of the Fisher matrix", least=0)
        normalise_advantage: bool = option(True, "scale a rollout's advantages to mean 0, standard deviation 1")

    def set_up(self) -> None:
        """Raises InputError for a head with step-size multipliers."""
        if self.policy.rates is not None:
            raise InputError("head.std_rate: a natural gradient has one step size for all weights; set it to 1")
        self.critic_fit = CriticFit(self.policy, self.options, self.compilation)
        self.updates = torch.zeros((), dtype=torch.int64)

    @classmethod
    def gradient_steps(cls, options: Any, samples: int) -> int:
        """The minibatches of the critic's fit."""
        return critic_steps(options, samples)

    def update(self, rollout: Rollout, estimate: Estimate, progress: float, rng: Generator) -> dict[str, float]:
        """Take one natural-gradient step of the policy, then fit the critic; see `Rule.update`."""
        options, policy, head = self.options, self.policy, self.policy.head
        obs, choice, old = (x.flatten(0, 1) for x in (rollout.obs, rollout.choice, rollout.params))
        rows, log_prob, weight = ~rollout.masked.flatten(), rollout.log_prob.flatten(), estimate.advantage.flatten()
        weight = normalised(weight, rows) if options.normalise_advantage else weight
        count = rows.sum().clamp_min(1)

        leaf = policy.theta.detach().requires_grad_()
        params = policy.distribution(leaf, obs)
        now = head.log_prob(params, choice)
        require_ratio_one(ratio_error(now, log_prob), self.compilation)
        objective = (weight * now).sum() / count - prior_cost(policy, params, rollout)
        (gradient,) = torch.autograd.grad(objective, leaf)
        fisher = Fisher(policy, policy.theta, obs[rows])
        x = conjugate_gradient(lambda v: fisher(v) + options.damping * v, gradient, options.cg_iterations)
        curvature = x @ fisher(x)
        # without a gradient there is no direction
        step = x * (2 * options.max_kl / curvature).sqrt() if curvature > 0 else torch.zeros_like(x)

        @torch.no_grad()
        def measure(theta: Tensor) -> Measure:
            params = policy.distribution(theta, obs)
            ratio = (head.log_prob(params, choice) - log_prob).exp()
            gain = (weight * ratio).sum() / count - prior_cost(policy, params, rollout)
            return Measure(gain, (head.kl(old, params) * rows).sum() / count)

        theta, searched = self.advance(policy.theta, step, measure)
        after = measure(theta)
        theta, fitted = self.critic_fit(theta, rollout, estimate.target, rng)
        entropy = (head.entropy(old) * rows).sum() / count
        metrics = {"train/policy_gradient_loss": -float(after.gain), "train/entropy_loss": -float(entropy)}
        norm, value_loss = float(gradient.norm()), fitted["train/value_loss"]
        metrics |= {"train/grad_norm": norm, "train/value_loss": value_loss} | searched
        move(policy, theta, metrics)
        self.updates = self.updates + 1
        return metrics | fitted | {"train/n_updates": int(self.updates)}

    def advance(self, theta: Tensor, step: Tensor, measure: Callable[[Tensor], Measure]) -> Moved:
        """The weights after the step, and metrics of the line search. This class takes the full step."""
        return theta + step, {}

    def state(self) -> dict[str, Tensor]:
        """State of the critic's optimiser, and the number of updates."""
        return self.critic_fit.state() | {"updates": self.updates}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restore both from a checkpoint."""
        self.critic_fit.load_state(state)
        self.updates = state["updates"].clone()


class TrustRegion(Natural):
    """TRPO: shortens the natural step until KL ≤ δ and the surrogate improves (Schulman et al. 2015, appendix C).

    If no tried length satisfies this, the policy does not change. So KL ≤ δ holds in every update.
    """

    metrics: ClassVar = {
        "backtracks": Metric("", "how often the line search of TRPO shortened the step"),
        "accepted": Metric("0 or 1", "whether the line search of TRPO found a step"),
    }

    @dataclass(frozen=True)
    class Options(Natural.Options):
        """Adds the line search."""

        backtracks: int = option(10, "largest number of times that the step is shortened", least=1, most=1000)
        shrink: float = option(0.8, "factor by which the step is shortened each time", above=0, below=1)

    def advance(self, theta: Tensor, step: Tensor, measure: Callable[[Tensor], Measure]) -> Moved:
        """Take the longest tried step that keeps the KL budget and improves the surrogate."""
        before, k = measure(theta).gain, 0
        for k in range(self.options.backtracks + 1):
            candidate = theta + self.options.shrink**k * step
            found = measure(candidate)
            if found.kl <= self.options.max_kl and found.gain > before:
                return candidate, {"train/backtracks": k, "train/accepted": 1.0}
        return theta, {"train/backtracks": k, "train/accepted": 0.0}
