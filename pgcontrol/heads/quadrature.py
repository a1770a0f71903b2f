"""Fixed points for expectations without a closed form. They never change, so estimates are functions of params."""

import math

import numpy as np
import torch
from torch import Tensor


def hermite(points: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights [points] of Gauss-Hermite quadrature: Σ weight·f(node) ≈ E f(z), z ~ N(0, 1)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(points)
    return torch.tensor(nodes).float(), torch.tensor(weights / math.sqrt(2 * math.pi)).float()


def uniforms(points: int, dims: int) -> Tensor:
    """[points, dims] scrambled Sobol points in (0, 1): they cover the cube more evenly than random points."""
    drawn = torch.quasirandom.SobolEngine(dims, scramble=True, seed=0).draw(points, dtype=torch.float64)
    return drawn.clamp(1e-6, 1 - 1e-6).float()


def normals(points: int, dims: int) -> Tensor:
    """[points, dims] standard normal Sobol points and their negatives, so that odd functions average to exactly 0."""
    half = math.sqrt(2) * torch.erfinv(2 * uniforms(points // 2, dims).double() - 1)
    return torch.cat((half, -half)).float()
