"""Residual blocks with layer normalisation: wide networks that remain trainable."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from pgcontrol.options import option
from pgcontrol.trunks.base import Trunk, orthogonal


class Block(nn.Module):
    """x + W₂ relu(W₁ LN(x)). W₂ is 0 at first, so that the block starts as the identity (Zhang et al. 2019)."""

    def __init__(self, width: int, inner: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner, self.outer = nn.Linear(width, inner), nn.Linear(inner, width)
        nn.init.orthogonal_(self.inner.weight, math.sqrt(2))
        for zero in (self.inner.bias, *self.outer.parameters()):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor) -> Tensor:
        """[B, F] -> [B, F]."""
        return x + self.outer(F.relu(self.inner(self.norm(x))))


class ResidualLayerNorm(Trunk):
    """A linear layer, a residual block for each entry of `hidden`, and a final layer normalisation.

    Where the width changes there is another linear layer. Without an entry there are no layers.

    The normalised residual network of regularised actors for discretised policies (RN-D, arXiv 2601.23075, after SimBa,
    arXiv 2410.09754: two blocks of width 256, four times as wide inside; their critic has two layers with tanh).
    """

    name = "residual-layernorm"

    @dataclass(frozen=True)
    class Options:
        """The settings `--trunk.X`."""

        expansion: int = option(1, "inner width of a block, relative to its width (RN-D, SimBa: 4)", least=1, most=64)

    @classmethod
    def weights(cls, inputs: int, hidden: Sequence[int], options: Options) -> int:
        """Those of the linear layers, the blocks, and the final normalisation."""
        blocks = (2 * options.expansion * width**2 + (options.expansion + 3) * width for width in hidden)
        widths = [width for width, _ in itertools.groupby(hidden)]
        return super().weights(inputs, widths, options) + sum(blocks) + 2 * sum(hidden[-1:])

    def layers(self, inputs: int, hidden: Sequence[int], options: Options) -> list[nn.Module]:
        found, last = list[nn.Module](), inputs
        for number, width in enumerate(hidden):
            if number == 0 or width != last:
                found.append(orthogonal(last, width))
            found.append(Block(width, options.expansion * width))
            last = width
        return [*found, nn.LayerNorm(last)] if hidden else []
