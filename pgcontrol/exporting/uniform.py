"""Sampling as a function: computes random draws from given uniform numbers, for any head.

An exported graph cannot contain our random generator. So an exported policy that samples takes uniform numbers as an
input; the draws that a head requests from torch are computed from them by standard transforms.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# smaller than any positive number of a generator of doubles: replaces 0, so that logarithms are finite
TINY = 2.0**-54


class FromUniforms(TorchFunctionMode):
    """A context in which torch's draws are computed from `noise` [B, D], whose columns are used in order.

    With `noise` None it only counts: all uniform numbers are 0.5, and `used` is D afterwards.

    Raises:
        NotImplementedError: there is no transform for a draw.
    """

    def __init__(self, noise: Tensor | None = None):
        super().__init__()
        self.noise, self.used = noise, 0

    def uniforms(self, *shape: Any) -> Tensor:
        """The next uniform numbers as float64 with a shape [B, ...]; the sizes after the first are fixed.

        As for torch.rand, `uniforms(2, 3)` and `uniforms((2, 3))` are the same.
        """
        rows, *columns = shape[0] if isinstance(shape[0], Sequence) else shape
        first, self.used = self.used, self.used + math.prod(columns)
        if self.noise is None:
            return torch.full((rows, *columns), 0.5, dtype=torch.float64)
        return self.noise[:, first : self.used].clamp_min(TINY).unflatten(-1, columns)

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func in TRANSFORMS:
            return TRANSFORMS[func](self, *args)
        if kwargs.get("generator") is not None:
            raise NotImplementedError(f"{func.__name__} cannot be computed from uniform numbers")
        return func(*args, **kwargs)


def _uniform(draws: FromUniforms, *shape: Any) -> Tensor:
    return draws.uniforms(*shape).float()


def _normal(draws: FromUniforms, *shape: Any) -> Tensor:
    """√(−2 log u) cos 2πv (Box & Muller 1958); the cosine in float32, because older runtimes have no other."""
    u, v = draws.uniforms(*shape), draws.uniforms(*shape)
    return (-2 * u.log()).sqrt().float() * torch.cos((2 * math.pi * v).float())


def _exponential(draws: FromUniforms, into: Tensor) -> Tensor:
    """−log u. In torch this works in place; here the result is returned."""
    return (-draws.uniforms(into.shape).log()).to(into.dtype)


TRANSFORMS: dict[Any, Callable[..., Tensor]] = {
    torch.rand: _uniform,
    torch.randn: _normal,
    torch.Tensor.exponential_: _exponential,
}
