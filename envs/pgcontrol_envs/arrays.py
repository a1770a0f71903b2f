"""Array functions for tasks. Each of them works with NumPy and torch.

Gymnasium computes with NumPy. Our tasks do the same, so that results agree to the last bit; for a few hundred numbers,
a NumPy operation also costs a third of a torch operation. With MuJoCo Warp, arrays are torch tensors on a device. So,
except in `reset`, the tasks of this package only use what both libraries have: operators, indexing,
the methods `sum(-1)`, `mean(-1)`, `all(-1)`, `any(-1)`, `argmin(-1)`, `clip`, `reshape` and `.T`, and these functions.
"""

from typing import Any, TypeAlias

import numpy as np
import torch

Array: TypeAlias = Any  # a NumPy array or a torch tensor, depending on the physics


def join(*parts: Array) -> Array:
    """Concatenate [N, a], [N, b], ... along the last dimension: [N, a + b + ...]."""
    return _namespace(parts[0]).concatenate(parts, -1)


def sin(x: Array) -> Array:
    return _namespace(x).sin(x)


def cos(x: Array) -> Array:
    return _namespace(x).cos(x)


def angle(y: Array, x: Array) -> Array:
    """Angle of the point (x, y) from the x axis, in radians."""
    return _namespace(y).arctan2(y, x)


def exp(x: Array) -> Array:
    return _namespace(x).exp(x)


def log1p(x: Array) -> Array:
    return _namespace(x).log1p(x)


def where(condition: Array, yes: Array, no: Array) -> Array:
    """`yes` where the condition holds, else `no`; both may be scalars."""
    return _namespace(condition).where(condition, yes, no)


def stack(*parts: Array) -> Array:
    """Stack [N] arrays as columns: [N, number of parts]."""
    return _namespace(parts[0]).stack(parts, -1)


def within(x: Array, between: tuple[float, float]) -> Array:
    """Whether low < x < high."""
    low, high = between
    return (x > low) & (x < high)


def some(condition: Array) -> bool:
    """False if the condition is nowhere true. For a tensor always True: looking would wait for its device."""
    return not isinstance(condition, np.ndarray) or bool(condition.any())


def least(x: Array) -> Array:
    """The minimum over the last dimension: [N, a] to [N]."""
    return x.min(-1) if isinstance(x, np.ndarray) else x.amin(-1)


def norm(x: Array) -> Array:
    """The Euclidean norm over the last dimension: [N, a] to [N]."""
    return (x**2).sum(-1) ** 0.5


def _namespace(x: Array) -> Any:
    return np if isinstance(x, np.ndarray) else torch
