"""Natural-gradient rules: the direction F⁻¹g by conjugate gradients, its length from a KL budget."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from pgcontrol.learning.advantages import Estimate
from pgcontrol.learning.fitting import CriticFit, CriticOptions, normalised, prior_cost, ratio_error
from pgcontrol.learning.rollout import Rollout
from pgcontrol.learning.rule import Moved, Rule, move, require_ratio_one
from pgcontrol.options import InputError, option
from pgcontrol.policy import Policy


class Fisher:
    """Products with the Fisher matrix of the mean over B samples; 0 on the critic's weights.

    At new = old the Hessian of KL(old || new) is the Fisher matrix (Kakade 2002, eq. 2; Schulman et al. 2015, appendix
    C), so a head with an exact `kl` needs nothing else. The Hessian of an *estimated* KL may have negative eigenvalues,
    which neither conjugate gradients nor a step's length survive: there the matrix is the mean of ∇log π ∇log πᵀ over
    `DRAWS` choices a sample, unbiased and never negative.
    """

    DRAWS = 4

    def __init__(self, policy: Policy, theta: Tensor, obs: Tensor):
        """The matrix at weights `theta` [P] for normalised observations [B, O]."""
        self.leaf = theta.detach().requires_grad_()
        self.estimated = "kl" in policy.head.estimates
        params = policy.distribution(self.leaf, obs.repeat_interleave(self.DRAWS, 0) if self.estimated else obs)
        if not self.estimated:
            kl = policy.head.kl(params.detach(), params).mean()
            (self._slope,) = torch.autograd.grad(kl, self.leaf, create_graph=True)
        else:
            # the same draws in every update: a rule has no random stream for them, and a rollout's choices are its own
            choice = policy.head.sample(params.detach(), torch.Generator().manual_seed(0))
            self._scores = policy.head.log_prob(params, choice)
            # Jᵀu for any u, so that its derivative in u is J·v
            self._u = torch.zeros_like(self._scores, requires_grad=True)
            (self._pulled,) = torch.autograd.grad(self._scores, self.leaf, self._u, create_graph=True)

    def __call__(self, vector: Tensor) -> Tensor:
        """F·v for v [P]."""
        if not self.estimated:
            return torch.autograd.grad(self._slope @ vector, self.leaf, retain_graph=True)[0]
        (along,) = torch.autograd.grad(self._pulled, self._u, vector, retain_graph=True)
        return torch.autograd.grad(self._scores, self.leaf, along / len(along), retain_graph=True)[0]


def conjugate_gradient(product: Callable[[Tensor], Tensor], b: Tensor, iterations: int) -> Tensor:
    """x with A x ≈ b for a positive definite A given by its products (Hestenes & Stiefel 1952), from x = 0.

    Stops early once the residual is 1e-10 of b's square.
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
    """What a candidate's weights would do, on the rollout's samples.

    Attributes:
        gain: E[ratio·A], the surrogate, less what being away from a prior costs.
        kl: E[KL(old || new)] in nats.
    """

    gain: Tensor
    kl: Tensor


class Natural(Rule):
    """NPG: θ ← θ + √(2δ / xᵀFx) x with x = F⁻¹g (Kakade 2002; Rajeswaran et al. 2017, arXiv 1703.02660, eq. 5).

    The length is right to second order only: the measured KL, `train/kl`, may exceed δ, and nothing is done about it.
    """

    @dataclass(frozen=True)
    class Options(CriticOptions):
        """A step in units of KL."""

        max_kl: float = option(0.01, "δ: KL budget of a step, in nats per choice", above=0)
        cg_iterations: int = option(10, "iterations of conjugate gradients", least=1, most=1000)
        damping: float = option(0.1, "number added to the diagonal of the Fisher matrix", least=0)
        normalise_advantage: bool = option(True, "scale a rollout's advantages to mean 0, standard deviation 1")

    def set_up(self) -> None:
        """The critic's fit; InputError: a head whose weights step at rates of their own."""
        if self.policy.rates is not None:
            raise InputError("head.std_rate: a natural gradient has one step size for all weights; set it to 1")
        self.critic_fit = CriticFit(self.policy, self.options)
        self.updates = torch.zeros((), dtype=torch.int64)

    def update(self, rollout: Rollout, estimate: Estimate, progress: float, rng: Generator) -> dict[str, float]:
        """One natural step of the policy, then the critic's fit; see `Rule.update`."""
        options, policy, head = self.options, self.policy, self.policy.head
        obs, choice, old = (x.flatten(0, 1) for x in (rollout.obs, rollout.choice, rollout.params))
        rows, log_prob, weight = ~rollout.masked.flatten(), rollout.log_prob.flatten(), estimate.advantage.flatten()
        weight = normalised(weight, rows) if options.normalise_advantage else weight
        count = rows.sum().clamp_min(1)

        leaf = policy.theta.detach().requires_grad_()
        params = policy.distribution(leaf, obs)
        now = head.log_prob(params, choice)
        require_ratio_one(ratio_error(now, log_prob))
        objective = (weight * now).sum() / count - prior_cost(policy, params, rollout)
        (gradient,) = torch.autograd.grad(objective, leaf)
        fisher = Fisher(policy, policy.theta, obs[rows])
        x = conjugate_gradient(lambda v: fisher(v) + options.damping * v, gradient, options.cg_iterations)
        curvature = x @ fisher(x)
        # no gradient, no direction: stay
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
        """The weights after the step, and metrics of how it was found: here, the whole step."""
        return theta + step, {}

    def state(self) -> dict[str, Tensor]:
        """The critic's optimiser and the count of updates."""
        return self.critic_fit.state() | {"updates": self.updates}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take both from a checkpoint."""
        self.critic_fit.load_state(state)
        self.updates = state["updates"].clone()


class TrustRegion(Natural):
    """TRPO: the natural step, shortened until KL ≤ δ and the surrogate is better (Schulman et al. 2015, appendix C).

    If no length will do, the policy stays as it is: KL ≤ δ holds in every update.
    """

    @dataclass(frozen=True)
    class Options(Natural.Options):
        """Adds the line search."""

        backtracks: int = option(10, "largest number of times that the step is shortened", least=1, most=1000)
        shrink: float = option(0.8, "factor by which the step is shortened each time", above=0, below=1)

    def advance(self, theta: Tensor, step: Tensor, measure: Callable[[Tensor], Measure]) -> Moved:
        """The first of the ever shorter steps that keeps the budget and gains."""
        before, k = measure(theta).gain, 0
        for k in range(self.options.backtracks + 1):
            candidate = theta + self.options.shrink**k * step
            found = measure(candidate)
            if found.kl <= self.options.max_kl and found.gain > before:
                return candidate, {"train/backtracks": k, "train/accepted": 1.0}
        return theta, {"train/backtracks": k, "train/accepted": 0.0}
