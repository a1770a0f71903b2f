"""Layers with tanh, as in most locomotion policies."""

import itertools
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
        sizes = itertools.pairwise([inputs, *hidden])
        return [layer for a, b in sizes for layer in (orthogonal(a, b, math.sqrt(2)), nn.Tanh())]
