"""Distributions over a row of P codes, each of K: every position on its own, or each knowing the earlier ones."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from pgcontrol.heads import categorical


@dataclass(frozen=True)
class CodeRow:
    """p(c) = Π_j p(c_j): every position on its own.

    Attributes:
        logits: [B, P, K].
    """

    logits: Tensor

    def draw(self, race: Tensor) -> Tensor:
        """Choices [B, P] by the exponential race [B, P, K]."""
        return categorical.draw(self.logits, race)

    def mode(self) -> Tensor:
        """The likeliest choice, [B, P]."""
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
        """Every position's logits given the earlier ones among S rows, [B, S, P] -> [B, S, P, K].

        Here none is heard, and what is returned stands for any S.
        """
        return self.logits.unsqueeze(1)

    def conditionals(self) -> Tensor:
        """Logits of every position given some rows of the earlier ones, [B, S, P, K]; here S = 1."""
        return self.logits.unsqueeze(1)


@dataclass(frozen=True)
class Chain(CodeRow):
    """p(c) = Π_j p(c_j | c_1 … c_{j−1}), whose logits are logits_j + Σ_{i<j} φ_i(c_i)ᵀ W_ij φ_j.

    A masked linear network over the earlier choices (one layer of MADE, Germain et al. 2015, arXiv 1502.03509): what a
    code says, and what it hears, is its R features φ; the weights W are part of the distribution. Linear, so that the
    whole network fits into a head's params, and log-probability is concave in them.

    Entropy and KL sum over all K^P rows; the estimates average the positions' exact conditional entropies and KLs over
    fixed prefixes, drawn by inverse CDF at the Sobol points `uniforms`: all of them for the KL, the first `FEW` for the
    entropy, which every gradient step may ask for.

    Attributes:
        couplings: W, [B, P, R, P·R]: what every position says to each; only the earlier ones' part is read.
        features: φ, [P, K, R].
        uniforms: [S, P] in (0, 1).
    """

    FEW: ClassVar[int] = 8
    couplings: Tensor
    features: Tensor
    uniforms: Tensor

    @classmethod
    def read(cls, params: Tensor, features: Tensor, uniforms: Tensor) -> Self:
        """From params [B, P, K + R·P·R]: for each position its logits, then its part of W."""
        _, K, R = features.shape
        return cls(params[..., :K], params[..., K:].unflatten(-1, (R, -1)), features.to(params), uniforms)

    def draw(self, race: Tensor) -> Tensor:
        """Position by position, by the exponential race [B, P, K]."""
        return self._in_turn(lambda logits, j: categorical.draw(logits, race[:, j : j + 1])).squeeze(1)

    def mode(self) -> Tensor:
        """Greedy: each position's likeliest code given the earlier ones' choices, [B, P]."""
        return self._in_turn(lambda logits, j: logits.argmax(-1)).squeeze(1)

    def entropy(self) -> Tensor:
        """Σ_j E H(c_j | c_<j) over the fixed prefixes, [B]; its gradient also follows the prefixes' probabilities."""
        prefixes = self.prefixes(self.FEW)
        logits = self.given(prefixes)
        return _mean_over_prefixes(categorical.entropy(logits), logits, prefixes)

    def kl(self, other: CodeRow) -> Tensor:
        """Σ_j E KL(c_j | c_<j) over this distribution's fixed prefixes, [B]; its gradient as the entropy's."""
        prefixes = self.prefixes(len(self.uniforms))
        logits = self.given(prefixes)
        return _mean_over_prefixes(categorical.kl(logits, other.given(prefixes)), logits, prefixes)

    def conditionals(self) -> Tensor:
        """Logits of every position given the first few fixed prefixes, [B, S, P, K]."""
        return self.given(self.prefixes(self.FEW))

    def given(self, choice: Tensor) -> Tensor:
        """Every position's logits given the earlier ones among S rows, [B, S, P] -> [B, S, P, K]."""
        P, _, R = self.features.shape
        said = self.features[torch.arange(P, device=choice.device), choice].flatten(2)  # [B, S, P·R]
        heard = (self.heard().flatten(1, 2) @ said.mT).mT.unflatten(-1, (P, R))
        return self.logits.unsqueeze(1) + torch.einsum("bspr,pkr->bspk", heard, self.features)

    def heard(self) -> Tensor:
        """The couplings that count, later positions' 0."""
        P, _, R = self.features.shape
        place = torch.arange(P * R, device=self.logits.device) // R
        return self.couplings * (place < place[::R].view(-1, 1, 1))

    def prefixes(self, S: int) -> Tensor:
        """S whole rows of every distribution, [B, S, P]: its own, at fixed points of its inverse CDF."""

        def choose(logits: Tensor, j: int) -> Tensor:
            passed = logits.softmax(-1).cumsum(-1) < self.uniforms[:S, j : j + 1]
            return passed.sum(-1).clamp_max(logits.shape[-1] - 1)

        detached = dataclasses.replace(self, logits=self.logits.detach(), couplings=self.couplings.detach())
        return detached._in_turn(choose)

    def _in_turn(self, choose: Callable[[Tensor, int], Tensor]) -> Tensor:
        """Choices [B, S, P], one position after another: `choose` gets its logits, [B, 1 or S, K], and its number."""
        P, _, R = self.features.shape
        # what position j says to every position, [B, P of j, R, P·R]
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
    """Σ_j of each position's measure [B, S, P], averaged over S prefixes [B, S, P] drawn by `logits` [B, S, P, K]."""
    S = each.shape[1]
    # which prefixes come depends on params, too: the score function of each choice, times what comes after it against
    # the other prefixes' mean; of value 0
    later = (each.sum(-1, keepdim=True) - each.cumsum(-1)).detach()
    later = (later - later.mean(1, keepdim=True)) * (S / (S - 1))
    chosen = categorical.log_prob(logits, prefixes)
    return (each + later * (chosen - chosen.detach())).sum(-1).mean(-1)
