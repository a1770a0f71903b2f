"""What our tasks compute with: numpy arrays, in words that torch has, too.

Gymnasium computes with numpy, so that results agree to the last bit, and at a few hundred numbers an operation of
numpy's costs a third of one of torch's. No physics gives a task torch tensors today. So that one on a GPU could, in all
but `reset`, the tasks of this package keep to what both have: operators, indexing, the methods `sum(-1)`, `mean(-1)`,
`all(-1)`, `any(-1)`, `argmin(-1)`, `clip`, `reshape` and `.T`, and the functions below.
"""

from typing import Any, TypeAlias

import numpy as np
import torch

Array: TypeAlias = Any  # a numpy array or a torch tensor, whichever the physics at hand has


def join(*parts: Array) -> Array:
    """Parts [N, a], [N, b], ... side by side: [N, a + b + ...]."""
    return _namespace(parts[0]).concatenate(parts, -1)


def sin(x: Array) -> Array:
    """sin x."""
    return _namespace(x).sin(x)


def cos(x: Array) -> Array:
    """cos x."""
    return _namespace(x).cos(x)


def angle(y: Array, x: Array) -> Array:
    """The angle of the point (x, y) from the x axis, in radians."""
    return _namespace(y).arctan2(y, x)


def exp(x: Array) -> Array:
    """e to the x."""
    return _namespace(x).exp(x)


def log1p(x: Array) -> Array:
    """The natural logarithm of 1 + x."""
    return _namespace(x).log1p(x)


def where(condition: Array, yes: Array, no: Array) -> Array:
    """yes where the condition holds, else no; either may be a number."""
    return _namespace(condition).where(condition, yes, no)


def stack(*parts: Array) -> Array:
    """Parts [N] as columns: [N, number of parts]."""
    return _namespace(parts[0]).stack(parts, -1)


def within(x: Array, between: tuple[float, float]) -> Array:
    """Whether x is between two numbers, and neither of them."""
    low, high = between
    return (x > low) & (x < high)


def least(x: Array) -> Array:
    """The smallest number along the last dimension: [N, a] to [N]."""
    return x.min(-1) if isinstance(x, np.ndarray) else x.amin(-1)


def norm(x: Array) -> Array:
    """Euclidean norm over the last dimension: [N, a] to [N]."""
    return (x**2).sum(-1) ** 0.5


def _namespace(x: Array) -> Any:
    return np if isinstance(x, np.ndarray) else torch
