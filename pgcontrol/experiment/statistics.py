"""Statistics over seeds: a run is one draw, so intervals resample runs, never episodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from pgcontrol.runs.log import short

RESAMPLES = 10_000
LEVEL = 0.95


class Interval(NamedTuple):
    """An estimate and the bounds of its bootstrap interval."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{short(self.estimate)} ({short(self.low)} … {short(self.high)})"


def iqm(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    """Interquartile mean: the mean of the middle half (Agarwal et al. 2021, arXiv 2108.13264, section 4.3).

    Of fewer than four scores nothing can be cut off, and it is the mean.
    """
    return np.asarray(stats.trim_mean(scores, 0.25, axis=axis))


def iqm_interval(scores: Sequence[float] | np.ndarray) -> Interval:
    """IQM of one score a seed, with its percentile bootstrap interval; resamples come from a fixed seed.

    Args:
        scores: [n].

    Raises:
        ValueError: no scores.
    """
    scores = np.asarray(scores, float)
    if not scores.size:
        raise ValueError("no scores")
    resamples = np.random.default_rng(0).choice(scores, (RESAMPLES, len(scores)))
    return Interval(float(iqm(scores)), *_bounds(iqm(resamples)))


def iqm_band(curves: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pointwise IQM over seeds of curves [n, P], and its bootstrap bounds: three arrays [P]."""
    picks = np.random.default_rng(0).integers(len(curves), size=(2_000, len(curves)))
    resampled = iqm(curves[picks], axis=1)
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return iqm(curves, axis=0), low, high


def probability_of_improvement(scores: Sequence[float], baseline: Sequence[float]) -> Interval:
    """P(a run of ours beats a run of the baseline), ties counted half (Agarwal et al. 2021, section 4.3).

    Both samples are resampled.
    """
    x, y = np.asarray(scores, float), np.asarray(baseline, float)
    rng = np.random.default_rng(0)
    # wins[i, j] of every pair; a resample picks rows and columns
    wins = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
    rows = rng.integers(len(x), size=(RESAMPLES, len(x)))
    columns = rng.integers(len(y), size=(RESAMPLES, len(y)))
    resamples = wins[rows[:, :, None], columns[:, None, :]].mean((1, 2))
    return Interval(float(wins.mean()), *_bounds(resamples))


def _bounds(resamples: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(resamples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
