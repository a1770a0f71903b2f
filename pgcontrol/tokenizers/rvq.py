"""Residual vector quantisation: the code of each level refines the error of the previous levels."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pgcontrol.options import option
from pgcontrol.tokenizers.base import CODEBOOK, Additive


class RVQ(Additive):
    """Residual levels as in VQ-BeT (arXiv 2403.03181, section 4.1), directly on the chunks.

    VQ-BeT puts an encoder and a decoder around the levels; here both are the identity. A nonlinear decoder would need
    a table of K^L rows or a network in every environment step. A sum of L look-ups is exact in the units in which the
    error is measured. The library learns the levels one after the other. Then a few rounds of "encode all, solve for
    all tables by least squares" fit the levels jointly (additive quantisation, Babenko & Lempitsky 2014).
    """

    name = "rvq"
    requires = "vector_quantize_pytorch"
    PASSES, ROUNDS, ROWS = 40, 3, 4096

    @dataclass(frozen=True)
    class Options:
        """The settings of residual VQ."""

        codes: int = option(16, "K: codes in the codebook of each level", least=2, most=1024)
        levels: int = option(3, "L: codebooks; each one refines the sum of the previous ones", least=1, most=8)

    def __init__(self, horizon: int, joints: int, options: Options):
        super().__init__(horizon, joints, options, options.levels)

    def _fit(self, chunks: Tensor) -> None:
        from vector_quantize_pytorch import ResidualVQ

        data = chunks.flatten(1)
        sizes = {"dim": data.shape[1], "num_quantizers": self.length, "codebook_size": self.codes}
        levels = ResidualVQ(**sizes, decay=0.8, **CODEBOOK)
        for _ in range(self.PASSES):
            levels(data[torch.randint(len(data), (min(len(data), self.ROWS),))])
        self.table.copy_(torch.as_tensor(levels.codebooks))
        data = data[torch.randperm(len(data))[: self.ROWS]]
        for _ in range(self.ROUNDS):
            self._solve(data)

    def _solve(self, data: Tensor) -> None:
        """All tables by least squares for the current codes; unused codes do not change."""
        chosen = F.one_hot(self.encode(data.unflatten(1, (self.horizon, self.joints))), self.codes).flatten(1).double()
        old = self.table.flatten(0, 1).double()
        # minimise ‖chosen·new − data‖² + ridge‖new − old‖²; the ridge term makes the system non-singular
        normal = chosen.T @ chosen + 1e-3 * torch.eye(chosen.shape[1], dtype=torch.float64)
        step = torch.linalg.solve(normal, chosen.T @ (data.double() - chosen @ old))
        self.table.copy_((old + step).view_as(self.table))
