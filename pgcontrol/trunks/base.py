"""The base class of trunks: from normalised observations to the features that a head or a critic reads."""

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

from torch import nn


def orthogonal(inputs: int, outputs: int, gain: float = 1.0) -> nn.Linear:
    """A linear layer with orthogonal weights and zero bias: the initial layer of trunks, heads and critics."""
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


class Trunk(nn.Sequential):
    """[B, O] -> [B, F], layer after layer; F is the last entry of `hidden`, or O if `hidden` is empty.

    Subclasses define `name`, `Options` (a frozen dataclass: the settings `--trunk.X`) and `layers`. Actor and critic
    have separate trunks.
    """

    name: ClassVar[str]
    Options: ClassVar[type]

    def __init__(self, inputs: int, hidden: Sequence[int], options: Any):
        super().__init__(*self.layers(inputs, hidden, options))

    @staticmethod
    def features(inputs: int, hidden: Sequence[int]) -> int:
        """F."""
        return hidden[-1] if hidden else inputs

    @classmethod
    def weights(cls, inputs: int, hidden: Sequence[int], options: Any) -> int:
        """Number of weights, before the layers are made; by default of one linear layer per entry of `hidden`."""
        return sum(b * (a + 1) for a, b in itertools.pairwise([inputs, *hidden]))

    def layers(self, inputs: int, hidden: Sequence[int], options: Any) -> list[nn.Module]:
        """New layers.

        Raises:
            InputError: the sizes are not possible.
        """
        raise NotImplementedError
