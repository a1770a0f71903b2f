"""The suite's shape of rewards: 1 within bounds, and falling off outside."""

from collections.abc import Callable
from math import inf, log, sqrt

from pgcontrol_envs.arrays import Array, exp

# how the value falls with the distance x >= 0 in units of the margin, given the value at x = 1
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
    """1 where low <= x <= high; else less, the more the farther: `at_margin` at that distance, 0 without a margin.

    Args:
        x: of any shape, which the answer has, too.
        low: may be -inf.
        high: may be inf.
        margin: 0 for an indicator.
        sigmoid: a name of SIGMOIDS.
        at_margin: below 1; above 0, but for linear and quadratic.
    """
    if not margin:
        return 1.0 * ((low <= x) & (x <= high))
    below, above = low - x, x - high
    off = above.clip(0, None) if low == -inf else below.clip(0, None)
    if high < inf and low > -inf:
        off = off + above.clip(0, None)
    return SIGMOIDS[sigmoid](off / margin, at_margin)


def small(control: Array) -> Array:
    """How little the controls [N, A] do: 1 for none, 0.8 for full ones."""
    return (4 + tolerance(control, margin=1, sigmoid="quadratic", at_margin=0).mean(-1)) / 5
