"""Classification instead of regression: bins over the range of returns, with a Gaussian histogram as the target."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pgcontrol.critics.base import Critic
from pgcontrol.options import option
from pgcontrol.trunks.base import orthogonal

FIRST = 10.0  # the support before the first returns: ± 10 standard deviations of the discounted return
FALL = 1.0  # slope of the logits outside an old support when it grows, in nats per old bin ...
# ... down to this far below the mean: new bins have almost no probability at first, but can be learned quickly
DEPTH = 10.0


class HLGauss(Critic):
    """HL-Gauss (Farebrother et al. 2024, arXiv 2403.03950, section 3.1): K bins, cross-entropy, V = Σ p · centre.

    A return y becomes the probability of each bin under N(y, (0.75 bin widths)²). Output [B, K]: logits.

    The support [low, high] follows the returns between updates, but rarely moves. Its target is the range of the
    returns plus half as much on either side. If the returns of a rollout leave the support, it grows to contain the
    target, at most to twice its width at a time. If they fill less than a quarter of it, it shrinks to the target. Then
    the last layer is resampled: every bin of the new support gets the logit that the old support had at its place, so
    that predictions change by less than one bin. (PopArt's idea, van Hasselt et al. 2016, for a layer that is not
    affine in the value. The growth is limited because a prediction can be as narrow as its target, and would
    fall between much wider bins.) Between moves, returns outside the support are clipped to its edge.
    """

    name = "hl-gauss"

    @dataclass(frozen=True)
    class Options:
        """The settings `--critic.X` of HL-Gauss."""

        bins: int = option(101, "number of bins over the support", least=11, most=1001)
        smoothing: float = option(0.75, "σ of the target's Gaussian, in bin widths", above=0)

    def __init__(self, features: int, options: Options):
        super().__init__(features, options)
        self.out = orthogonal(features, options.bins, 0.01)
        self.support = nn.Buffer(torch.tensor([-FIRST, FIRST]))  # low, high: saved with the weights
        self.fractions = nn.Buffer(torch.linspace(0, 1, options.bins + 1), persistent=False)

    @property
    def edges(self) -> Tensor:
        """The bins' edges, [K + 1]."""
        return torch.lerp(self.support[0], self.support[1], self.fractions)

    @property
    def centres(self) -> Tensor:
        """The bins' centres, [K]."""
        edges = self.edges
        return 0.5 * (edges[1:] + edges[:-1])

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> logits [B, K]."""
        return self.out(features)

    def value(self, output: Tensor) -> Tensor:
        """Σ p · centre."""
        return (output.softmax(-1) * self.centres).sum(-1)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy with the target's histogram."""
        return output.logsumexp(-1) - (self.histogram(target) * output).sum(-1)

    def histogram(self, target: Tensor) -> Tensor:
        """Returns [B] -> the probability of every bin under N(target, σ²), truncated to the support, [B, K]."""
        # in bin widths from the lower end of the support
        place = (target - self.support[0]) / (self.support[1] - self.support[0]) * self.options.bins
        place = place.clamp(0, self.options.bins).unsqueeze(-1)
        edges = self.fractions * self.options.bins
        below = torch.erf((edges - place) / (self.options.smoothing * math.sqrt(2)))
        return below.diff() / (below[..., -1:] - below[..., :1])

    @torch.no_grad()
    def adapt(self, target: Tensor) -> None:
        """Move the support if the returns require it; see the class."""
        low, high = target.min(), target.max()
        # a rollout with a single return does not show their scale
        spread = (high - low).clamp_min(0.1)
        wanted = 0.5 * (low + high) + torch.stack((-spread, spread))
        room = self.support[1] - self.support[0]
        reach = self.support + 0.5 * torch.stack((-room, room))
        if low < self.support[0] or high > self.support[1]:
            held = torch.minimum(self.support[0], wanted[0]), torch.maximum(self.support[1], wanted[1])
            self.move(torch.stack(held).clamp(reach[0], reach[1]))
        elif spread < 0.25 * room:
            self.move(wanted)

    @torch.no_grad()
    def move(self, support: Tensor) -> None:
        """Set a new support [2], and resample the last layer by linear interpolation between the old bins."""
        old, bins = self.centres, self.options.bins
        width = old[1] - old[0]
        self.support.copy_(support)
        place = (self.centres - old[0]) / width
        inner = place.clamp(0, bins - 1)
        left = inner.floor().clamp_max(bins - 2)
        share = (inner - left).unsqueeze(1)
        left = left.long()
        weight, bias = self.out.weight, self.out.bias
        floor = bias.mean() - DEPTH
        weight.copy_(torch.lerp(weight[left], weight[left + 1], share))
        same = torch.lerp(bias[left], bias[left + 1], share.squeeze(1))
        bias.copy_(torch.minimum(same, torch.maximum(same - FALL * (place - inner).abs(), floor)))
