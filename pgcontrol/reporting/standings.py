"""How the arms of a task stand: what they score, and how sure it is that they are above or below the baseline."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from pgcontrol.measures import statistics
from pgcontrol.measures.statistics import LEVEL, Interval, Pair
from pgcontrol.reporting.queries import Queries
from pgcontrol.text import short


class Improvement(NamedTuple):
    """How likely a run of an arm beats one of the baseline, on a task or as the mean over several.

    Attributes:
        won: number of pairs (a run of the arm, one of the baseline) that the arm wins; a tie is half.
        pairs: all of them.
        p_value: of the exact two-sided Mann-Whitney test.
        alone: whether on every task one of the two has only one run.
    """

    interval: Interval
    won: float
    pairs: int
    p_value: float
    alone: bool

    @property
    def bounds(self) -> tuple[float, float] | tuple[None, None]:
        """Of the interval; None where there is no interval to speak of.

        Where all pairs are won or lost a bootstrap has nothing to resample, and that is no certainty; nor is what it
        makes of the other side's runs, where on every task a side has one run.
        """
        _, low, high = self.interval
        return (low, high) if low < high and not self.alone else (None, None)

    @property
    def clearly(self) -> int:
        """1 where the interval lies above one half, −1 below, and the exact test agrees; otherwise 0."""
        return 0 if self.p_value > 1 - LEVEL else (self.interval.low > 0.5) - (self.interval.high < 0.5)

    def __str__(self) -> str:
        """The interval, or, where there is none to speak of, how many pairs are won."""
        if None in self.bounds:
            return f"{short(self.interval.estimate)} ({self.won:g} of {self.pairs} pairs)"
        return str(self.interval)


def improvement(pairs: Sequence[Pair]) -> Improvement:
    """Of scores (ours, the baseline's) on one or several tasks."""
    interval, p_value = statistics.probability_of_improvement(pairs), statistics.mann_whitney(pairs)
    won = np.concatenate([statistics.pairs_won(*pair).ravel() for pair in pairs])
    return Improvement(interval, float(won.sum()), won.size, p_value, all(min(map(len, pair)) == 1 for pair in pairs))


class Standing(NamedTuple):
    """An arm on a task.

    Attributes:
        scores: one for each seed.
        score: their IQM; of one seed there is no interval.
        sampled: the same of the sampled policies; None where that was not measured.
        seeds: runs of the arm or of the baseline, whichever has fewer.
        ahead: how far it is ahead of the baseline; None for the baseline itself, or without one.
        better: how likely its runs beat the baseline's; None as for `ahead`.
    """

    arm: str
    scores: list[float]
    score: Interval
    sampled: float | None
    seeds: int
    ahead: Interval | None
    better: Improvement | None

    @property
    def worst(self) -> float:
        """The least score."""
        return min(self.scores)

    @property
    def quartile(self) -> float:
        """The lower quartile of the scores."""
        return float(np.quantile(self.scores, 0.25))

    @property
    def settled(self) -> int:
        """1 clearly above the baseline, −1 clearly below, 0 not told apart by these seeds.

        Bootstrap intervals of few seeds are too narrow: three against three, however far apart, are a matter of chance
        one time in ten, which the exact test knows.
        """
        if self.ahead is None or self.better is None:
            return 0
        return self.better.clearly if (self.ahead.low > 0) - (self.ahead.high < 0) == self.better.clearly else 0


class Precision(NamedTuple):
    """How much of an arm's scores on a task is the evaluation's own noise.

    Attributes:
        spread: deviation of the scores of its seeds.
        error: standard error of a score over its episodes, root mean square over the seeds.
        episodes: that a score was made by.
    """

    spread: float
    error: float
    episodes: int

    @property
    def enough(self) -> float:
        """How many episodes would bring the error under `statistics.SHARE` of the spread; see `statistics.enough`."""
        return statistics.enough(self.spread, self.error, self.episodes)


def noise(queries: Queries, env: str, arm: str) -> Precision | None:
    """Of the runs whose score has a standard error; None where there are not two of them."""
    rows = [(row.score, row.error, row.episodes) for row in queries.of(env, arm) if row.error is not None]
    if len(rows) < 2:
        return None
    scores, errors, episodes = (np.array(column, float) for column in zip(*rows, strict=True))
    return Precision(float(scores.std(ddof=1)), float(np.sqrt((errors**2).mean())), int(episodes.min()))


@lru_cache(maxsize=256)
def standing(queries: Queries, env: str, arm: str) -> Standing:
    """How an arm stands that has a run of the task."""
    scores = queries.scores(env, arm)
    sampled = [row.sampled for row in queries.of(env, arm) if row.sampled is not None]
    rival = queries.scores(env, queries.sweep.baseline) if arm != queries.sweep.baseline else []
    of_samples = float(statistics.iqm(np.array(sampled))) if sampled else None
    seeds = min(len(scores), len(rival or scores))
    against = (statistics.difference(scores, rival), improvement([(scores, rival)])) if rival else (None, None)
    return Standing(arm, scores, statistics.iqm_interval(scores), of_samples, seeds, *against)


def standings(queries: Queries, env: str) -> list[Standing]:
    """The arms of a task, best first."""
    return sorted((standing(queries, env, arm) for arm in queries.arms(env)), key=lambda s: -s.score.estimate)
