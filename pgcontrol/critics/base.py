"""The base class of critics: an output tensor per state, from which value and loss are computed."""

from typing import Any, ClassVar

from torch import Tensor, nn


class Critic(nn.Module):
    """Maps the features of its own trunk to an output tensor, and the output to a value and a loss.

    Subclasses define `name`, `Options` (a frozen dataclass: the settings `--critic.X`) and the methods that raise
    NotImplementedError. The value is in units of the scaled reward.
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
        """Error of `output` for the target return `target` [B], for each row, [B]."""
        raise NotImplementedError

    def adapt(self, target: Tensor) -> None:
        """Called between updates with returns [B]: a critic whose range follows them moves it; others do nothing."""
