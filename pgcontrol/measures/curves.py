"""Curves in a log: a metric over steps, each joint's spread, and what of a curve is more than noise."""

from collections.abc import Sequence
from typing import Any

import numpy as np

LogRows = Sequence[dict[str, Any]]
STEPS, RETURN, KL, ROUTES = "time/total_timesteps", "rollout/ep_rew_mean", "train/kl", "health/route_entropy"
BAD, OUTLIERS = "rollout/quarantined", "rollout/outliers"


def column(rows: LogRows, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values [n] of the rows that have the metric."""
    found = [(row[STEPS], row[name]) for row in rows if row.get(name) is not None]
    steps, values = zip(*found, strict=True) if found else ((), ())
    return np.array(steps, float), np.array(values, float)


def spreads(rows: LogRows) -> tuple[np.ndarray, np.ndarray]:
    """Steps [n] and each joint's spread [n, A], in half-ranges, at the states that were visited then.

    Not at those of the first rollout: where a policy no longer goes, its mean drifts out of the bounds, and what is
    clipped has no spread.
    """
    name = "health/visited_spread_joint"
    measured = [row for row in rows if row.get(f"{name}0") is not None]
    joints = len([key for key in measured[0] if key.startswith(name)]) if measured else 0
    each = [[row[f"{name}{j}"] for j in range(joints)] for row in measured]
    return np.array([row[STEPS] for row in measured], float), np.array(each, float).reshape(len(measured), joints)


def smooth(values: np.ndarray) -> np.ndarray:
    """Each value as the mean of the twentieth of the run that ends with it."""
    window = max(1, len(values) // 20)
    return np.array([values[max(0, last - window) : last].mean() for last in range(1, len(values) + 1)])


def counts(returns: np.ndarray, rising: float) -> float:
    """The least change of the return that counts: this share of all it did, and more than its noise."""
    return max(rising * float(np.ptp(returns)), 3 * noise(returns))


def noise(returns: np.ndarray) -> float:
    """What a curve moves between neighbouring rows by chance: the median absolute change, as a deviation."""
    return float(1.48 * np.median(np.abs(np.diff(returns)))) if len(returns) > 1 else 0.0
