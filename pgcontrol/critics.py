"""Critics: what the value function predicts, and how its error is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn


class Critic(nn.Module):
    """Features of its own trunk -> an output tensor; the output knows its value and its loss.

    Subclasses say `name`, `Options` (a frozen dataclass: what `--critic.X` sets) and the three methods. The value is in
    units of the scaled reward.
    """

    name: ClassVar[str]
    Options: ClassVar[type]

    def __init__(self, features: int, options: Any):
        super().__init__()
        self.options = options

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> output [B, ...]."""
        raise NotImplementedError

    def value(self, output: Tensor) -> Tensor:
        """Output -> V(s), [B]."""
        raise NotImplementedError

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Error of `output` against the return `target` [B], row by row, [B]."""
        raise NotImplementedError


class MSE(Critic):
    """Regression: one number and its squared error against the return."""

    name = "mse"

    @dataclass(frozen=True)
    class Options:
        """Nothing to set."""

    def __init__(self, features: int, options: Options):
        super().__init__(features, options)
        self.out = nn.Linear(features, 1)
        nn.init.orthogonal_(self.out.weight, 1.0)
        nn.init.zeros_(self.out.bias)

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B]."""
        return self.out(features).squeeze(-1)

    def value(self, output: Tensor) -> Tensor:
        """The output itself."""
        return output

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Squared error."""
        return F.mse_loss(output, target, reduction="none")


class NoCritic(Critic):
    """No critic: the value is 0 everywhere and so is the loss. Without weights, it gets no trunk either."""

    name = "none"

    @dataclass(frozen=True)
    class Options:
        """Nothing to set."""

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> zeros [B]."""
        return features.new_zeros(len(features))

    def value(self, output: Tensor) -> Tensor:
        """Zero."""
        return output

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Zero: there is nothing to learn."""
        return output
