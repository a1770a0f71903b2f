"""Diagonal Gaussian whose σ depends on the observation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pgcontrol.heads.base import output_layer
from pgcontrol.heads.normal import Deviations, DiagonalGaussian


class GaussianState(DiagonalGaussian):
    """Diagonal Gaussian with σ from the trunk: it can be bold in one state and precise in another."""

    name = "gaussian-state"

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Deviations):
        super().__init__(features, low, high, options)
        self.log_std = output_layer(features, self.joints)
        nn.init.constant_(self.log_std.bias, math.log(options.initial_std))

    def free_log_std(self, features: Tensor) -> Tensor:
        """[B, A]."""
        return self.log_std(features)

    @torch.no_grad()
    def widen(self, std: float, features: Tensor) -> None:
        """The same σ in every state, to begin with."""
        self.log_std.weight.zero_()
        self.log_std.bias.fill_(math.log(self.options.within(std)))
