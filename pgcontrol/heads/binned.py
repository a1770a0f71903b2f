"""Factorised bins: each joint's torque is one of K values, chosen by a categorical of its own."""

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

    params [B, A, K]: logits. The choice is the bin's index. Bins have no order here: probability can pile up at both
    ends at once, which no Gaussian can.

    With `inside`, the K bins tile the range and the choice is the value itself, in [−1, 1]; its density is the bin's
    mass over its width.
    """

    name = "binned"
    variants = (
        {"quantile_std": 0.4, "initial_std": 0.4},
        {"inside": True},
        {"inside": True, "quantile_std": 0.4, "bins": 5},
    )

    @dataclass(frozen=True)
    class Options(BinOptions):
        """Adds where the bins lie, and what is played of one."""

        quantile_std: float | None = option(
            None, "space bins by the quantiles of a Gaussian of this deviation, denser at 0; none: evenly", least=0.1
        )
        inside: bool = option(False, "play a value drawn uniformly inside the chosen bin, not the bin's own")

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
        # logits of no preference: even over the range where bins are intervals, over the values where they are values
        self.flat = nn.Buffer(edges.diff().log() if self.inside else torch.zeros(self.bins), persistent=False)
        first = self.bias_of(normal.logits(self.centres, options.initial_std) + self.flat)
        self.logits = output_layer(features, self.joints * len(first), first.repeat(self.joints))

    @torch.no_grad()
    def widen(self, std: float, features: Tensor) -> None:
        """A temperature for each joint."""
        temper(self.logits.parameters(), lambda: self.joint_stds(features), std, self.joints, self.bias_of(self.flat))

    def bias_of(self, logits: Tensor) -> Tensor:
        """The layer's biases that give a joint the logits [K]."""
        return logits

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, A, K]."""
        # samples innermost in memory: a compiled graph then works on many at a time, K in a row are too few
        logits = torch.addmm(self.logits.bias.unsqueeze(1), self.logits.weight, features.mT)
        return logits.view(self.joints, self.bins, -1).permute(2, 0, 1)

    def noise(self, count: int, rng: Generator) -> Tensor:
        """For the bin, and for the place in it where bins are intervals: [count, A, K] or [count, A, K + 1]."""
        race = super().noise(count, rng)
        return torch.cat((race, torch.rand(count, self.joints, 1, generator=rng)), -1) if self.inside else race

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        """A bin by the exponential race, and a place in it where bins are intervals."""
        index = super().draw(params, noise[..., : self.bins])
        return torch.lerp(self.edges[index], self.edges[index + 1], noise[..., -1]) if self.inside else index

    def log_prob(self, params: Tensor, choice: Tensor) -> Tensor:
        """Sum over joints of log softmax at the chosen bin, less the log of its width where bins are intervals."""
        if not self.inside:
            return super().log_prob(params, choice)
        # the number of inner edges at or below the choice is its bin's index
        index = (choice.unsqueeze(-1) >= self.edges[1:-1]).sum(-1)
        return (categorical.pick(params - self.flat, index) - params.logsumexp(-1)).sum(-1)

    def entropy(self, params: Tensor) -> Tensor:
        """−Σ p log p, plus Σ p log width where bins are intervals, summed over joints."""
        if not self.inside:
            return super().entropy(params)
        return (categorical.entropy(params) + (F.softmax(params, -1) * self.flat).sum(-1)).sum(-1)

    def mode(self, params: Tensor) -> Tensor:
        """The likeliest bin of every joint, or the middle of the densest."""
        return self.centres[(params - self.flat).argmax(-1)] if self.inside else super().mode(params)

    def decode(self, choice: Tensor) -> Tensor:
        """The bin's value, or the choice itself."""
        return self.to_bounds(choice).unsqueeze(1) if self.inside else super().decode(choice)

    def encode(self, action: Tensor) -> Tensor:
        """The nearest bin, or the value itself."""
        return self.to_unit(action[:, 0]) if self.inside else super().encode(action)

    def describe(self, params: Tensor) -> dict[str, Tensor]:
        """See `measures`."""
        return self.measures(params, F.softmax(params, -1), self.edges.diff() ** 2 / 12 if self.inside else 0.0)


def spaced(count: int, quantile_std: float | None) -> Tensor:
    """`count` points from −1 to 1: evenly, or at equal steps of the mass of N(0, quantile_std²) cut at ±1."""
    even = torch.linspace(-1.0, 1.0, count)
    if quantile_std is None:
        return even
    # Φ(x/s) is ½ (1 + erf(x / s√2)): equal steps of erf between its values at ±1
    stretch = quantile_std * math.sqrt(2)
    points = stretch * torch.erfinv(even.double() * math.erf(1 / stretch))
    return (points / points[-1]).float()
