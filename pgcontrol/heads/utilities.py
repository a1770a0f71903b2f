"""Utilities: each joint values its bins on its own, and plays the best one but for some exploration."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pgcontrol.heads import categorical
from pgcontrol.heads.base import output_layer
from pgcontrol.heads.bins import BinPerJoint
from pgcontrol.heads.normal import spread
from pgcontrol.heads.rows import CodeRow
from pgcontrol.options import option


class Utilities(BinPerJoint):
    """A utility for each of K bins per joint; the joints choose on their own (Seyde et al., arXiv 2210.12566, eq. 3).

    params [B, A, K]: utilities U, whose mean over the joints at the chosen bins is Q (`learning/decqn.py` makes it so;
    a policy gradient may move them as it likes). The choice is the bins' indices; three bins are bang-off-bang.

    p = ε/K + (1 − ε) softmax(U / temperature), joint by joint: ε-greedy where the temperature is small beside the gaps
    between utilities. It is never 0, so that the distribution has a slope and a KL like any other. The mode is greedy.
    """

    name = "utilities"
    variants = ({"epsilon": 0.0, "temperature": 1.0, "bins": 7},)

    @dataclass(frozen=True)
    class Options:
        """What `--head.X` sets for the utilities."""

        bins: int = option(3, "values per joint, evenly over its range, the bounds among them", least=2, most=1024)
        epsilon: float = option(0.05, "ε: share of each joint's choices drawn evenly from the bins", least=0, below=1)
        temperature: float = option(0.1, "of the other choices' softmax over the utilities; towards 0: greedy", above=0)

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Options):
        super().__init__(features, low, high, options)
        self.utilities = output_layer(features, self.joints * self.bins)

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, A, K]."""
        return self.utilities(features).unflatten(-1, (self.joints, self.bins))

    def log_prob(self, params: Tensor, choice: Tensor) -> Tensor:
        """Sum over joints of log p at the chosen bin."""
        return categorical.pick(self.row(params).logits, choice).sum(-1)

    def mode(self, params: Tensor) -> Tensor:
        """The bin of the highest utility, joint by joint."""
        return params.argmax(-1)

    def describe(self, params: Tensor) -> dict[str, Tensor]:
        """Deviation of the decoded action per joint, probability of the greedy bin, its lead over the next best."""
        p = self.row(params).logits.exp()
        best, second = params.topk(2, -1).values.unbind(-1)
        return spread(self.deviations(p)) | {"greedy": p.amax(-1).mean(), "lead": (best - second).mean()}

    def row(self, params: Tensor) -> CodeRow:
        """Its logits are log p [B, A, K]."""
        log_p = F.log_softmax(params / self.options.temperature, -1)
        if self.options.epsilon == 0:
            return CodeRow(log_p)
        even = log_p.new_tensor(math.log(self.options.epsilon / self.bins))
        return CodeRow(torch.logaddexp(log_p + math.log1p(-self.options.epsilon), even))
