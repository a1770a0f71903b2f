"""Diagonal Gaussians: with one σ per joint (the usual choice in the field, and the baseline of all comparisons), or
with σ as a function of the observation."""

import math

import torch
from torch import Generator, Tensor, nn

from pgcontrol.heads import normal
from pgcontrol.heads.base import Continuous, output_layer
from pgcontrol.heads.normal import Deviations


class DiagonalGaussian(Continuous):
    """An independent Gaussian for every joint; subclasses define log σ.

    params [B, 2, A]: mean and log σ in normalised units. The choice is the *unclipped* sample, so its log-probability
    is the one of the Gaussian; `decode` clips at the joint's bounds.
    """

    Options = Deviations
    pathwise = True

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Deviations):
        super().__init__(features, low, high, options)
        self.mean = output_layer(features, self.joints)
        self.limits = options.log_limits

    def rates(self) -> dict[str, Tensor]:
        """The rate of all parameters that belong to σ only."""
        rate = torch.tensor(self.options.std_rate)
        return {name: rate for name, _ in self.named_parameters() if name.startswith("log_std")}

    def free_log_std(self, features: Tensor) -> Tensor:
        """log σ before it is clamped to its limits, [A] or [B, A]."""
        raise NotImplementedError

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, 2, A]."""
        mean = self.mean(features)
        log_std = normal.bounded(self.free_log_std(features), *self.limits)
        return torch.stack((mean, log_std.expand_as(mean)), dim=1)

    def noise(self, count: int, rng: Generator) -> Tensor:
        """Standard normal, [count, A]."""
        return torch.randn(count, self.joints, generator=rng)

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        """Mean + σ·noise, unclipped."""
        mean, log_std = params.unbind(1)
        return mean + log_std.exp() * noise

    def log_prob(self, params: Tensor, choice: Tensor) -> Tensor:
        """Sum over joints of log N(choice; mean, σ²)."""
        return normal.log_density(params[:, 0], params[:, 1], choice)

    def entropy(self, params: Tensor) -> Tensor:
        """½ log(2πe σ²), summed over joints."""
        return normal.entropy(params[:, 1])

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """Closed form: log(σ₂/σ₁) + (σ₁² + (μ₁−μ₂)²) / 2σ₂² − ½, summed over joints."""
        return normal.kl(old[:, 0], old[:, 1], new[:, 0], new[:, 1])

    def mirror(self, params: Tensor, order: Tensor, sign: Tensor) -> Tensor:
        """Permute means and σ; flip the signs of the means."""
        mean, log_std = params[..., order].unbind(1)
        return torch.stack((mean * sign, log_std), dim=1)

    def mode(self, params: Tensor) -> Tensor:
        """The mean."""
        return params[:, 0]

    def describe(self, params: Tensor) -> dict[str, Tensor]:
        """σ per joint (with mean, smallest, largest), fraction of σ at a limit, fraction of clipped actions."""
        mean, log_std = params.unbind(1)
        std = log_std.exp()
        saturation = normal.outside(mean, std).mean()
        return normal.spread(std) | {"std_at_bound": normal.at_bound(log_std, self.limits), "saturation": saturation}


class Gaussian(DiagonalGaussian):
    """Diagonal Gaussian. σ is one learned number per joint and does not depend on the observation."""

    name = "gaussian"

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Deviations):
        super().__init__(features, low, high, options)
        self.log_std = nn.Parameter(torch.full((self.joints,), math.log(options.initial_std)))

    def free_log_std(self, features: Tensor) -> Tensor:
        """[A]."""
        return self.log_std

    @torch.no_grad()
    def widen(self, std: float, features: Tensor) -> None:
        """Set σ of every joint."""
        self.log_std.fill_(math.log(self.options.within(std)))


class GaussianState(DiagonalGaussian):
    """Diagonal Gaussian with σ from the trunk: σ can be large in one state and small in another."""

    name = "gaussian-state"

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Deviations):
        super().__init__(features, low, high, options)
        self.log_std = output_layer(features, self.joints, math.log(options.initial_std))

    def free_log_std(self, features: Tensor) -> Tensor:
        """[B, A]."""
        return self.log_std(features)

    @torch.no_grad()
    def widen(self, std: float, features: Tensor) -> None:
        """Set the same σ in every state."""
        self.log_std.weight.zero_()
        self.log_std.bias.fill_(math.log(self.options.within(std)))
