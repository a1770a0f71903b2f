"""The suite's reward function: 1 within bounds, and decreasing outside."""

from collections.abc import Callable
from math import inf, log, sqrt

from pgcontrol_envs.arrays import Array, exp

# value as a function of the distance x >= 0 in units of the margin, given the value at x = 1
SIGMOIDS: dict[str, Callable[[Array, float], Array]] = {
    "gaussian": lambda x, at_margin: exp(log(at_margin) * x**2),
    "linear": lambda x, at_margin: (1 - (1 - at_margin) * x).clip(0, None),
    "quadratic": lambda x, at_margin: (1 - (1 - at_margin) * x**2).clip(0, None),
    "long_tail": lambda x, at_margin: 1 / ((x * sqrt(1 / at_margin - 1)) ** 2 + 1),
}


def tolerance(
    x: Array,
    low: float = 0.0,
    high: float = 0.0,
    margin: float = 0.0,
    sigmoid: str = "gaussian",
    at_margin: float = 0.1,
) -> Array:
    """1 if low <= x <= high; outside it decreases to `at_margin` at the distance `margin`, or is 0 without a margin.

    Args:
        x: any shape; the result has the same shape.
        low: may be -inf.
        high: may be inf.
        margin: 0 for an indicator function.
        sigmoid: a name in SIGMOIDS.
        at_margin: below 1, and above 0 except for linear and quadratic.
    """
    if not margin:
        return 1.0 * ((low <= x) & (x <= high))
    below, above = low - x, x - high
    off = above.clip(0, None) if low == -inf else below.clip(0, None)
    if high < inf and low > -inf:
        off = off + above.clip(0, None)
    return SIGMOIDS[sigmoid](off / margin, at_margin)


def small(control: Array) -> Array:
    """A factor for small controls [N, A]: 1 for zero, 0.8 for full controls."""
    return (4 + tolerance(control, margin=1, sigmoid="quadratic", at_margin=0).mean(-1)) / 5
