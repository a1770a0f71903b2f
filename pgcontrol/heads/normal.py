"""Normal distributions and σ: code that all Gaussian heads share."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pgcontrol.options import InputError, option

LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Sigma:
    """The settings `--head.X` for σ: its initial value and its limits."""

    initial_std: float = option(0.37, "initial σ, in half-ranges of the joint", above=0)
    min_std: float = option(1e-3, "lower limit of σ, in half-ranges", above=0)
    max_std: float = option(2.0, "upper limit of σ, in half-ranges", above=0)

    def __post_init__(self) -> None:
        if not self.min_std <= self.initial_std <= self.max_std:
            limits = f"head.min_std = {self.min_std} and head.max_std = {self.max_std}"
            raise InputError(f"head.initial_std = {self.initial_std}: must lie between {limits}")

    def within(self, std: float) -> float:
        """`std`, clipped to the limits."""
        return min(max(std, self.min_std), self.max_std)

    @property
    def log_limits(self) -> tuple[float, float]:
        """Limits of log σ."""
        return math.log(self.min_std), math.log(self.max_std)


@dataclass(frozen=True)
class Deviations(Sigma):
    """Adds the learning rate of σ."""

    std_rate: float = option(1.0, "step size of σ's own weights, relative to other weights; 0: σ is fixed", least=0)


def logits(values: Tensor, std: float | None) -> Tensor:
    """log N(values; 0, std²) up to a constant; all 0 if `std` is None."""
    return torch.zeros_like(values) if std is None else -0.5 * (values / std) ** 2


def log_density(mean: Tensor, log_std: Tensor, x: Tensor) -> Tensor:
    """log N(x; mean, σ²) for [..., A], summed over the last axis."""
    z = (x - mean) * torch.exp(-log_std)
    return -(0.5 * z * z + log_std).sum(-1) - 0.5 * LOG_2PI * mean.shape[-1]


def entropy(log_std: Tensor) -> Tensor:
    """½ log(2πe σ²) for [..., A], summed over the last axis."""
    return log_std.sum(-1) + 0.5 * (1 + LOG_2PI) * log_std.shape[-1]


def kl(mean1: Tensor, log_std1: Tensor, mean2: Tensor, log_std2: Tensor) -> Tensor:
    """KL(N(mean1, σ1²) || N(mean2, σ2²)) for [..., A], summed over the last axis."""
    # divided by the second σ first, so that neither σ² overflows or underflows
    ratio = torch.exp(2 * (log_std1 - log_std2))
    shift = ((mean1 - mean2) * torch.exp(-log_std2)) ** 2
    return (log_std2 - log_std1 + 0.5 * (ratio + shift) - 0.5).sum(-1)


def tail(mean: Tensor, std: Tensor) -> Tensor:
    """P(x > 1) under N(mean, std²)."""
    return 0.5 * torch.erfc((1 - mean) / (std * math.sqrt(2)))


def outside(mean: Tensor, std: Tensor, edge: float = 1.0) -> Tensor:
    """P(|x| > edge) under N(mean, std²); for edge = 1 this is the probability of being clipped."""
    inset = 1 - edge
    return tail(mean + inset, std) + tail(inset - mean, std)


def at_bound(log_std: Tensor, limits: tuple[float, float]) -> Tensor:
    """Fraction of entries at a limit."""
    low, high = limits
    return ((log_std <= low) | (log_std >= high)).float().mean()


def spread(std: Tensor) -> dict[str, Tensor]:
    """Standard deviations [B, A] -> their mean, smallest and largest over joints, and the value of each joint."""
    per_joint = std.mean(0)
    named = {"std": std.mean(), "std_min": per_joint.min(), "std_max": per_joint.max()}
    return named | {f"std_joint{i}": s for i, s in enumerate(per_joint)}


class _Bounded(torch.autograd.Function):
    """A clamp whose gradient is 0 only where a step would lead further outside, so that σ can leave a limit again."""

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
        # gradient descent moves x by -grad: at the lower bound grad > 0 leads outside, at the upper bound grad < 0
        outward = ((x <= ctx.low) & (grad > 0)) | ((x >= ctx.high) & (grad < 0))
        return torch.where(outward, torch.zeros_like(grad), grad), None, None


def bounded(x: Tensor, low: float, high: float) -> Tensor:
    """`x.clamp(low, high)`; at and beyond the bounds the gradient still leads back inside."""
    if not torch.is_grad_enabled():  # a custom Function costs 20 µs per call, and acting calls it every step
        return x.clamp(low, high)
    return _Bounded.apply(x, low, high)  # pyright: ignore[reportReturnType]
