"""No critic, for algorithms that have no use for values."""

from torch import Tensor

from pgcontrol.critics.base import Critic
from pgcontrol.options import NoOptions


class NoCritic(Critic):
    """The value is 0 everywhere and so is the loss. Without weights, it gets no trunk either."""

    name = "none"
    Options = NoOptions

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> zeros [B]."""
        return features.new_zeros(len(features))

    def value(self, output: Tensor) -> Tensor:
        """Zero."""
        return output

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Zero: there is nothing to learn."""
        return output
