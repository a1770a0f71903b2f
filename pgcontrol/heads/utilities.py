"""Utilities: each joint has a value for each of its bins and plays the best one, apart from exploration."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from pgcontrol.heads import categorical
from pgcontrol.heads.base import output_layer
from pgcontrol.heads.bins import BinPerJoint
from pgcontrol.heads.normal import spread
from pgcontrol.heads.rows import CodeRow
from pgcontrol.measures.metric import Metric
from pgcontrol.options import option


class Utilities(BinPerJoint):
    """A utility for each of K bins per joint; joints are independent (Seyde et al., arXiv 2210.12566, eq. 3).

    params [B, A, K]: utilities U. Their mean over joints, at the chosen bins, is Q; `learning/decqn.py` trains it (a
    policy gradient may change them freely). The choice is the bins' indices; three bins are bang-off-bang control.

    p = ε/K + (1 − ε) softmax(U / temperature) for each joint: ε-greedy if the temperature is small compared with the
    differences between utilities. p is never 0, so gradients and KLs are finite. The mode is greedy.
    """

    name = "utilities"
    metrics: ClassVar = {
        **BinPerJoint.metrics,
        "greedy": Metric("share", "probability of the greedy bin (utilities)"),
        "lead": Metric("", "difference between the best and the second best utility (utilities)"),
    }
    variants = ({"epsilon": 0.0, "temperature": 1.0, "bins": 7},)

    @dataclass(frozen=True)
    class Options:
        """The settings `--head.X` of the utilities."""

        bins: int = option(3, "values per joint, equally spaced, including the two bounds", least=2, most=1024)
        epsilon: float = option(0.05, "ε: fraction of each joint's choices that are uniformly random", least=0, below=1)
        temperature: float = option(0.1, "temperature of the softmax over utilities; near 0: greedy", above=0)

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Options):
        super().__init__(features, low, high, options)
        self.utilities = output_layer(features, self.joints * self.bins)

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, A, K]."""
        return self.utilities(features).unflatten(-1, (self.joints, self.bins))

    @property
    def widens(self) -> bool:
        """No: a temperature would change the values, which Q-learning compares with returns."""
        return False

    def log_prob(self, params: Tensor, choice: Tensor) -> Tensor:
        """Sum over joints of log p at the chosen bin."""
        return categorical.pick(self.row(params).logits, choice).sum(-1)

    def mode(self, params: Tensor) -> Tensor:
        """The bin with the highest utility, for each joint."""
        return params.argmax(-1)

    def describe(self, params: Tensor) -> dict[str, Tensor]:
        """Standard deviation per joint, probability of the greedy bin, its advantage over the second-best bin."""
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
