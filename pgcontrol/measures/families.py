"""A family of comparisons with a baseline: exact tests that are corrected for their number, and joint intervals.

A comparison asks by which share of the baseline's score an arm scores more, on one task or on several tasks together.
All answers follow from the shares of pairs, see `Shares`. Where arm and baseline are independent samples, the test is
that of Mann and Whitney (1947). Where they are paired by seed, it is Wilcoxon's signed-rank test (1945). Over several
tasks the statistics are summed (van Elteren 1960, with equal weights), and the distribution of the sum is exact.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from pgcontrol.measures.statistics import LEVEL, Interval, Pair, iqm, ways

POWER = 0.8  # the probability with which enough seeds tell a difference of the margin apart
BETTER, WORSE, EQUAL, OPEN = "settled better", "settled worse", "settled equal", "not settled"


Tasks = Sequence[Pair]  # the scores of an arm and of the baseline, for each task of a comparison


@functools.lru_cache
def chances(n: int, m: int, paired: bool) -> np.ndarray:
    """P(k pairs are won) for k = 0 ... N, [N + 1], if arm and baseline have the same distribution.

    Args:
        n: number of runs of the arm.
        m: number of runs of the baseline; the same number if they are paired.
        paired: then N = n (n + 1) / 2, otherwise N = n m.
    """
    every = ways(np.arange(1, n + 1 if paired else n + m + 1))
    least = 0 if paired else n * (n + 1) // 2  # the smallest sum of n ranks
    found = every.sum(0) if paired else every[n, least : least + n * m + 1]
    return found / found.sum()


@dataclass(frozen=True)
class Shares:
    """The differences between an arm and the baseline for all pairs, as shares of the baseline's score.

    A pair is a run of the arm and a run of the baseline on the same task. If runs are paired by seed, a pair compares
    the mean of two seeds (possibly the same one twice) of the arm with that of the baseline. The number of pairs won is
    then the signed-rank statistic (Tukey 1949). That an arm scores a share s more means that its scores are distributed
    like y + s |y| with the baseline's scores y.

    Attributes:
        ordered: [N], increasing.
        tail: P(at least k pairs are won) for k = 0 ... N, if arm and baseline have the same distribution.
    """

    ordered: np.ndarray
    tail: np.ndarray

    @classmethod
    def of(cls, tasks: Tasks, paired: bool) -> "Shares":
        """The shares of the scores of an arm and of the baseline, which are in the same order if they are paired."""
        probability = functools.reduce(np.convolve, (chances(len(x), len(y), paired) for x, y in tasks))
        ordered = np.sort(np.concatenate([_shares(pair, paired) for pair in tasks]))
        return cls(ordered, probability[::-1].cumsum()[::-1])

    def more(self, than: float) -> float:
        """The exact one-sided p-value for an arm that scores more than a share more. Ties count against the claim."""
        return float(self.tail[len(self.ordered) - np.searchsorted(self.ordered, than, "right")])

    def less(self, than: float) -> float:
        """The exact one-sided p-value for an arm that scores less than that. Ties count against the claim."""
        return float(self.tail[np.searchsorted(self.ordered, than, "left")])

    def different(self) -> float:
        """The exact two-sided p-value for a difference."""
        return min(1.0, 2 * min(self.more(0), self.less(0)))

    def equal(self, margin: float) -> float:
        """The p-value for a difference smaller than a margin: two one-sided tests (Schuirmann 1987)."""
        return max(self.more(-margin), self.less(margin))

    @property
    def median(self) -> float:
        """The median of the shares of all pairs (Hodges and Lehmann 1963)."""
        return float(np.median(self.ordered))

    def bounds(self, error: float) -> tuple[float, float]:
        """The smallest and the largest share that two one-sided tests at this level do not reject; maybe infinite."""
        beyond = np.flatnonzero(self.tail <= error)  # so many pairs won are significant
        if not len(beyond):
            return -math.inf, math.inf
        return float(self.ordered[-beyond[0]]), float(self.ordered[beyond[0] - 1])


def _shares(pair: Pair, paired: bool) -> np.ndarray:
    x, y = (np.asarray(scores, float) for scores in pair)
    if not paired:
        return _share((x[:, None] - y).ravel(), np.tile(y, len(x)))
    i, j = np.triu_indices(len(x))
    return _share((x[i] + x[j] - y[i] - y[j]) / 2, (abs(y[i]) + abs(y[j])) / 2)


def _share(ahead: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """`ahead` as a share of |unit|; infinite if that is 0, unless `ahead` is 0, too."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(ahead == 0, 0.0, ahead / np.abs(unit))


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected p-values (Holm 1979): those at most α are wrong with a probability of at most α for all together."""
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    return corrected.tolist()


def least_seeds(of: int, paired: bool, tasks: int = 1) -> int:
    """The number of seeds per arm with which one of `of` comparisons can be significant at all: if each pair is won."""
    most = (1 - LEVEL) / of
    n = 1
    while 2 * (0.5**n if paired else 1 / math.comb(2 * n, n)) ** tasks > most:
        n += 1
    return n


def seeds_needed(tasks: Tasks, margin: float, of: int, paired: bool) -> float:
    """The number of seeds per arm that tells a difference of the margin apart with probability `POWER`.

    For normal scores, a t-test needs d (z₁₋α⁄₂ + z₁₋β)² + z₁₋α⁄₂² / 4 seeds per arm, or with paired seeds as many plus
    z₁₋α⁄₂² / 4 (Guenther 1981, The American Statistician 35, p. 243), with z the quantiles of the normal distribution,
    α = 5 % / `of`, β = 1 − `POWER`, and d the variance of a difference between a run of the arm and one of the baseline
    in squared margins. Tests of ranks need π / 3 times as many (Lehmann 1975, Nonparametrics, section 2.4). Over T
    tasks, z₁₋α⁄₂² is divided by T, and d is 1 / (T r²), where r is the mean of 1 / √d over the tasks: the expectation
    of a sum of ranks grows with each task's margin in standard deviations.

    Args:
        tasks: the scores of an arm and of the baseline, for each task.
        margin: share of the baseline's IQM on each task.
        of: number of comparisons of the family.
        paired: whether runs are paired by seed.

    Returns:
        At least `least_seeds`; infinite if the margin is 0 because the baseline's IQM is; NaN if one side has fewer
        than two runs.
    """
    if min(len(scores) for pair in tasks for scores in pair) < 2:
        return math.nan
    deviations = [_margin_in_deviations(pair, margin, paired) for pair in tasks]
    if not any(deviations):
        return math.inf
    normal, count = NormalDist(), len(tasks)
    sure, often = normal.inv_cdf(1 - (1 - LEVEL) / of / 2), normal.inv_cdf(POWER)
    needed = ((sure + often) / np.mean(deviations)) ** 2 / count + sure**2 / (2 if paired else 4) / count
    return max(least_seeds(of, paired, count), math.ceil(needed * math.pi / 3))


def _margin_in_deviations(pair: Pair, margin: float, paired: bool) -> float:
    """The margin on a task, in standard deviations of the difference between a run of the arm and of the baseline."""
    x, y = (np.asarray(scores, float) for scores in pair)
    variance = (x - y).var(ddof=1) if paired else x.var(ddof=1) + y.var(ddof=1)
    return float(_share(np.array(margin * abs(float(iqm(y)))), np.sqrt(variance)))


class Compared(NamedTuple):
    """A comparison of an arm with the baseline.

    Attributes:
        tasks: the scores of the arm and of the baseline, for each task.
        shares: the differences of their pairs.
        different: corrected p-value for a difference.
        equal: corrected p-value for a difference smaller than the margin.
        of: number of comparisons of the family.
    """

    tasks: Tasks
    shares: Shares
    different: float
    equal: float
    of: int

    @property
    def word(self) -> str:
        """BETTER, WORSE, EQUAL or OPEN; EQUAL also where a difference smaller than the margin is significant."""
        if self.equal <= 1 - LEVEL:
            return EQUAL
        if self.different <= 1 - LEVEL:
            return BETTER if self.shares.more(0) < self.shares.less(0) else WORSE
        return OPEN

    @property
    def bounds(self) -> tuple[float, float]:
        """Bounds of the difference, as a share of the baseline's score; infinite if there are too few seeds for them.

        Those of all comparisons of the family hold jointly with 95 % (Bonferroni).
        """
        return self.shares.bounds((1 - LEVEL) / self.of / 2)

    @property
    def effect(self) -> Interval:
        """IQM of the arm minus IQM of the baseline, as a share of the latter, with `bounds`.

        Over several tasks: the median of the shares, because on one task a share may be many times as large as on the
        others.
        """
        if len(self.tasks) > 1:
            return Interval(self.shares.median, *self.bounds)
        return Interval(_of_task(self.tasks[0]), *self.bounds)


def _of_task(pair: Pair) -> float:
    """IQM of the arm minus IQM of the baseline, as a share of the latter."""
    x, y = (iqm(np.asarray(scores, float)) for scores in pair)
    return float(_share(x - y, y))


def compare(asked: Sequence[Tasks | None], margin: float, paired: bool) -> list[Compared | None]:
    """The comparisons of a family. Differences and equalities are corrected by Holm's method, each for their number.

    A comparison is not equal if the IQMs differ by the margin or more on any task: over several tasks the tests are
    about the median of the shares, which may be 0 although the arm is much worse on one task.

    Args:
        asked: the scores of each comparison, for each of its tasks; None: some have no run yet. It counts all the
            same, so that what is settled stays settled when its runs are there.
        margin: a difference that is smaller does not matter, as a share of the baseline's score.
        paired: whether the scores of arm and baseline are paired by seed, in the same order.
    """
    found = [Shares.of(tasks, paired) if tasks else None for tasks in asked]
    different = holm([shares.different() if shares else 1.0 for shares in found])
    alike = [tasks is not None and all(abs(_of_task(pair)) < margin for pair in tasks) for tasks in asked]
    equal = holm([shares.equal(margin) if shares and near else 1.0 for shares, near in zip(found, alike, strict=True)])
    return [
        Compared(tasks, shares, p, q, len(asked)) if tasks and shares else None
        for tasks, shares, p, q in zip(asked, found, different, equal, strict=True)
    ]
