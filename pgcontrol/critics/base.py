"""The Critic contract: an output per state that knows its value and its loss."""

from typing import Any, ClassVar

from torch import Tensor, nn


class Critic(nn.Module):
    """Features of its own trunk -> an output tensor; the output knows its value and its loss.

    Subclasses say `name`, `Options` (a frozen dataclass: what `--critic.X` sets) and the methods that raise. The value
    is in units of the scaled reward.
    """

    name: ClassVar[str]
    Options: ClassVar[type]

    def __init__(self, features: int, options: Any):
        super().__init__()
        self.options = options

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> output [B, ...]."""
        raise NotImplementedError

    def value(self, output: Tensor) -> Tensor:
        """Output -> V(s), [B]."""
        raise NotImplementedError

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Error of `output` against the return `target` [B], row by row, [B]."""
        raise NotImplementedError

    def adapt(self, target: Tensor) -> None:
        """Between updates only: a critic whose range follows the returns [B] moves it here. Others do nothing."""
