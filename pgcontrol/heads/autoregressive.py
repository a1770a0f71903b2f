"""Bins chosen joint by joint, each knowing the earlier ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from pgcontrol.heads import categorical, quadrature
from pgcontrol.heads.base import ChoiceSpec, Head, joint_stds, output_layer, temper
from pgcontrol.heads.normal import spread
from pgcontrol.options import option


@dataclass(frozen=True)
class Options:
    """What `--head.X` sets for the chain of bins."""

    bins: int = option(11, "values per joint, evenly spaced over its range, the bounds among them", least=2, most=1024)
    initial_std: float | None = option(
        None,
        "shape the first policy like a Gaussian of this deviation (share of the half-range); none: uniform",
        above=0,
    )
    degree: int = option(
        2, "polynomials through which joints speak to each other; bins - 1: every pairwise table", least=1, most=10
    )


class Autoregressive(Head):
    """p(c) = Π_j p(c_j | c_1 … c_{j−1}): joints as correlated as they come, left-left or right-right.

    logits_j = base_j + Σ_{i<j} φ(c_i)ᵀ W_ij ψ, where φ = ψ are the first `degree` orthonormal polynomials of a bin's
    place in its range: degree 1 shifts joint j with joint i, degree 2 spreads it. A masked linear network over the
    earlier choices (one layer of MADE, Germain et al. 2015, arXiv 1502.03509) whose weights W depend on the
    observation. Linear, so that params hold the whole network and an old distribution can be asked again.

    params [B, A, K + R·A·R]: for each joint its base logits, then what every joint says to it, [R, A, R] with R =
    degree; only the earlier joints' part is read.

    `mode` is greedy: each joint's likeliest bin given the earlier ones' choices. Entropy and KL sum over all K^A
    choices; the estimates average the joints' exact conditional entropies and KLs over fixed prefixes, drawn by
    inverse CDF at Sobol points: 32 for the KL, 8 for the entropy, which every gradient step asks for.
    """

    name = "autoregressive"
    Options = Options
    estimates: ClassVar = {"entropy": 0.1, "kl": 0.06}
    likeliest_mode = False
    variants: ClassVar = ({"degree": 1, "bins": 5, "initial_std": 0.5},)
    entropy_points: ClassVar = 8
    centres: Tensor
    basis: Tensor
    earlier: Tensor
    uniforms: Tensor

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Options):
        super().__init__(features, low, high, options)
        self.bins, self.degree = options.bins, min(options.degree, options.bins - 1)
        A, R = self.joints, self.degree
        self.register_buffer("centres", torch.linspace(-1.0, 1.0, self.bins))
        self.resolution = 2.0 / (self.bins - 1)
        # Σ_k φ_r(k) φ_s(k) / K = [r = s], and no part of the constant, which softmax drops
        powers = self.centres.double().unsqueeze(1) ** torch.arange(R + 1)
        basis = torch.linalg.qr(powers)[0][:, 1:] * math.sqrt(self.bins)
        self.register_buffer("basis", basis.float(), persistent=False)
        mask = torch.ones(A, A).tril(-1).repeat_interleave(R, 1).unsqueeze(1)
        self.register_buffer("earlier", mask, persistent=False)  # [A, 1, A·R]
        self.register_buffer("uniforms", quadrature.uniforms(32, A), persistent=False)
        self.out = output_layer(features, A * (self.bins + R * A * R))
        if options.initial_std is not None:
            shape = -0.5 * (self.centres / options.initial_std) ** 2
            with torch.no_grad():
                self.out.bias.view(A, -1)[:, : self.bins] = shape

    @property
    def choice_spec(self) -> ChoiceSpec:
        """One bin index per joint."""
        return ChoiceSpec((self.joints,), torch.int64, self.bins)

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, A, K + R·A·R]."""
        return self.out(features).unflatten(-1, (self.joints, -1))

    def noise(self, count: int, rng: Generator) -> Tensor:
        """[count, A, K]."""
        return categorical.race(count, self.joints, self.bins, rng=rng)

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        """Joint by joint, by the exponential race."""
        return self._in_turn(params, lambda logits, j: categorical.draw(logits, noise[:, j : j + 1])).squeeze(1)

    def log_prob(self, params: Tensor, choice: Tensor) -> Tensor:
        """Σ_j log p(c_j | c_<j), all joints in one pass."""
        return categorical.log_prob(self._logits(params, choice.unsqueeze(1)).squeeze(1), choice).sum(-1)

    def entropy(self, params: Tensor) -> Tensor:
        """Σ_j E H(c_j | c_<j) over the fixed prefixes; its gradient also follows the prefixes' probabilities."""
        prefixes = self._prefixes(params, self.entropy_points)
        logits = self._logits(params, prefixes)
        return _mean_over_prefixes(categorical.entropy(logits), logits, prefixes)

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """Σ_j E KL(c_j | c_<j) over the old distribution's fixed prefixes; its gradient as the entropy's."""
        prefixes = self._prefixes(old, 32)
        logits = self._logits(old, prefixes)
        return _mean_over_prefixes(categorical.kl(logits, self._logits(new, prefixes)), logits, prefixes)

    def mode(self, params: Tensor) -> Tensor:
        """Greedy."""
        return self._in_turn(params, lambda logits, j: logits.argmax(-1)).squeeze(1)

    def decode(self, choice: Tensor) -> Tensor:
        """The bin's centre."""
        return self.to_bounds(self.centres[choice])

    def encode(self, action: Tensor) -> Tensor:
        """Every joint's nearest bin."""
        return categorical.nearest(self.to_unit(action), self.centres)

    def describe(self, params: Tensor) -> dict[str, Tensor]:
        """Deviation of the decoded action per joint, perplexity given the earlier joints, size of the couplings."""
        logits = self._logits(params, self._prefixes(params, self.entropy_points))
        p = logits.softmax(-1).mean(1)
        mean = (p * self.centres).sum(-1, keepdim=True)
        std = (p * (self.centres - mean) ** 2).sum(-1).sqrt()
        couplings = self._couplings(params)
        return spread(std) | {
            "perplexity": categorical.entropy(logits).exp().mean() / self.bins,
            "dead_bins": (p.amax(0) < 0.01 / self.bins).float().mean(),
            "saturation": (p[..., 0] + p[..., -1]).mean(),
            "coupling": (couplings**2).sum((-1, -2)).sqrt().mean(),
        }

    @torch.no_grad()
    def widen(self, std: float, features: Tensor) -> None:
        """A temperature for each joint's logits, and for what it hears of the earlier ones."""
        rows = [w.view(self.joints, -1) for w in self.out.parameters()]
        temper(rows, lambda: joint_stds(self.describe(self(features)), self.joints), std)

    def _couplings(self, params: Tensor) -> Tensor:
        """W, [B, A, R, A·R], later joints' part 0."""
        return params[..., self.bins :].unflatten(-1, (self.degree, -1)) * self.earlier

    def _logits(self, params: Tensor, choice: Tensor) -> Tensor:
        """Every joint's logits given the earlier ones among S choices: params [B, ...], [B, S, A] -> [B, S, A, K]."""
        said = self.basis.to(params)[choice].flatten(2)  # [B, S, A·R]
        heard = (self._couplings(params).flatten(1, 2) @ said.mT).mT.unflatten(-1, (self.joints, self.degree))
        return params[..., : self.bins].unsqueeze(1) + heard @ self.basis.to(params).mT

    def _in_turn(self, params: Tensor, choose: Callable[[Tensor, int], Tensor]) -> Tensor:
        """Choices [B, S, A], joint after joint: `choose` gets joint j's logits, [B, 1 or S, K], and j."""
        basis = self.basis.to(params)
        # what joint j says of every joint, [B, A of j, R, A·R]
        said = params[..., self.bins :].unflatten(-1, (self.degree, self.joints, self.degree)).permute(0, 3, 4, 1, 2)
        said = said.flatten(-2)
        chosen, heard = [], params.new_zeros(())
        for j in range(self.joints):
            logits = params[:, None, j, : self.bins]
            if j:
                logits = logits + heard[..., j * self.degree : (j + 1) * self.degree] @ basis.mT
            chosen.append(choose(logits, j))
            heard = heard + basis[chosen[-1]] @ said[:, j]  # [B, S, A·R]
        return torch.stack(chosen, -1)

    def _prefixes(self, params: Tensor, S: int) -> Tensor:
        """S whole choices of every row, [B, S, A]: the distribution's own, at fixed points of its inverse CDF."""

        def choose(logits: Tensor, j: int) -> Tensor:
            passed = logits.softmax(-1).cumsum(-1) < self.uniforms[:S, j : j + 1]
            return passed.sum(-1).clamp_max(self.bins - 1)

        return self._in_turn(params.detach(), choose)


def _mean_over_prefixes(each: Tensor, logits: Tensor, prefixes: Tensor) -> Tensor:
    """Σ_j of each joint's measure [B, S, A], averaged over S prefixes [B, S, A] drawn by `logits` [B, S, A, K]."""
    S = each.shape[1]
    # which prefixes come depends on params, too: the score function of each choice, times what comes after it against
    # the other prefixes' mean; of value 0
    later = (each.sum(-1, keepdim=True) - each.cumsum(-1)).detach()
    later = (later - later.mean(1, keepdim=True)) * (S / (S - 1))
    chosen = categorical.log_prob(logits, prefixes)
    return (each + later * (chosen - chosen.detach())).sum(-1).mean(-1)
