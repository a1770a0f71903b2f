"""Regression: one number, with its squared error to the return."""

import torch.nn.functional as F
from torch import Tensor

from pgcontrol.critics.base import Critic
from pgcontrol.options import NoOptions
from pgcontrol.trunks.base import orthogonal


class MSE(Critic):
    """Regression: one number, with its squared error to the return."""

    name = "mse"

    Options = NoOptions

    def __init__(self, features: int, options: NoOptions):
        super().__init__(features, options)
        self.out = orthogonal(features, 1)

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B]."""
        return self.out(features).squeeze(-1)

    def value(self, output: Tensor) -> Tensor:
        """The output itself."""
        return output

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Squared error."""
        return F.mse_loss(output, target, reduction="none")
