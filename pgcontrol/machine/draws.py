"""Torch's random draws as a function: computed from given numbers, for any code that asks torch for them."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

BELOW_ONE = 1 - 2**-24  # the largest uniform number of torch.rand; float32 rounds larger ones to 1


class FromNumbers(TorchFunctionMode):
    """Within it, torch's draws come from `numbers` [B, D], whose columns are used up in order.

    With `numbers` None it only counts: every number is `MIDDLE`, and `used` is D afterwards. Subclasses say what the
    numbers are, and what each kind of draw makes of them.

    Raises:
        NotImplementedError: a draw that no transform is known for.
    """

    MIDDLE: ClassVar[float]
    KIND: ClassVar[str]  # what the numbers are called
    TRANSFORMS: ClassVar[Mapping[Any, Callable[..., Tensor]]]

    def __init__(self, numbers: Tensor | None = None):
        super().__init__()
        self.numbers, self.used = numbers, 0

    def take(self, *shape: Any) -> Tensor:
        """The next numbers in a shape [B, ...]; all that follow the first axis are of fixed size.

        As of torch.rand, `take(2, 3)` and `take((2, 3))` mean the same.
        """
        rows, *columns = shape[0] if isinstance(shape[0], Sequence) else shape
        first, self.used = self.used, self.used + math.prod(columns)
        if self.numbers is None:
            return torch.full((rows, *columns), self.MIDDLE, dtype=torch.float64)
        return self.numbers[:, first : self.used].unflatten(-1, columns)

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func in self.TRANSFORMS:
            return self.TRANSFORMS[func](self, *args)
        if kwargs.get("generator") is not None:
            raise NotImplementedError(f"{func.__name__} cannot be computed from {self.KIND} numbers")
        return func(*args, **kwargs)
