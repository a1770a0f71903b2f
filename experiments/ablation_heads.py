"""Heads between a Gaussian and bins, for `ablations.yaml`: each has one property of bins and is a Gaussian otherwise.

    pgcontrol compare experiments/ablations.yaml --plugin experiments/ablation_heads.py

`rounded-gaussian` can play only K values per joint. `gaussian-bins` also learns probabilities of K values, but with the
Gaussian's parameters: one mean and one σ per joint. What `binned` has in addition is a free probability for each value.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pgcontrol.heads import categorical, normal
from pgcontrol.heads.base import output_layer, solve
from pgcontrol.heads.bins import BinPerJoint
from pgcontrol.heads.gaussian import Gaussian
from pgcontrol.heads.normal import Deviations
from pgcontrol.options import option

FAR = 30.0  # in σ; the probability beyond is e^-454, and derivatives would not be finite


def log_between(low: Tensor, high: Tensor) -> Tensor:
    """log P(low < z < high) for a standard normal z."""
    # in the lower tail, where both probabilities are small numbers and not 1 minus a small number
    swap = low + high > 0
    low, high = torch.where(swap, -high, low), torch.where(swap, -low, high)
    above = torch.special.log_ndtr(high)
    return above + torch.log1p(-torch.exp(torch.special.log_ndtr(low) - above).clamp_max(1 - 1e-7))


@dataclass(frozen=True)
class Rounded(Deviations):
    """Adds the number of values."""

    bins: int = option(11, "values per joint, including the two bounds", least=2, most=1024)


class RoundedGaussian(Gaussian):
    """A Gaussian whose samples are rounded to the nearest of K values before they are played.

    Choice, log-probability, entropy and KL are those of the Gaussian before it is rounded.
    """

    name = "rounded-gaussian"
    Options = Rounded
    pathwise = False

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Rounded):
        super().__init__(features, low, high, options)
        self.resolution = 2.0 / (options.bins - 1)
        self.centres = nn.Buffer(torch.linspace(-1.0, 1.0, options.bins), persistent=False)

    def decode(self, choice: Tensor) -> Tensor:
        """The nearest of the K values."""
        return self.to_bounds(self.centres[categorical.nearest(choice.contiguous(), self.centres)]).unsqueeze(1)


class GaussianBins(BinPerJoint):
    """K bins per joint with the probabilities that a Gaussian gives to them: it plays what `rounded-gaussian` plays.

    Each bin has the probability of the values that are rounded to it, and the outer bins have the tails, too. So only
    the likelihood differs: it is that of the bin, not the density of the value before it is rounded. There are as many
    parameters as in the Gaussian: a mean for each joint, linear in the features, and one σ for each joint. params
    [B, A, K]: log-probabilities. The choice is the bin's index.
    """

    name = "gaussian-bins"
    Options = Rounded

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Rounded):
        super().__init__(features, low, high, options)
        self.mean = output_layer(features, self.joints)
        self.log_std = nn.Parameter(torch.full((self.joints,), math.log(options.initial_std)))
        middles = 0.5 * (self.centres[1:] + self.centres[:-1])
        self.edges = nn.Buffer(torch.cat((middles.new_tensor([-1e6]), middles, middles.new_tensor([1e6]))))

    def rates(self) -> dict[str, Tensor]:
        """The rate of σ."""
        return {"log_std": torch.tensor(self.options.std_rate)}

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, A, K]."""
        std = normal.bounded(self.log_std, *self.options.log_limits).exp()
        z = (self.edges - self.mean(features).unsqueeze(-1)) / std.unsqueeze(-1)
        return log_between(z[..., :-1].clamp(-FAR, FAR), z[..., 1:].clamp(-FAR, FAR))

    def describe(self, params: Tensor) -> dict[str, Tensor]:
        """See `measures`."""
        return self.measures(params, params.softmax(-1))

    @torch.no_grad()
    def widen(self, std: float, features: Tensor) -> None:
        """Set σ of every joint so that its actions have this standard deviation."""

        def width(log_std: Tensor) -> Tensor:
            self.log_std.copy_(log_std)
            return self.joint_stds(features)

        solve(width, std, self.joints)
