"""Diagonal Gaussians: with one global σ per joint, the field's default and the baseline of every comparison; or with
σ from the observation."""

import math

import torch
from torch import Generator, Tensor, nn

from pgcontrol.heads import normal
from pgcontrol.heads.base import Continuous, output_layer
from pgcontrol.heads.normal import Deviations


class DiagonalGaussian(Continuous):
    """A Gaussian of its own for every joint; subclasses say where log σ comes from.

    params [B, 2, A]: mean and log σ in normalised units. The choice is the *unclipped* sample, so the log-probability
    is that of a true Gaussian; `decode` clips at the joint's bounds.
    """

    Options = Deviations

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Deviations):
        super().__init__(features, low, high, options)
        self.mean = output_layer(features, self.joints)
        self.limits = options.log_limits

    def rates(self) -> dict[str, Tensor]:
        """Of all that is σ's own."""
        rate = torch.tensor(self.options.std_rate)
        return {name: rate for name, _ in self.named_parameters() if name.startswith("log_std")}

    def free_log_std(self, features: Tensor) -> Tensor:
        """log σ before it is bounded, [A] or [B, A]."""
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
        """Means change place and sign, σ its place."""
        mean, log_std = params[..., order].unbind(1)
        return torch.stack((mean * sign, log_std), dim=1)

    def mode(self, params: Tensor) -> Tensor:
        """The mean."""
        return params[:, 0]

    def describe(self, params: Tensor) -> dict[str, Tensor]:
        """σ per joint (mean, least, most), the share of joints at a bound, and the share of saturated actions."""
        mean, log_std = params.unbind(1)
        std = log_std.exp()
        saturation = normal.outside(mean, std).mean()
        return normal.spread(std) | {"std_at_bound": normal.at_bound(log_std, self.limits), "saturation": saturation}


class Gaussian(DiagonalGaussian):
    """Diagonal Gaussian, σ one learned number per joint that ignores the observation."""

    name = "gaussian"

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Deviations):
        super().__init__(features, low, high, options)
        self.log_std = nn.Parameter(torch.full((self.joints,), math.log(options.initial_std)))

    def free_log_std(self, features: Tensor) -> Tensor:
        """[A]."""
        return self.log_std

    @torch.no_grad()
    def widen(self, std: float, features: Tensor) -> None:
        """σ itself, of every joint."""
        self.log_std.fill_(math.log(self.options.within(std)))


class GaussianState(DiagonalGaussian):
    """Diagonal Gaussian with σ from the trunk: it can be bold in one state and precise in another."""

    name = "gaussian-state"

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Deviations):
        super().__init__(features, low, high, options)
        self.log_std = output_layer(features, self.joints, math.log(options.initial_std))

    def free_log_std(self, features: Tensor) -> Tensor:
        """[B, A]."""
        return self.log_std(features)

    @torch.no_grad()
    def widen(self, std: float, features: Tensor) -> None:
        """The same σ in every state, to begin with."""
        self.log_std.weight.zero_()
        self.log_std.bias.fill_(math.log(self.options.within(std)))
