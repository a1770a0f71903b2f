"""Distributions over a row of P codes, each out of K: with independent positions, or conditional on earlier ones."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from pgcontrol.heads import categorical


@dataclass(frozen=True)
class CodeRow:
    """p(c) = Π_j p(c_j): independent positions.

    Attributes:
        logits: [B, P, K].
    """

    logits: Tensor

    def draw(self, race: Tensor) -> Tensor:
        """Choices [B, P] by the exponential race, from noise [B, P, K]."""
        return categorical.draw(self.logits, race)

    def mode(self) -> Tensor:
        """The most likely choice, [B, P]."""
        return self.logits.argmax(-1)

    def log_prob(self, choice: Tensor) -> Tensor:
        """[B, P] -> [B], all positions in one pass."""
        return categorical.log_prob(self.given(choice.unsqueeze(1)).squeeze(1), choice).sum(-1)

    def entropy(self) -> Tensor:
        """[B]."""
        return categorical.entropy(self.logits).sum(-1)

    def kl(self, other: "CodeRow") -> Tensor:
        """KL(self || other), [B]."""
        return categorical.kl(self.logits, other.logits).sum(-1)

    def given(self, choice: Tensor) -> Tensor:
        """Logits of every position, conditional on the earlier positions of S rows, [B, S, P] -> [B, S, P, K].

        Here positions are independent: the result has S = 1 and broadcasts to any S.
        """
        return self.logits.unsqueeze(1)

    def conditionals(self) -> Tensor:
        """Logits of every position, conditional on some prefixes, [B, S, P, K]; here S = 1."""
        return self.logits.unsqueeze(1)


@dataclass(frozen=True)
class Chain(CodeRow):
    """p(c) = Π_j p(c_j | c_1 … c_{j−1}) with logits_j + Σ_{i<j} φ_i(c_i)ᵀ W_ij φ_j as conditional logits.

    A masked linear network over the earlier choices (one layer of MADE, Germain et al. 2015, arXiv 1502.03509). Each
    code has R features φ, which serve as input to later positions and as output weights. W is part of the distribution.
    The network is linear, so that all of it fits into a head's params, and the log-probability is concave in them.

    Exact entropy and KL would need a sum over all K^P rows. The estimates average the exact conditional entropies and
    KLs of the positions over fixed prefixes, drawn by inverse CDF at the Sobol points `uniforms`: the KL uses all of
    them; the entropy, which every gradient step may need, uses the first `FEW`.

    Attributes:
        couplings: W, [B, P, R, P·R], to each position from every position; only those from earlier ones are used.
        features: φ, [P, K, R].
        uniforms: [S, P], in (0, 1).
    """

    FEW: ClassVar[int] = 8
    couplings: Tensor
    features: Tensor
    uniforms: Tensor

    @classmethod
    def read(cls, params: Tensor, features: Tensor, uniforms: Tensor) -> Self:
        """Build it from params [B, P, K + R·P·R]: for each position its logits, then its part of W."""
        _, K, R = features.shape
        return cls(params[..., :K], params[..., K:].unflatten(-1, (R, -1)), features.to(params), uniforms)

    def draw(self, race: Tensor) -> Tensor:
        """Draw position by position, by the exponential race, from noise [B, P, K]."""
        return self._in_turn(lambda logits, j: categorical.draw(logits, race[:, j : j + 1])).squeeze(1)

    def mode(self) -> Tensor:
        """Greedy: each position's most likely code given the codes chosen before, [B, P]."""
        return self._in_turn(lambda logits, j: logits.argmax(-1)).squeeze(1)

    def entropy(self) -> Tensor:
        """Σ_j E H(c_j | c_<j) over the fixed prefixes, [B]. The gradient includes the prefixes' probabilities."""
        prefixes = self.prefixes(self.FEW)
        logits = self.given(prefixes)
        return _mean_over_prefixes(categorical.entropy(logits), logits, prefixes)

    def kl(self, other: CodeRow) -> Tensor:
        """Σ_j E KL(c_j | c_<j) over this distribution's fixed prefixes, [B]; gradient as in `entropy`."""
        prefixes = self.prefixes(len(self.uniforms))
        logits = self.given(prefixes)
        return _mean_over_prefixes(categorical.kl(logits, other.given(prefixes)), logits, prefixes)

    def conditionals(self) -> Tensor:
        """Logits of every position, conditional on the first `FEW` fixed prefixes, [B, S, P, K]."""
        return self.given(self.prefixes(self.FEW))

    def given(self, choice: Tensor) -> Tensor:
        """Logits of every position, conditional on the earlier positions of S rows, [B, S, P] -> [B, S, P, K]."""
        P, _, R = self.features.shape
        said = self.features[torch.arange(P, device=choice.device), choice].flatten(2)  # [B, S, P·R]
        heard = (self.heard().flatten(1, 2) @ said.mT).mT.unflatten(-1, (P, R))
        return self.logits.unsqueeze(1) + torch.einsum("bspr,pkr->bspk", heard, self.features)

    def heard(self) -> Tensor:
        """The couplings, with those from later positions set to 0."""
        P, _, R = self.features.shape
        place = torch.arange(P * R, device=self.logits.device) // R
        return self.couplings * (place < place[::R].view(-1, 1, 1))

    def prefixes(self, S: int) -> Tensor:
        """S rows sampled from every distribution, [B, S, P], by inverse CDF at fixed points."""

        def choose(logits: Tensor, j: int) -> Tensor:
            passed = logits.softmax(-1).cumsum(-1) < self.uniforms[:S, j : j + 1]
            return passed.sum(-1).clamp_max(logits.shape[-1] - 1)

        detached = dataclasses.replace(self, logits=self.logits.detach(), couplings=self.couplings.detach())
        return detached._in_turn(choose)

    def _in_turn(self, choose: Callable[[Tensor, int], Tensor]) -> Tensor:
        """Choices [B, S, P], position by position. `choose` gets the logits [B, 1 or S, K] and the position's index."""
        P, _, R = self.features.shape
        # the contribution of position j to every position, [B, P of j, R, P·R]
        said = self.couplings.unflatten(-1, (P, R)).permute(0, 3, 4, 1, 2).flatten(-2)
        chosen, heard = [], self.logits.new_zeros(())
        for j, features in enumerate(self.features):
            logits = self.logits[:, None, j]
            if j:
                logits = logits + heard[..., j * R : (j + 1) * R] @ features.mT
            chosen.append(choose(logits, j))
            heard = heard + features[chosen[-1]] @ said[:, j]  # [B, S, P·R]
        return torch.stack(chosen, -1)


def _mean_over_prefixes(each: Tensor, logits: Tensor, prefixes: Tensor) -> Tensor:
    """Σ_j of each position's measure [B, S, P], averaged over S prefixes [B, S, P] drawn from `logits` [B, S, P, K]."""
    S = each.shape[1]
    # The prefixes depend on params as well. This adds their score-function gradient: the score of each choice, times
    # the sum of the later measures minus the other prefixes' mean. The added value is 0
    later = (each.sum(-1, keepdim=True) - each.cumsum(-1)).detach()
    later = (later - later.mean(1, keepdim=True)) * (S / (S - 1))
    chosen = categorical.log_prob(logits, prefixes)
    return (each + later * (chosen - chosen.detach())).sum(-1).mean(-1)
