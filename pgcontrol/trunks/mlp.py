"""Layers of tanh: what most policies of locomotion are made of."""

import math
from collections.abc import Sequence

from torch import nn

from pgcontrol.options import NoOptions
from pgcontrol.trunks.base import Trunk, orthogonal


class MLP(Trunk):
    """tanh layers of the sizes `hidden`, with orthogonal weights of gain √2 and zero biases."""

    name = "mlp"
    Options = NoOptions

    def layers(self, inputs: int, hidden: Sequence[int], options: NoOptions) -> list[nn.Module]:
        """A linear layer and tanh for each size."""
        made: list[nn.Module] = []
        for size in hidden:
            made += [orthogonal(inputs, size, math.sqrt(2)), nn.Tanh()]
            inputs = size
        return made
