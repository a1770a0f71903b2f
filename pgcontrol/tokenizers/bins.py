"""Uniform bins: a tokenizer without learning, and the baseline for the others."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pgcontrol.options import option
from pgcontrol.tokenizers.base import Additive


class Bins(Additive):
    """K evenly spaced values for every joint at every step of the chunk, with one code for each: L = H·A."""

    name = "bins"
    learned = False

    @dataclass(frozen=True)
    class Options:
        """The settings of bins."""

        codes: int = option(11, "K: values per joint, equally spaced over its range", least=2, most=1024)

    def __init__(self, horizon: int, joints: int, options: Options):
        super().__init__(horizon, joints, options, horizon * joints)
        self.values = nn.Buffer(torch.linspace(-1.0, 1.0, self.codes), persistent=False)
        self.table.copy_(torch.eye(self.length).unsqueeze(1) * self.values.unsqueeze(1))

    def _encode(self, chunks: Tensor) -> Tensor:
        return (chunks.flatten(1).unsqueeze(-1) - self.values).abs().argmin(-1)
