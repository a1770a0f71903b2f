"""Factorised bins: each joint takes one of K values, from its own categorical distribution."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from pgcontrol.heads import categorical, normal
from pgcontrol.heads.base import ChoiceSpec, output_layer, temper
from pgcontrol.heads.bins import BinOptions, BinPerJoint
from pgcontrol.options import option


class Binned(BinPerJoint):
    """K bins per joint, independent categoricals (Tang & Agrawal, arXiv 1901.10500, section 4).

    params [B, A, K]: logits. The choice is the bin's index. The bins have no order, so the probability can concentrate
    at both ends at once. A Gaussian cannot do this.

    With `inside`, the K bins cover the range without gaps and the choice is the value itself, in [−1, 1]; its density
    is the bin's probability divided by its width.
    """

    name = "binned"
    variants = (
        {"quantile_std": 0.4, "initial_std": 0.4},
        {"inside": True},
        {"inside": True, "quantile_std": 0.4, "bins": 5},
    )

    @dataclass(frozen=True)
    class Options(BinOptions):
        """Adds the spacing of the bins, and which value inside a bin is played."""

        quantile_std: float | None = option(
            None, "bins at the quantiles of a Gaussian with this σ, denser near 0; none: equal spacing", least=0.1
        )
        inside: bool = option(False, "play a uniform sample from inside the chosen bin, not the bin's centre")

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Options):
        super().__init__(features, low, high, options)
        self.inside = options.inside
        if self.inside:
            self.choice_spec = ChoiceSpec((self.joints,), torch.float32)
        edges = spaced(self.bins + 1, options.quantile_std)
        centres = 0.5 * (edges[1:] + edges[:-1]) if self.inside else spaced(self.bins, options.quantile_std)
        self.centres.copy_(centres)
        self.resolution = float(centres.diff().max())
        self.edges = nn.Buffer(edges, persistent=False)
        # logits of the flat distribution: uniform over the range if bins are intervals, else uniform over the values
        self.flat = nn.Buffer(edges.diff().log() if self.inside else torch.zeros(self.bins), persistent=False)
        first = self.bias_of(normal.logits(self.centres, options.initial_std) + self.flat)
        self.logits = output_layer(features, self.joints * len(first), first.repeat(self.joints))

    @torch.no_grad()
    def widen(self, std: float, features: Tensor) -> None:
        """Use one temperature for each joint."""
        temper(self.logits.parameters(), lambda: self.joint_stds(features), std, self.joints, self.bias_of(self.flat))

    def bias_of(self, logits: Tensor) -> Tensor:
        """The layer's biases for which a joint has the logits [K]."""
        return logits

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, A, K]."""
        # samples are the innermost dimension in memory: compiled code then vectorises over samples, K are too few
        logits = torch.addmm(self.logits.bias.unsqueeze(1), self.logits.weight, features.mT)
        return logits.view(self.joints, self.bins, -1).permute(2, 0, 1)

    def noise(self, count: int, rng: Generator) -> Tensor:
        """For the bin and, with `inside`, for the position in it: [count, A, K] or [count, A, K + 1]."""
        race = super().noise(count, rng)
        return torch.cat((race, torch.rand(count, self.joints, 1, generator=rng)), -1) if self.inside else race

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        """A bin by the exponential race and, with `inside`, a position in it."""
        index = super().draw(params, noise[..., : self.bins])
        return torch.lerp(self.edges[index], self.edges[index + 1], noise[..., -1]) if self.inside else index

    def log_prob(self, params: Tensor, choice: Tensor) -> Tensor:
        """Sum over joints of log softmax at the chosen bin; with `inside`, minus the log of the bin's width."""
        if not self.inside:
            return super().log_prob(params, choice)
        # the bin's index is the number of inner edges at or below the choice
        index = (choice.unsqueeze(-1) >= self.edges[1:-1]).sum(-1)
        return (categorical.pick(params - self.flat, index) - params.logsumexp(-1)).sum(-1)

    def entropy(self, params: Tensor) -> Tensor:
        """−Σ p log p, summed over joints; with `inside`, plus Σ p log width."""
        if not self.inside:
            return super().entropy(params)
        return (categorical.entropy(params) + (F.softmax(params, -1) * self.flat).sum(-1)).sum(-1)

    def mode(self, params: Tensor) -> Tensor:
        """The most likely bin of every joint; with `inside`, the middle of the bin with the highest density."""
        return self.centres[(params - self.flat).argmax(-1)] if self.inside else super().mode(params)

    def decode(self, choice: Tensor) -> Tensor:
        """The bin's value; with `inside`, the choice itself."""
        return self.to_bounds(choice).unsqueeze(1) if self.inside else super().decode(choice)

    def encode(self, action: Tensor) -> Tensor:
        """The nearest bin; with `inside`, the value itself."""
        return self.to_unit(action[:, 0]) if self.inside else super().encode(action)

    def describe(self, params: Tensor) -> dict[str, Tensor]:
        """See `measures`."""
        return self.measures(params, F.softmax(params, -1), self.edges.diff() ** 2 / 12 if self.inside else 0.0)


def spaced(count: int, quantile_std: float | None) -> Tensor:
    """`count` points from −1 to 1: equally spaced, or at quantiles of N(0, quantile_std²) truncated to [−1, 1]."""
    even = torch.linspace(-1.0, 1.0, count)
    if quantile_std is None:
        return even
    # Φ(x/s) is ½ (1 + erf(x / s√2)): equal steps of erf between its values at ±1
    stretch = quantile_std * math.sqrt(2)
    points = stretch * torch.erfinv(even.double() * math.erf(1 / stretch))
    return (points / points[-1]).float()
