"""Ordinal bins: each score raises the logits of all bins above it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pgcontrol.heads.binned import Binned
from pgcontrol.options import option


class Ordinal(Binned):
    """Bins with the ordinal architecture of Tang & Agrawal (arXiv 1901.10500, eq. 4).

    With s = σ(scores), logit_i = Σ_{j≤i} log s_j + Σ_{j>i} log(1 − s_j). Neighbours differ by
    logit_i − logit_{i−1} = log s_i − log(1 − s_i) = score_i, so the logits are the cumulative sum of the scores, plus a
    number that all bins share and that softmax ignores; score_0 occurs in this number only. The code computes it this
    way: K − 1 scores per joint, their cumulative sum, shifted to mean 0. (The authors' released code tiles s_i instead,
    which decouples the bins.)

    So eq. 4 represents the same distributions as plain bins, and scores of 0 are the uniform one. The difference is the
    metric of learning. logits = scores·L, where L is the cumulative sum, so a gradient step on the scores moves the
    logits by L·Lᵀ times their gradient: by a factor of ¼ where neighbouring bins separate, and of about (K/π)² (12 for
    11 bins) where probability moves from one end to the other. Adam equalises step sizes, not directions: if all K − 1
    scores move the same way, the logits of the two ends separate by K − 1 step sizes, but by two for plain bins.
    `gain` compensates for this: at 0.3, 12·0.3² = 1.1, so the fastest direction is as fast as for plain bins, and
    neighbouring bins still move together first.

    Set `initial_std` for this head. The uniform start is 1.6 times as wide as the recommended start of plain bins and
    puts a fifth of the probability on the two outer bins; from it, ordinal bins learn HalfCheetah half as fast
    (docs/design.md).
    """

    name = "ordinal"

    @dataclass(frozen=True)
    class Options(Binned.Options):
        """Adds a factor for the scores."""

        gain: float = option(1.0, "factor of the scores before they are summed; 1: as in eq. 4 of the paper", above=0)

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Options):
        super().__init__(features, low, high, options)
        # [K − 1, K]: score j is added to every bin above it; rows have mean 0, which keeps the logits around 0
        steps = options.gain * torch.ones(self.bins - 1, self.bins).triu(1)
        self.steps = nn.Buffer(steps - steps.mean(1, keepdim=True), persistent=False)

    def bias_of(self, logits: Tensor) -> Tensor:
        """The scores [K − 1]."""
        return logits.diff() / self.options.gain

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, A, K]."""
        return self.logits(features).unflatten(-1, (self.joints, self.bins - 1)) @ self.steps
