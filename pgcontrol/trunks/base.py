"""The Trunk contract: from normalised observations to the features that a head or a critic reads."""

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

from torch import nn


def orthogonal(inputs: int, outputs: int, gain: float = 1.0) -> nn.Linear:
    """A linear layer with orthogonal weights and no bias: what layers begin as, here and in heads and critics."""
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


class Trunk(nn.Sequential):
    """[B, O] -> [B, F], layer after layer; F is the last of `hidden`, or O where that is empty.

    Subclasses say `name`, `Options` (a frozen dataclass: what `--trunk.X` sets) and `layers`. Actor and critic have a
    trunk each.
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
        """How many it has, known before they are made; here those of linear layers, one for each of `hidden`."""
        return sum(b * (a + 1) for a, b in itertools.pairwise([inputs, *hidden]))

    def layers(self, inputs: int, hidden: Sequence[int], options: Any) -> list[nn.Module]:
        """The layers, made anew.

        Raises:
            InputError: sizes that it cannot have.
        """
        raise NotImplementedError
