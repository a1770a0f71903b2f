"""Beta distributions over the joints' ranges: bounded support without clipping."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from pgcontrol.heads.base import INSET, Continuous, output_layer, solve
from pgcontrol.heads.normal import bounded, spread
from pgcontrol.measures.metric import Metric
from pgcontrol.options import option

PROPOSALS = 6  # proposals of the sampler of a Gamma variable: see `gamma`
# A choice closer than this to a bound (as a fraction of the range) is moved to this distance: at the bound the density
# is 0 or infinite. Fewer than one sample in 10^5 lies there, even at the smallest concentration.
EDGE = 1e-6


class Beta(Continuous):
    """Independent Beta(α, β) for each joint, α, β = 1 + softplus (Chou, Maturana & Scherer 2017, section 4).

    params [B, 2, A]: α and β before the softplus. The choice is in [−1, 1]. Because α, β > 1, every distribution is
    unimodal and has density 0 at the bounds. With `played` = mean, `mode` is the mean, which is nearer the middle.
    """

    name = "beta"
    metrics: ClassVar = {"concentration": Metric("", "mean α + β of a Beta")}

    @dataclass(frozen=True)
    class Options:
        """The settings `--head.X` of the Beta head."""

        # (1 / 0.05² − 1) / 2 = 200 and 1 / √3: outside this interval a symmetric Beta would violate 1 < α ≤ 1000
        initial_std: float = option(0.37, "initial σ of actions, half-ranges; uniform: 0.577", least=0.05, below=0.577)
        max_concentration: float = option(1e3, "upper bound of α and β; at both, σ is 0.022", least=200, most=1e5)
        played: str = option("mode", "what is played where nothing is sampled", choices=("mode", "mean"))

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Options):
        super().__init__(features, low, high, options)
        self.likeliest_mode = options.played == "mode"
        # on [−1, 1], Beta(α, α) has variance 1 / (2α + 1); softplus(x) = α − 1 at x = log(e^(α−1) − 1)
        above_one = 0.5 * (options.initial_std**-2 - 1) - 1
        self.raw = output_layer(features, 2 * self.joints, above_one + math.log(-math.expm1(-above_one)))

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, 2, A]."""
        most = self.options.max_concentration - 1  # at this size, softplus(x) = x in float precision
        return bounded(self.raw(features), -most, most).unflatten(-1, (2, self.joints))

    def noise(self, count: int, rng: Generator) -> Tensor:
        """One normal and one uniform number for each proposal, [count, 2, A, PROPOSALS, 2]."""
        shape = (count, 2, self.joints, PROPOSALS)
        return torch.stack((torch.randn(shape, generator=rng), torch.rand(shape, generator=rng)), -1)

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        """(g − h) / (g + h) of two Gamma variables g and h, which is in [−1, 1]."""
        g, h = gamma(1 + F.softplus(params), noise).unbind(1)
        return (g - h) / (g + h)

    def log_prob(self, params: Tensor, choice: Tensor) -> Tensor:
        """Sum over joints of (α−1) log x + (β−1) log(1−x) − log B(α, β) − log 2, x = (choice + 1) / 2."""
        alpha, beta = concentrations(params)
        x = (0.5 * (choice.double() + 1)).clamp(EDGE, 1 - EDGE)
        density = (alpha - 1) * x.log() + (beta - 1) * (-x).log1p() - log_beta(alpha, beta)
        return (density - math.log(2)).sum(-1).to(params.dtype)

    def entropy(self, params: Tensor) -> Tensor:
        """log B − (α−1) ψ(α) − (β−1) ψ(β) + (α+β−2) ψ(α+β) + log 2, summed over joints."""
        alpha, beta = concentrations(params)
        psi_alpha, psi_beta, psi_sum = alpha.digamma(), beta.digamma(), (alpha + beta).digamma()
        mean_log = (alpha - 1) * (psi_alpha - psi_sum) + (beta - 1) * (psi_beta - psi_sum)
        return (log_beta(alpha, beta) - mean_log + math.log(2)).sum(-1).to(params.dtype)

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """log B₂ − log B₁ + (α₁−α₂) (ψ(α₁) − ψ(α₁+β₁)) + (β₁−β₂) (ψ(β₁) − ψ(α₁+β₁)), summed over joints."""
        (alpha1, beta1), (alpha2, beta2) = concentrations(old), concentrations(new)
        psi_alpha, psi_beta, psi_sum = alpha1.digamma(), beta1.digamma(), (alpha1 + beta1).digamma()
        shift = (alpha1 - alpha2) * (psi_alpha - psi_sum) + (beta1 - beta2) * (psi_beta - psi_sum)
        return (log_beta(alpha2, beta2) - log_beta(alpha1, beta1) + shift).sum(-1).to(new.dtype)

    def mirror(self, params: Tensor, order: Tensor, sign: Tensor) -> Tensor:
        """Joints with a changed sign swap α and β."""
        moved = params[..., order]
        return torch.where(sign < 0, moved.flip(1), moved)

    def mode(self, params: Tensor) -> Tensor:
        """(α − β) / (α + β − 2), in [−1, 1]; 0 when the distribution is uniform to float precision.

        With `played` = mean: (α − β) / (α + β).
        """
        a, b = F.softplus(params).unbind(1)
        return (a - b) / (a + b + 2 if self.options.played == "mean" else (a + b).clamp_min(1e-30))

    def encode(self, action: Tensor) -> Tensor:
        """In [−1, 1]. An action at a bound moves slightly inside, because the density at the bound is 0."""
        return super().encode(action).clamp(-1 + INSET, 1 - INSET)

    @torch.no_grad()
    def widen(self, std: float, features: Tensor) -> None:
        """Scale α − 1 and β − 1 by one factor for each state and joint (this keeps the mode), then refit the layer."""
        excess = F.softplus(self(features))

        def scaled(log_factor: Tensor) -> Tensor:
            return excess * torch.exp(-log_factor).view(len(features), 1, -1)

        def width(log_factor: Tensor) -> Tensor:
            return deviation(*(1 + scaled(log_factor)).unbind(1)).flatten()

        wanted = scaled(solve(width, std, len(features) * self.joints)).clamp_min(1e-6)
        inputs = F.pad(features, (0, 1), value=1.0)
        raw = wanted + torch.log(-torch.expm1(-wanted))  # the inverse of softplus
        fitted = torch.linalg.lstsq(inputs, raw.flatten(1), driver="gelsd").solution
        self.raw.weight.copy_(fitted[:-1].mT)
        self.raw.bias.copy_(fitted[-1])

    def describe(self, params: Tensor) -> dict[str, Tensor]:
        """Standard deviation per joint, mean α + β, fraction of joints at the largest concentration, saturation."""
        alpha, beta = concentrations(params)

        def mass_at_edge(a: Tensor, b: Tensor) -> Tensor:
            """The density in the middle of the last hundredth of the half-range, times its share of the range."""
            return 0.005 * ((a - 1) * math.log(0.9975) + (b - 1) * math.log(0.0025) - log_beta(a, b)).exp()

        return spread(deviation(alpha, beta).float()) | {
            "concentration": (alpha + beta).mean().float(),
            "std_at_bound": (torch.maximum(alpha, beta) >= 0.999 * self.options.max_concentration).float().mean(),
            "saturation": (mass_at_edge(alpha, beta) + mass_at_edge(beta, alpha)).mean().float(),
        }


def gamma(shape: Tensor, noise: Tensor) -> Tensor:
    """Gamma(shape, 1) for shapes ≥ 1, [...], from `noise` [..., PROPOSALS, 2].

    Marsaglia & Tsang 2000, "A simple method for generating gamma variables": d·(1 + cx)³ for a normal x, accepted with
    a probability of at least 0.95. The first accepted of a fixed number of proposals is used. If none is accepted (one
    case in 60 million), the result is d, the middle of the distribution.
    """
    d = shape.unsqueeze(-1) - 1 / 3
    x, u = noise.unbind(-1)
    v = (1 + x / (9 * d).sqrt()) ** 3
    safe = v.clamp_min(1e-30)
    accepted = (v > 0) & (u.clamp_min(1e-30).log() < 0.5 * x * x + d * (1 - v + safe.log()))
    first = (accepted.cumsum(-1) == 1) & accepted
    return (d * v * first).sum(-1) + d.squeeze(-1) * ~accepted.any(-1)


def concentrations(params: Tensor) -> tuple[Tensor, Tensor]:
    """α, β [B, A] in float64: in float32, log Γ of values near 1000 would lose all but three digits."""
    alpha, beta = (1 + F.softplus(params.double())).unbind(1)
    return alpha, beta


def deviation(alpha: Tensor, beta: Tensor) -> Tensor:
    """Standard deviation of Beta(α, β) on [−1, 1]."""
    total = alpha + beta
    return 2 * (alpha * beta / (total + 1)).sqrt() / total


def log_beta(alpha: Tensor, beta: Tensor) -> Tensor:
    """log B(α, β) = log Γ(α) + log Γ(β) − log Γ(α + β)."""
    return alpha.lgamma() + beta.lgamma() - (alpha + beta).lgamma()
