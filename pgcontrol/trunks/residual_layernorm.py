"""Residual blocks with layer normalisation: wide networks that stay trainable."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from pgcontrol.options import InputError, NoOptions
from pgcontrol.trunks.base import Trunk


class Block(nn.Module):
    """x + W₂ relu(W₁ LN(x)); W₂ begins at 0, so that at first the block passes x on (Zhang et al. 2019)."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.orthogonal_(self.inner.weight, math.sqrt(2))
        nn.init.zeros_(self.inner.bias)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[B, F] -> [B, F]."""
        return x + self.outer(F.relu(self.inner(self.norm(x))))


class ResidualLayerNorm(Trunk):
    """A layer to `hidden`'s width, a residual block for each of its entries, and layer normalisation at the end.

    The normalised residual network that regularised actors of discretised policies use (RN-D, arXiv 2601.23075).
    """

    name = "residual-layernorm"
    Options = NoOptions

    def layers(self, inputs: int, hidden: Sequence[int], options: NoOptions) -> list[nn.Module]:
        """Linear, blocks, normalisation."""
        if len(set(hidden)) != 1:
            sizes = ",".join(map(str, hidden))
            raise InputError(f"hidden = {sizes or 'none'}: trunk {self.name!r} needs equal sizes, such as 256,256")
        first = nn.Linear(inputs, hidden[0])
        nn.init.orthogonal_(first.weight)
        nn.init.zeros_(first.bias)
        return [first, *(Block(width) for width in hidden), nn.LayerNorm(hidden[0])]
