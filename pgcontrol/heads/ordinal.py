"""Bins that know their order: a step up the scores moves all bins above it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pgcontrol.heads.binned import Binned
from pgcontrol.options import option


class Ordinal(Binned):
    """Bins with the ordinal architecture of Tang & Agrawal (arXiv 1901.10500, eq. 4).

    With s = σ(scores), logit_i = Σ_{j≤i} log s_j + Σ_{j>i} log(1 − s_j). Neighbours differ by
    logit_i − logit_{i−1} = log s_i − log(1 − s_i) = score_i, so the logits are the running sum of the scores, but for
    a number that all bins share and the softmax drops; score_0 is in that number alone. This is how they are computed
    here: K − 1 scores per joint, their running sum, shifted to mean 0. (The authors' released code tiles s_i instead,
    which decouples the bins.)

    So eq. 4 holds the same distributions as plain bins, and scores of 0 are the uniform one; what differs is the metric
    of learning. logits = scores·L with L the running sum, so a step down the gradient of the scores moves the logits
    by L·Lᵀ times theirs: by ¼ where neighbours part, by about (K/π)², 12 at 11 bins, where mass shifts from one end to
    the other. Adam evens out sizes, not directions: K − 1 scores that agree still move the two ends' logits apart by
    K − 1 step sizes, where plain bins' move by two. `gain` takes that back: at 0.3, 12·0.3² = 1.1, the fastest
    direction is as fast as plain bins', and neighbours still move together first.

    It is worth setting `initial_std`: from the uniform start, 1.6 times as wide as the plain bins' recommended one and
    with a fifth of its mass on the two edges, ordinal bins learn HalfCheetah half as fast (docs/design.md).
    """

    name = "ordinal"

    @dataclass(frozen=True)
    class Options(Binned.Options):
        """Adds how much a score says."""

        gain: float = option(1.0, "what the scores are multiplied by before they are summed; eq. 4 has 1", above=0)

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Options):
        super().__init__(features, low, high, options)
        # [K − 1, K]: score j is added to every bin above it; rows of mean 0 keep the logits around 0
        steps = options.gain * torch.ones(self.bins - 1, self.bins).triu(1)
        self.steps = nn.Buffer(steps - steps.mean(1, keepdim=True), persistent=False)

    def bias_of(self, logits: Tensor) -> Tensor:
        """Scores [K − 1]."""
        return logits.diff() / self.options.gain

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, A, K]."""
        return self.logits(features).unflatten(-1, (self.joints, self.bins - 1)) @ self.steps
