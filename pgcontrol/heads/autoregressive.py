"""Bins chosen joint by joint; each choice is conditioned on the choices of the earlier joints."""

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
from pgcontrol.measures.metric import Metric
from pgcontrol.options import option


class Autoregressive(BinPerJoint):
    """p(c) = Π_j p(c_j | c_1 … c_{j−1}). This can represent correlated joints, for example "both left or both right".

    A `rows.Chain`. Its features are the first `degree` orthonormal polynomials of a bin's position in the range: with
    degree 1, joint i shifts the distribution of joint j; with degree 2, it also changes its width. The couplings
    depend on the observation.

    params [B, A, K + R·A·R]: for each joint its base logits, then the couplings to it from every joint, [R, A, R] with
    R = degree. Only those from earlier joints are used. `mode` is greedy: it takes each joint's likeliest bin given the
    bins chosen for the earlier joints.
    """

    name = "autoregressive"
    metrics: ClassVar = {
        **BinPerJoint.metrics,
        "coupling": Metric("", "size of the couplings from earlier joints to a joint (autoregressive)"),
    }
    mirror = Head.mirror  # not defined: the joints have an order, and mirroring would reverse it
    estimates: ClassVar = {"entropy": 0.1, "kl": 0.06}
    likeliest_mode = False
    variants: ClassVar = ({"degree": 1, "bins": 5, "initial_std": 0.5},)

    @dataclass(frozen=True)
    class Options(BinOptions):
        """Adds the degree of the couplings between joints."""

        degree: int = option(2, "degree of the couplings between joints; bins - 1: pairwise tables", least=1, most=10)

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Options):
        super().__init__(features, low, high, options)
        A, R = self.joints, min(options.degree, self.bins - 1)
        # orthonormal: Σ_k φ_r(k) φ_s(k) / K = [r = s]. The constant polynomial is left out: softmax ignores it
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
        """The distribution over all joints' bins."""
        return Chain.read(params, self.basis, self.uniforms)

    def describe(self, params: Tensor) -> dict[str, Tensor]:
        """See `measures`; the perplexity is conditional on the earlier joints. Adds the size of the couplings."""
        chain = self.row(params)
        logits = chain.conditionals()
        coupling = (chain.heard() ** 2).sum((-1, -2)).sqrt().mean()
        return self.measures(logits, logits.softmax(-1).mean(1)) | {"coupling": coupling}

    @torch.no_grad()
    def widen(self, std: float, features: Tensor) -> None:
        """Use one temperature for each joint, for its logits and for its couplings to the earlier joints."""
        temper(self.out.parameters(), lambda: self.joint_stds(features), std, self.joints)
