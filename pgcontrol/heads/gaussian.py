"""Diagonal Gaussian with one global σ per joint: the field's default, and the baseline of every comparison."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pgcontrol.heads.normal import Deviations, DiagonalGaussian


class Gaussian(DiagonalGaussian):
    """Diagonal Gaussian, σ one learned number per joint that ignores the observation."""

    name = "gaussian"

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Deviations):
        super().__init__(features, low, high, options)
        self.log_std = nn.Parameter(torch.full((self.joints,), math.log(options.initial_std)))

    def free_log_std(self, features: Tensor) -> Tensor:
        """[A]."""
        return self.log_std

    @torch.no_grad()
    def widen(self, std: float, features: Tensor) -> None:
        """σ itself, of every joint."""
        self.log_std.fill_(math.log(self.options.within(std)))
