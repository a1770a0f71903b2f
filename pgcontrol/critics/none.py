"""No critic, for algorithms that do not use values."""

from torch import Tensor

from pgcontrol.critics.base import Critic
from pgcontrol.options import NoOptions


class NoCritic(Critic):
    """Value and loss are always 0. It has no weights, and therefore no trunk."""

    name = "none"
    Options = NoOptions

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> zeros [B]."""
        return features.new_zeros(len(features))

    def value(self, output: Tensor) -> Tensor:
        """Zeros."""
        return output

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Zeros: there is nothing to learn."""
        return output
