"""Bins chosen joint by joint, each knowing the earlier ones."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pgcontrol.heads import normal, quadrature
from pgcontrol.heads.base import Head, output_layer, temper
from pgcontrol.heads.bins import BinOptions, BinPerJoint
from pgcontrol.heads.rows import Chain
from pgcontrol.options import option


class Autoregressive(BinPerJoint):
    """p(c) = Π_j p(c_j | c_1 … c_{j−1}): joints as correlated as they come, left-left or right-right.

    A `rows.Chain` whose features are the first `degree` orthonormal polynomials of a bin's place in its range: degree 1
    shifts joint j with joint i, degree 2 spreads it. The couplings depend on the observation.

    params [B, A, K + R·A·R]: for each joint its base logits, then what every joint says to it, [R, A, R] with R =
    degree; only the earlier joints' part is read. `mode` is greedy: each joint's likeliest bin given the earlier ones'
    choices.
    """

    name = "autoregressive"
    mirror = Head.mirror  # none: the first joint is chosen before the second, and its mirror image after it
    estimates: ClassVar = {"entropy": 0.1, "kl": 0.06}
    likeliest_mode = False
    variants: ClassVar = ({"degree": 1, "bins": 5, "initial_std": 0.5},)

    @dataclass(frozen=True)
    class Options(BinOptions):
        """Adds how much joints may say to each other."""

        degree: int = option(2, "polynomials joints speak through; bins - 1: every pairwise table", least=1, most=10)

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Options):
        super().__init__(features, low, high, options)
        A, R = self.joints, min(options.degree, self.bins - 1)
        # Σ_k φ_r(k) φ_s(k) / K = [r = s], and no part of the constant, which softmax drops
        powers = self.centres.double().unsqueeze(1) ** torch.arange(R + 1)
        basis = torch.linalg.qr(powers)[0][:, 1:] * math.sqrt(self.bins)
        self.basis = nn.Buffer(basis.float().repeat(A, 1, 1), persistent=False)
        self.uniforms = nn.Buffer(quadrature.uniforms(32, A), persistent=False)
        bias = F.pad(normal.logits(self.centres, options.initial_std), (0, R * A * R)).repeat(A)
        self.out = output_layer(features, len(bias), bias)

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, A, K + R·A·R]."""
        return self.out(features).unflatten(-1, (self.joints, -1))

    def row(self, params: Tensor) -> Chain:
        """The chain over joints."""
        return Chain.read(params, self.basis, self.uniforms)

    def describe(self, params: Tensor) -> dict[str, Tensor]:
        """See `measures`, the perplexity given the earlier joints; and the size of the couplings."""
        chain = self.row(params)
        logits = chain.conditionals()
        coupling = (chain.heard() ** 2).sum((-1, -2)).sqrt().mean()
        return self.measures(logits, logits.softmax(-1).mean(1)) | {"coupling": coupling}

    @torch.no_grad()
    def widen(self, std: float, features: Tensor) -> None:
        """A temperature for each joint's logits, and for what it hears of the earlier ones."""
        temper(self.out.parameters(), lambda: self.joint_stds(features), std, self.joints)
