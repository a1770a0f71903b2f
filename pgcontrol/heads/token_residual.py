"""Learned tokens whose later levels are conditioned on the earlier levels' codes."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from pgcontrol.heads import quadrature, token
from pgcontrol.heads.rows import Chain
from pgcontrol.options import InputError, option
from pgcontrol.tokenizers.base import Additive
from pgcontrol.tokenizers.files import kinds


class TokenResidual(token.Token):
    """A row of codes, each conditional on the earlier ones; the action is the sum of the codes' rows in the table.

    A `rows.Chain` whose features φ_i(c) are the table's rows t_i(c) themselves, D = H·A numbers scaled to unit size.
    So it can represent a Gaussian N(μ, Σ) of the action: −½(μ − Σt_i)ᵀΣ⁻¹(μ − Σt_i) is linear in each t_i, with
    couplings W_ij = −Σ⁻¹. Independent levels cannot represent it: a fine level that does not see the coarse code does
    not know the remaining error.

    params [B, L, K + D·L·D]: for each level its base logits, then the couplings to it from every level; only those from
    earlier levels are used. `mode` is greedy. During the warm-up with bins, joints are independent, as in `token`.
    """

    name = "token-residual"
    estimates: ClassVar = {"entropy": 0.1, "kl": 0.06}
    likeliest_mode = False
    tokenizer: Additive

    @dataclass(frozen=True)
    class Options(token.Token.Options):
        """The settings `--head.X`, as for `token`; only tokenizers whose codes' rows add up are possible."""

        tokenizer: str = option("rvq", "kind of tokenizer; the rows of its codes must add up", part=kinds)
        levels: int = option(2, "L: codebooks of rvq; each one refines the sum of the previous ones", least=1, most=8)

        def __post_init__(self) -> None:
            super().__post_init__()
            possible = [name for name, kind in sorted(kinds().items()) if issubclass(kind, Additive)]
            if self.tokenizer not in possible:
                why = f"its codes' rows do not add up; must be one of {', '.join(possible)}"
                raise InputError(f"head.tokenizer = {self.tokenizer!r}: {why}")

    def __init__(self, features: int, low: Tensor, high: Tensor, options: Options):
        super().__init__(features, low, high, options)
        self.uniforms = nn.Buffer(quadrature.uniforms(32, self.shape[0]), persistent=False)

    def more_outputs(self) -> int:
        """The couplings."""
        return (self.shape[0] * self.horizon * self.joints) ** 2

    def code_row(self, params: Tensor) -> Chain:
        """The distribution over all levels."""
        table = self.tokenizer.table
        size = table.square().mean((1, 2), keepdim=True).sqrt().clamp_min(1e-6)
        return Chain.read(params, table / size, self.uniforms)

    def code_moments(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """As in `token`: the last level in closed form, averaged over fixed prefixes of the other levels."""
        table, shape = self.tokenizer.table, (self.horizon, self.joints)
        means, stds = [], []
        for part in params.split(256):
            chain = self.code_row(part)
            prefixes = chain.prefixes(len(self.uniforms))
            p = chain.given(prefixes)[:, :, -1].softmax(-1)  # [B, S, K]
            rest = p @ table[-1]
            within = p @ table[-1].square() - rest.square()
            centre = sum((table[i][prefixes[..., i]] for i in range(len(table) - 1)), torch.zeros_like(rest)) + rest
            means.append(centre.mean(1).unflatten(-1, shape))
            stds.append((within.mean(1) + centre.var(1, correction=0)).clamp_min(0.0).sqrt().unflatten(-1, shape))
        return torch.cat(means), torch.cat(stds)
