"""Chunks of actions like those of a running policy: smooth in time, some of it at the bounds."""

import math

import torch
from torch import Tensor

JOINTS = 3

VARIANTS = {
    "bins": ("bins", 1, {"codes": 5}),
    "bins-chunk": ("bins", 2, {"codes": 4}),
    "kmeans": ("kmeans", 1, {"codes": 16}),
    "kmeans-chunk": ("kmeans", 4, {"codes": 32}),
    "vq": ("vq", 1, {"codes": 16}),
    "vq-chunk": ("vq", 4, {"codes": 16}),
    "rvq": ("rvq", 1, {"codes": 8, "levels": 2}),
    "rvq-chunk": ("rvq", 4, {"codes": 8, "levels": 3}),
    "fast": ("fast", 1, {"codes": 64, "length": 3, "scale": 8.0}),
    "fast-chunk": ("fast", 4, {"codes": 128, "length": 6, "scale": 8.0}),
}
"""Name -> (kind, horizon, settings)."""


def steps(T: int = 200, N: int = 8, seed: int = 0) -> Tensor:
    """[T, N, A]: gaits of random phase and a common rhythm, some noise, clipped at the bounds."""
    rng = torch.Generator().manual_seed(seed)
    phase = torch.rand(N, 1, generator=rng) * 2 * math.pi
    time = torch.arange(T).view(T, 1, 1) * 0.5
    wave = torch.sin(time + phase + torch.arange(JOINTS) * 2.0) * torch.tensor([1.6, 0.8, 0.4])
    return (wave + 0.05 * torch.randn(T, N, JOINTS, generator=rng)).clamp(-1, 1)
