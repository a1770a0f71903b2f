"""Statistics over seeds. A run is one sample, so intervals resample runs, never episodes."""

import itertools
import math
import warnings
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import scipy  # its modules are imported when first used, so that commands which need none start faster

from pgcontrol.text import short

RESAMPLES = 10_000
CURVE_RESAMPLES = 2_000  # at each of many points of a curve
LEVEL = 0.95
SHARE = 0.2  # of what seeds differ by: above it, the evaluation's own noise counts
BOUNDS = (1 - LEVEL) / 2, (1 + LEVEL) / 2
Scores = Sequence[float] | np.ndarray
Pair = tuple[Scores, Scores]  # scores on a task: of an arm, and of the baseline


class Interval(NamedTuple):
    """An estimate and the bounds of its interval."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{short(self.estimate)} ({short(self.low)} … {short(self.high)})"


def iqm(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    """Interquartile mean: the mean of the middle half (Agarwal et al. 2021, arXiv 2108.13264, section 4.3).

    With fewer than four scores nothing is cut off: it is the mean. It is NaN if a score is NaN.
    """
    scores = np.asarray(scores, float)
    unknown = np.isnan(scores)
    known, n = np.where(unknown, 0.0, scores), scores.shape[axis]
    cut = n // 4
    # the same numbers as SciPy's trim_mean, which takes 0.6 ms; a report has tens of thousands
    middle = [slice(None)] * known.ndim
    middle[axis] = slice(cut, n - cut)
    kept = np.partition(known, (cut, n - cut - 1), axis)[tuple(middle)]
    return np.where(unknown.any(axis), np.nan, kept.mean(axis))


def iqm_interval(scores: Sequence[float] | np.ndarray) -> Interval:
    """IQM of one score per seed, with its percentile bootstrap interval (fixed random seed).

    Args:
        scores: [n], n ≥ 1.
    """
    scores = np.asarray(scores, float)
    resamples = np.random.default_rng(0).choice(scores, (RESAMPLES, len(scores)))
    return Interval(float(iqm(scores)), *_bounds(iqm(resamples)))


def iqm_band(*tasks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pointwise IQM over the runs of all tasks, with stratified bootstrap bounds: three arrays [P].

    Args:
        tasks: curves [n, P] of each task. Each task is a stratum: its runs are resampled separately.
    """
    low, high = np.quantile(iqm(np.concatenate(_resampled(tasks), 1), axis=1), BOUNDS, axis=0)
    return iqm(np.concatenate(tasks), axis=0), low, high


def _resampled(tasks: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Resamples of the runs of each task, [n, P] -> [CURVE_RESAMPLES, n, P]."""
    rng = np.random.default_rng(0)
    return [runs[rng.integers(len(runs), size=(CURVE_RESAMPLES, len(runs)))] for runs in tasks]


def difference(scores: Sequence[float], baseline: Sequence[float]) -> Interval:
    """IQM of `scores` minus IQM of `baseline`, with an interval; both samples are resampled."""
    x, y, rng = np.asarray(scores, float), np.asarray(baseline, float), np.random.default_rng(0)
    resamples = iqm(rng.choice(x, (RESAMPLES, len(x)))) - iqm(rng.choice(y, (RESAMPLES, len(y))))
    return Interval(float(iqm(x) - iqm(y)), *_bounds(resamples))


def mean_interval(values: np.ndarray) -> Interval:
    """The mean of values [n] with its 95 % interval (Student's t), which is infinite for a single value."""
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, -math.inf, math.inf)
    if np.ptp(values) == 0:
        return Interval(mean, mean, mean)
    low, high = scipy.stats.t.interval(LEVEL, len(values) - 1, values.mean(), scipy.stats.sem(values))
    return Interval(mean, float(low), float(high))


def standard_error(values: np.ndarray) -> float | None:
    """The standard error of the mean of values [n]; None for a single value."""
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None


def enough(spread: float, error: float, episodes: int) -> float:
    """How many episodes would bring the standard error of a score under `SHARE` of the deviation between seeds.

    The error falls with the square root of the number of episodes. Infinite if seeds do not differ, but episodes do.

    Args:
        spread: deviation of the scores of an arm's seeds.
        error: standard error of a score.
        episodes: number of episodes behind a score.
    """
    if error == 0:
        return 1
    return math.ceil(round(episodes * (error / (SHARE * spread)) ** 2, 9)) if spread else math.inf


def share_interval(hits: Sequence[float] | np.ndarray) -> Interval:
    """The fraction of non-zero values, [n], with its 95 % interval (Wilson 1927)."""
    k = np.count_nonzero(hits)
    low, high = scipy.stats.binomtest(k, len(hits)).proportion_ci(LEVEL, "wilson")
    return Interval(k / len(hits), float(low), float(high))


def welch(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray, of: int = 1) -> float:
    """Half-width of the interval of a difference of means (Welch 1947); infinite for samples of fewer than two.

    95 %, or wide enough that `of` such intervals hold jointly with 95 % (Bonferroni).
    """
    if min(len(x), len(y)) < 2:
        return math.inf
    if np.ptp(x) == np.ptp(y) == 0:
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of scores that are equal to rounding
        low, high = scipy.stats.ttest_ind(x, y, equal_var=False).confidence_interval(1 - (1 - LEVEL) / of)
    return float(high - low) / 2


def pairs_won(scores: Scores, baseline: Scores) -> np.ndarray:
    """For every pair of an arm's run and a baseline's run: 1 if the arm's score is higher, 0.5 for a tie, [n, m]."""
    x, y = np.asarray(scores, float)[:, None], np.asarray(baseline, float)
    return (x > y) + 0.5 * (x == y)


def mann_whitney(pairs: Sequence[Pair]) -> float:
    """The exact two-sided p-value: how often equal distributions give samples that differ at least as much.

    Ties share their ranks, and are exact as well: all permutations of the scores within their task are counted.

    Args:
        pairs: (arm, baseline) of each task; the statistic is the one of `probability_of_improvement`.
    """
    sizes = [2 * len(x) * len(y) for x, y in pairs]
    unit = math.lcm(*sizes)  # integers, so that equal sums over tasks are equal
    dealt, seen = {0: 1.0}, 0
    for (x, y), size in zip(pairs, sizes, strict=True):
        lead, ways = _deals(np.asarray(x, float), np.asarray(y, float))
        seen += lead * (unit // size)
        grown: dict[int, float] = {}
        for (before, p), (lead, q) in itertools.product(dealt.items(), ways.items()):
            at = before + lead * (unit // size)
            grown[at] = grown.get(at, 0.0) + p * q
        dealt = grown
    return min(1.0, sum(p for lead, p in dealt.items() if abs(lead) >= abs(seen)))


def _deals(x: np.ndarray, y: np.ndarray) -> tuple[int, dict[int, float]]:
    """Pairs won minus pairs lost: the observed number, and the frequency of each number over all permutations."""
    n, both = len(x), np.concatenate([x, y])
    ranks = np.rint(2 * scipy.stats.rankdata(both)).astype(int)  # doubled, so that shared ranks are integers
    chosen = ways(ranks)[n]
    even = n * (len(both) + 1)  # the doubled sum of ranks if neither side leads
    share = chosen / chosen.sum()
    return int(ranks[:n].sum() - even), {int(s - even): float(share[s]) for s in np.flatnonzero(share)}


def ways(ranks: np.ndarray) -> np.ndarray:
    """The number of ways to choose k of some ranks with sum r, [k, r]; the ranks [n] are whole numbers."""
    found = np.zeros((len(ranks) + 1, ranks.sum() + 1))
    found[0, 0] = 1
    for rank in ranks:
        found[1:, rank:] += found[:-1, : found.shape[1] - rank].copy()
    return found


def probability_of_improvement(pairs: Sequence[Pair]) -> Interval:
    """P(a run of the arm beats a run of the baseline); ties count half (Agarwal et al. 2021, section 4.3).

    The mean over tasks; runs of both sides are resampled within their task.

    Args:
        pairs: (arm, baseline) of each task.
    """
    rng = np.random.default_rng(0)
    estimates, resamples = [], []
    for scores, baseline in pairs:
        wins = pairs_won(scores, baseline)  # a resample picks rows and columns
        rows, columns = (rng.integers(n, size=(RESAMPLES, n)) for n in wins.shape)
        estimates.append(wins.mean())
        resamples.append(wins[rows[:, :, None], columns[:, None, :]].mean((1, 2)))
    return Interval(float(np.mean(estimates)), *_bounds(np.mean(resamples, 0)))


def profile(tasks: Sequence[np.ndarray], thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Performance profile: the fraction of runs above each threshold, with its lower and upper bound, [P] each.

    Agarwal et al. 2021, section 4.2, equation 2; the mean over tasks, with runs resampled within their task.

    Args:
        tasks: scores [n] of each task, on one scale.
        thresholds: [P].
    """
    above = [np.asarray(scores)[:, None] > thresholds for scores in tasks]
    low, high = np.quantile(np.mean([runs.mean(1) for runs in _resampled(above)], 0), BOUNDS, axis=0)
    return np.mean([a.mean(0) for a in above], 0), low, high


def reached(x: np.ndarray, curve: np.ndarray, threshold: float) -> float | None:
    """The x at which a curve first reaches a threshold; None if it never does. NaN points are skipped.

    Linear interpolation from the last point below it, (x₀, y₀), to the first point at or above it, (x₁, y₁):
    x₀ + (x₁ − x₀) (threshold − y₀) / (y₁ − y₀). If the curve begins at the threshold, the result is its first x.
    The result is no more exact than the spacing of the points.

    Args:
        x: [P], increasing: steps or seconds.
        curve: [P], values at x.
        threshold: in units of the curve.
    """
    known = np.flatnonzero(np.isfinite(curve))
    there = known[curve[known] >= threshold]
    if not len(there):
        return None
    ends = known[known <= there[0]][-2:]
    return float(np.interp(threshold, curve[ends], x[ends]))


def _bounds(resamples: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(resamples, BOUNDS)
    return float(low), float(high)
