"""Curves in a log: a metric over steps, the spread of each joint, and which changes of a curve exceed its noise."""

from collections.abc import Sequence
from typing import Any

import numpy as np

LogRows = Sequence[dict[str, Any]]
STEPS, RETURN, KL, ROUTES = "time/total_timesteps", "rollout/ep_rew_mean", "train/kl", "health/route_entropy"
BAD, OUTLIERS = "rollout/quarantined", "rollout/outliers"
SPREAD = "health/visited_spread_joint"  # followed by the joint's number


def column(rows: LogRows, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values [n] of the rows that contain the metric."""
    found = [(row[STEPS], row[name]) for row in rows if row.get(name) is not None]
    steps, values = zip(*found, strict=True) if found else ((), ())
    return np.array(steps, float), np.array(values, float)


def height(x: np.ndarray, curve: np.ndarray, end: float) -> float:
    """The mean height of a curve from 0 to `end`: the area under it, divided by its length.

    Straight between the known points, constant before the first and after the last; NaN without any.

    Args:
        x: [P], increasing: steps or seconds.
        curve: [P], values at x; NaN is unknown.
        end: greater than 0.
    """
    known = np.isfinite(curve)
    if not known.any():
        return np.nan
    at = np.unique(np.concatenate([[0.0, end], x[known & (x < end)]]))
    return float(np.trapezoid(np.interp(at, x[known], curve[known]), at)) / end


def spreads(rows: LogRows) -> tuple[np.ndarray, np.ndarray]:
    """Steps [n] and the spread of each joint [n, A], in half-ranges, in the states visited at that time.

    The states of the first rollout would not do: where a policy no longer goes, its mean drifts out of the bounds, and
    clipped actions have no spread.
    """
    measured = [row for row in rows if row.get(f"{SPREAD}0") is not None]
    joints = len([key for key in measured[0] if key.startswith(SPREAD)]) if measured else 0
    each = [[row[f"{SPREAD}{j}"] for j in range(joints)] for row in measured]
    return np.array([row[STEPS] for row in measured], float), np.array(each, float).reshape(len(measured), joints)


def smooth(values: np.ndarray) -> np.ndarray:
    """The mean over the preceding twentieth of the run, for each value."""
    window = max(1, len(values) // 20)
    begin = [values[:last].mean() for last in range(1, min(window, len(values) + 1))]
    whole = np.lib.stride_tricks.sliding_window_view(values, window).mean(1) if len(values) else values
    return np.concatenate((begin, whole))


def counts(returns: np.ndarray, rising: float) -> float:
    """The smallest change of the return that counts: this fraction of its range, and more than its noise."""
    return max(rising * float(np.ptp(returns)), 3 * noise(returns))


def noise(returns: np.ndarray) -> float:
    """Random change of a curve between neighbouring rows: a standard deviation from the median absolute change."""
    return float(1.48 * np.median(np.abs(np.diff(returns)))) if len(returns) > 1 else 0.0
