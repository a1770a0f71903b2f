"""One of K values for each joint: what the heads that choose bins share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from pgcontrol.heads import categorical
from pgcontrol.heads.base import ChoiceSpec, Head
from pgcontrol.options import option


@dataclass(frozen=True)
class BinOptions:
    """What `--head.X` sets for bins."""

    bins: int = option(11, "values per joint over its range, the bounds among them", least=2, most=1024)
    initial_std: float | None = option(
        None,
        "shape the first policy like a Gaussian of this deviation (share of the half-range); none: uniform",
        above=0,
    )


class BinPerJoint(Head):
    """A head whose choice is one action, the index of a bin for each joint, which `decode` reads as the bin's value."""

    centres: Tensor

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Any):
        super().__init__(features, low, high, options)
        self.bins = options.bins
        self.resolution = 2.0 / (self.bins - 1)
        self.register_buffer("centres", torch.linspace(-1.0, 1.0, self.bins))
        """[K] values of the bins in half-ranges, ascending."""

    @property
    def choice_spec(self) -> ChoiceSpec:
        """One bin index per joint."""
        return ChoiceSpec((self.joints,), torch.int64, self.bins)

    def noise(self, count: int, rng: Generator) -> Tensor:
        """[count, A, K]."""
        return categorical.race(count, self.joints, self.bins, rng=rng)

    def decode(self, choice: Tensor) -> Tensor:
        """The bin's value."""
        return self.to_bounds(self.centres[choice]).unsqueeze(1)

    def encode(self, action: Tensor) -> Tensor:
        """Every joint's nearest bin."""
        return categorical.nearest(self.to_unit(action[:, 0]), self.centres)

    def deviations(self, p: Tensor, within: Tensor | float = 0.0) -> Tensor:
        """Of the decoded action, [B, A], under probabilities [B, A, K]; `within` is the variance inside each bin."""
        mean = (p * self.centres).sum(-1, keepdim=True)
        return (p * ((self.centres - mean) ** 2 + within)).sum(-1).sqrt()
