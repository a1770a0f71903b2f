"""Gaussian squashed into the bounds by tanh: bounded support, no clipping."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pgcontrol.heads import normal, quadrature
from pgcontrol.heads.base import INSET, solve
from pgcontrol.heads.gaussian import Gaussian
from pgcontrol.heads.normal import Deviations
from pgcontrol.options import option

EDGE = 1e-6  # a mean nearer to a bound, in half-ranges, is played this far inside: u would be infinite


class GaussianTanh(Gaussian):
    """tanh of a diagonal Gaussian with one global σ per joint (Haarnoja et al. 2018, arXiv 1801.01290, appendix C).

    params [B, 2, A]: mean and log σ *before* the squash. The choice is the value u before the squash as well, so that
    an action at a bound has a finite log-probability. `log_prob` is the log-density of tanh(u). The options' σ are
    before the squash: 0.37 there is 0.33 half-ranges after it.

    The entropy has no closed form and is estimated by Gauss-Hermite quadrature. The KL has one: it is the KL of the
    Gaussians, because both are squashed by the same function. `mode` is the median, tanh(mean), as usual in the field.
    The maximum of the density lies further out, and at the bounds if σ is large. With `played` = mean, `mode` is the
    mean of tanh(u), by quadrature, which lies further in.
    """

    name = "gaussian-tanh"
    estimates: ClassVar = {"entropy": 0.01}
    likeliest_mode = False

    @dataclass(frozen=True)
    class Options(Deviations):
        """Adds what is played."""

        played: str = option("median", "what is played where nothing is sampled", choices=("median", "mean"))

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Options):
        super().__init__(features, low, high, options)
        self.nodes, self.weights = (nn.Buffer(x, persistent=False) for x in quadrature.hermite(16))

    def log_prob(self, params: Tensor, choice: Tensor) -> Tensor:
        """log N(u; mean, σ²) − log(1 − tanh²u), summed over joints."""
        return super().log_prob(params, choice) - log_slope(choice).sum(-1)

    def entropy(self, params: Tensor) -> Tensor:
        """½ log(2πe σ²) + E log(1 − tanh²u), summed over joints; the expectation by quadrature."""
        return super().entropy(params) + (log_slope(self._at_nodes(params)) @ self.weights.to(params)).sum(-1)

    def decode(self, choice: Tensor) -> Tensor:
        return super().decode(choice.tanh())

    def mode(self, params: Tensor) -> Tensor:
        """The u of the median, or of the mean."""
        if self.options.played == "median":
            return super().mode(params)
        return self._squashed(params)[0].clamp(-1 + EDGE, 1 - EDGE).atanh()

    def encode(self, action: Tensor) -> Tensor:
        """artanh. An action at a bound moves slightly inside, because u would be infinite there."""
        return super().encode(action).clamp(-1 + INSET, 1 - INSET).atanh()

    def describe(self, params: Tensor) -> dict[str, Tensor]:
        """Standard deviation after the squash, fraction of σ at a limit, saturation."""
        _, std = self._squashed(params)
        centre, log_std = params.unbind(1)
        saturation = normal.outside(centre, log_std.exp(), math.atanh(0.99)).mean()
        return normal.spread(std) | {"std_at_bound": normal.at_bound(log_std, self.limits), "saturation": saturation}

    @torch.no_grad()
    def widen(self, std: float, features: Tensor) -> None:
        """Find the σ of every joint that has this standard deviation after the squash."""

        def width(log_std: Tensor) -> Tensor:
            self.log_std.copy_(log_std.clamp(*self.limits))
            return self.joint_stds(features)

        solve(width, std, self.joints)

    def _squashed(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of tanh(u), [B, A] each, by quadrature."""
        squashed = self._at_nodes(params).tanh()
        mean = squashed @ self.weights
        return mean, ((squashed - mean.unsqueeze(-1)) ** 2 @ self.weights).sqrt()

    def _at_nodes(self, params: Tensor) -> Tensor:
        """u at the quadrature nodes, [B, A, nodes]."""
        mean, log_std = params.unsqueeze(-1).unbind(1)
        return mean + log_std.exp() * self.nodes


def log_slope(u: Tensor) -> Tensor:
    """log(1 − tanh²u) = 2 (log 2 − u − softplus(−2u)), finite for every finite u."""
    return 2 * (math.log(2) - u - F.softplus(-2 * u))
