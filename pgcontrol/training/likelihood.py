"""Maximum-likelihood fitting of a policy to samples, with a state for exact resuming."""

import math
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from pgcontrol.learning.optimiser import GradientStep, Metrics, fresh_adam, load_adam
from pgcontrol.learning.rule import Diverged, require_finite_weights
from pgcontrol.machine import compiler, trees
from pgcontrol.policy import Policy

AT_ONCE = 8192  # batch size of measurements


class Samples(NamedTuple):
    """M pairs of observation and choice, with weights.

    Attributes:
        obs: [M, O] float32, normalised.
        choice: [M, *choice_spec.shape].
        weight: [M], with mean 1 over the training samples.
    """

    obs: Tensor
    choice: Tensor
    weight: Tensor


class Likelihood:
    """Gradient ascent on the weighted mean log-probability: the score-function objective with weights as advantages.

    The policy holds the best weights so far on the held-out samples.

    Attributes:
        theta: [P], the weights after the last step.
        steps: number of gradient steps taken.
        best: metrics of the best weights; empty before the first measurement.
        best_step: the step that gave the best weights.
    """

    def __init__(
        self,
        policy: Policy,
        max_grad_norm: float,
        seed: int = 0,
        compilation: compiler.Compilation = compiler.EAGER,
    ):
        """`seed`: seed of the order of samples."""
        self.policy, self.adam, self.theta = policy, fresh_adam(policy), policy.theta.clone()
        self.compilation = compilation
        self.step = GradientStep(policy, self.loss, max_grad_norm, scaled=False, compilation=compilation)
        self.steps = self.best_step = 0
        self.best: dict[str, Any] = {}
        self._losses: list[Tensor] = []  # [1] each, since the last measurement
        self._rng, self._order = Generator().manual_seed(seed), torch.empty(0, dtype=torch.int64)

    def loss(self, theta: Tensor, samples: Samples) -> tuple[Tensor, dict[str, Tensor]]:
        """−E[w log π(choice)] for weights `theta` [P], a scalar in nats per choice. No other metrics."""
        log_prob = self.policy.head.log_prob(self.policy.distribution(theta, samples.obs), samples.choice)
        return -(samples.weight * log_prob).mean(), {}

    @torch.no_grad()
    def measure(self, theta: Tensor, samples: Samples) -> float:
        """The loss, averaged over all samples."""
        parts = trees.split(samples, AT_ONCE)
        return sum(float(self.loss(theta, part)[0]) * len(part.obs) for part in parts) / len(samples.obs)

    def climb(self, samples: Samples, size: int, rate: Tensor) -> Metrics:
        """Take one gradient step on the next `size` samples of successive random permutations."""
        while len(self._order) < size:
            self._order = torch.cat((self._order, torch.randperm(len(samples.obs), generator=self._rng)))
        batch, self._order = trees.rows(samples, self._order[:size]), self._order[size:]
        self.theta, self.adam, metrics = self.step(self.theta, self.adam, rate, batch)
        self._losses.append(metrics.values[:1])
        self.steps += 1
        return metrics

    def judge(self, test: Samples) -> dict[str, float]:
        """Measure the held-out likelihood, and copy the weights to the policy if they are the best so far.

        Returns:
            metrics of the steps since the last call and of the held-out samples.

        Raises:
            Diverged: the likelihood or the weights became infinite or NaN.
        """
        row = {"train/nll": float(torch.cat(self._losses).mean()), "eval/nll": self.measure(self.theta, test)}
        if not all(math.isfinite(number) for number in row.values()):
            raise Diverged(f"the likelihood became {row['train/nll']} by gradient step {self.steps}")
        require_finite_weights(self.policy, self.theta)
        row |= _describe(self.policy, self.theta, test)
        self._losses.clear()
        if not self.best or row["eval/nll"] < self.best["eval/nll"]:
            self.best, self.best_step = row, self.steps
            self.policy.theta.copy_(self.theta)
        return row

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(tensors, JSON values) for an exact continuation."""
        losses = torch.cat([*self._losses, torch.empty(0)])
        order = {"rng": self._rng.get_state(), "order": self._order}
        tensors = self.adam._asdict() | {"theta": self.theta, "losses": losses} | order
        return tensors, {"steps": self.steps, "best": self.best, "best_step": self.best_step}

    def load_state(self, tensors: dict[str, Tensor], extra: dict[str, Any]) -> None:
        """Continue from `state`. Raises KeyError, TypeError or ValueError if the state does not fit."""
        self.adam = load_adam(self.adam, tensors)
        self.theta, self._order = tensors["theta"].clone(), tensors["order"].clone()
        self._losses = list(tensors["losses"].split(1)) if len(tensors["losses"]) else []
        self._rng.set_state(tensors["rng"])
        self.steps, self.best, self.best_step = int(extra["steps"]), dict(extra["best"]), int(extra["best_step"])


@torch.no_grad()
def _describe(policy: Policy, theta: Tensor, test: Samples) -> dict[str, float]:
    """The head's metrics in held-out states, and the error of its mode with respect to the held-out actions."""
    head, few = policy.head, slice(None, AT_ONCE)
    params = policy.distribution(theta, test.obs[few])
    action, mode = head.decode(test.choice[few]), head.decode(head.mode(params))
    described = head.describe(params)
    error = (head.to_unit(mode) - head.to_unit(action)).square().mean().sqrt()
    row = {f"head/{name}": float(value) for name, value in described.items()}
    return row | {"train/std": float(described["std"]), "eval/error": float(error)}
