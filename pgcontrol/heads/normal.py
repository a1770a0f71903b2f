"""Normal distributions, and σ: what the heads made of Gaussians share."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pgcontrol.options import InputError, option

LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Sigma:
    """What `--head.X` sets for σ: where it starts, and between which limits it stays."""

    initial_std: float = option(0.37, "σ at the start, as a share of the joint's half-range", above=0)
    min_std: float = option(1e-3, "σ never goes below this share of the half-range", above=0)
    max_std: float = option(2.0, "σ never goes above this share of the half-range", above=0)

    def __post_init__(self) -> None:
        if not self.min_std <= self.initial_std <= self.max_std:
            limits = f"head.min_std = {self.min_std} and head.max_std = {self.max_std}"
            raise InputError(f"head.initial_std = {self.initial_std}: must lie between {limits}")

    def within(self, std: float) -> float:
        """The σ nearest to this one that the limits allow."""
        return min(max(std, self.min_std), self.max_std)

    @property
    def log_limits(self) -> tuple[float, float]:
        """Bounds of log σ."""
        return math.log(self.min_std), math.log(self.max_std)


@dataclass(frozen=True)
class Deviations(Sigma):
    """Adds how fast it learns."""

    std_rate: float = option(1.0, "steps of σ's own weights, as a multiple of the others'; 0: σ stays", least=0)


def logits(values: Tensor, std: float | None) -> Tensor:
    """Logits that weigh `values` like N(0, std²), but for a constant; all 0 where `std` is None."""
    return torch.zeros_like(values) if std is None else -0.5 * (values / std) ** 2


def log_density(mean: Tensor, log_std: Tensor, x: Tensor) -> Tensor:
    """log N(x; mean, σ²) of [..., A], summed over the last axis."""
    z = (x - mean) * torch.exp(-log_std)
    return -(0.5 * z * z + log_std).sum(-1) - 0.5 * LOG_2PI * mean.shape[-1]


def entropy(log_std: Tensor) -> Tensor:
    """½ log(2πe σ²) of [..., A], summed over the last axis."""
    return log_std.sum(-1) + 0.5 * (1 + LOG_2PI) * log_std.shape[-1]


def kl(mean1: Tensor, log_std1: Tensor, mean2: Tensor, log_std2: Tensor) -> Tensor:
    """KL of N(mean1, σ1²) against N(mean2, σ2²), [..., A], summed over the last axis."""
    # in z units of the second σ, so that neither σ² overflows or underflows alone
    ratio = torch.exp(2 * (log_std1 - log_std2))
    shift = ((mean1 - mean2) * torch.exp(-log_std2)) ** 2
    return (log_std2 - log_std1 + 0.5 * (ratio + shift) - 0.5).sum(-1)


def tail(mean: Tensor, std: Tensor) -> Tensor:
    """P(x > 1) under N(mean, std²)."""
    return 0.5 * torch.erfc((1 - mean) / (std * math.sqrt(2)))


def outside(mean: Tensor, std: Tensor, edge: float = 1.0) -> Tensor:
    """P(|x| > edge) under N(mean, std²); at 1, the mass that clipping at the bounds moves."""
    inset = 1 - edge
    return tail(mean + inset, std) + tail(inset - mean, std)


def at_bound(log_std: Tensor, limits: tuple[float, float]) -> Tensor:
    """Share of entries at a bound."""
    low, high = limits
    return ((log_std <= low) | (log_std >= high)).float().mean()


def spread(std: Tensor) -> dict[str, Tensor]:
    """Deviations [B, A] -> their mean, least and most over joints, and each joint's."""
    per_joint = std.mean(0)
    named = {"std": std.mean(), "std_min": per_joint.min(), "std_max": per_joint.max()}
    return named | {f"std_joint{i}": s for i, s in enumerate(per_joint)}


class _Bounded(torch.autograd.Function):
    """Clamp whose gradient dies only where it would push further out, so σ can leave a bound again."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, low: float, high: float) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return x.clamp(low, high)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        x, ctx.low, ctx.high = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx, grad: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        (x,) = ctx.saved_tensors
        # descent moves x by -grad: outward at the lower bound means grad > 0, at the upper grad < 0
        outward = ((x <= ctx.low) & (grad > 0)) | ((x >= ctx.high) & (grad < 0))
        return torch.where(outward, torch.zeros_like(grad), grad), None, None


def bounded(x: Tensor, low: float, high: float) -> Tensor:
    """`x.clamp(low, high)`, with a gradient inwards at and beyond the bounds."""
    if not torch.is_grad_enabled():  # a custom Function costs 20 µs a call, and acting makes one every step
        return x.clamp(low, high)
    return _Bounded.apply(x, low, high)  # pyright: ignore[reportReturnType]
