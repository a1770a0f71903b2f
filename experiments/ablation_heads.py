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
    """K bins per joint whose logits are a Gaussian's log-density at the bins' values.

    It has as many parameters as the Gaussian: a mean for each joint, linear in the features, and one σ for each joint.
    params [B, A, K]: logits. The choice is the bin's index.
    """

    name = "gaussian-bins"
    Options = Rounded

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Rounded):
        super().__init__(features, low, high, options)
        self.mean = output_layer(features, self.joints)
        self.log_std = nn.Parameter(torch.full((self.joints,), math.log(options.initial_std)))

    def rates(self) -> dict[str, Tensor]:
        """The rate of σ."""
        return {"log_std": torch.tensor(self.options.std_rate)}

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, A, K]."""
        std = normal.bounded(self.log_std, *self.options.log_limits).exp()
        return -0.5 * ((self.centres - self.mean(features).unsqueeze(-1)) / std.unsqueeze(-1)) ** 2

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
