"""Sampling as a function: random draws computed from given uniform numbers, for any head alike.

A graph that leaves the package has no generator of ours. So an exported policy that samples reads its randomness as an
input: uniform numbers, from which the draws that a head asks torch for are computed by textbook transforms.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# below the least positive number that a generator of doubles gives: 0 is read as this, so that logs are finite
TINY = 2.0**-54


class FromUniforms(TorchFunctionMode):
    """Within it, torch's draws come from `noise` [B, D], whose columns are used up in order.

    With `noise` None it only counts: draws come from one half, and `used` is D afterwards.

    Raises:
        NotImplementedError: a draw that no transform is known for.
    """

    def __init__(self, noise: Tensor | None = None):
        super().__init__()
        self.noise, self.used = noise, 0

    def uniforms(self, *shape: Any) -> Tensor:
        """The next uniforms as float64 of a shape [B, ...]; all that follow the first axis are of fixed size.

        As of torch.rand, `uniforms(2, 3)` and `uniforms((2, 3))` mean the same.
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
    """√(−2 log u) cos 2πv (Box & Muller 1958); the cosine in float32, since older runtimes have no other."""
    u, v = draws.uniforms(*shape), draws.uniforms(*shape)
    return (-2 * u.log()).sqrt().float() * torch.cos((2 * math.pi * v).float())


def _exponential(draws: FromUniforms, into: Tensor) -> Tensor:
    """−log u. In place for torch; here the result counts."""
    return (-draws.uniforms(into.shape).log()).to(into.dtype)


TRANSFORMS: dict[Any, Callable[..., Tensor]] = {
    torch.rand: _uniform,
    torch.randn: _normal,
    torch.Tensor.exponential_: _exponential,
}
