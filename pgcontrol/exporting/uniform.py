"""Sampling as a function: computes random draws from given uniform numbers, for any head.

An exported graph cannot contain our random generator. So an exported policy that samples takes uniform numbers as an
input; the draws that a head requests from torch are computed from them by standard transforms.
"""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from pgcontrol.machine.draws import BELOW_ONE, FromNumbers

# smaller than any positive number of a generator of doubles: replaces 0, so that logarithms are finite
TINY = 2.0**-54


def _uniforms(draws: FromNumbers, *shape: Any) -> Tensor:
    return draws.take(*shape).clamp_min(TINY)


def _uniform(draws: FromNumbers, *shape: Any) -> Tensor:
    return _uniforms(draws, *shape).float().clamp_max(BELOW_ONE)


def _normal(draws: FromNumbers, *shape: Any) -> Tensor:
    """√(−2 log u) cos 2πv (Box & Muller 1958); the cosine in float32, since older runtimes have no other."""
    u, v = _uniforms(draws, *shape), _uniforms(draws, *shape)
    return (-2 * u.log()).sqrt().float() * torch.cos((2 * math.pi * v).float())


def _exponential(draws: FromNumbers, into: Tensor) -> Tensor:
    """−log u. In place for torch; here the result counts."""
    return (-_uniforms(draws, into.shape).log()).to(into.dtype)


class FromUniforms(FromNumbers):
    """Draws from uniform numbers of float64, in [0, 1)."""

    MIDDLE, KIND = 0.5, "uniform"
    TRANSFORMS: ClassVar = {torch.rand: _uniform, torch.randn: _normal, torch.Tensor.exponential_: _exponential}
