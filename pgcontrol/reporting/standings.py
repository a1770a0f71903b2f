"""Standings of the arms on a task: their scores, and whether they differ significantly from the baseline."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from pgcontrol.measures import statistics
from pgcontrol.measures.statistics import LEVEL, Interval, Pair
from pgcontrol.reporting.queries import Queries
from pgcontrol.text import probability


class Improvement(NamedTuple):
    """P(better): the probability that a run scores higher than a run of the baseline; over several tasks their mean.

    Attributes:
        won: number of pairs (a run of the arm, a run of the baseline) that the arm wins; a tie counts half.
        pairs: number of all pairs.
        p_value: p-value of the exact two-sided Mann-Whitney test.
        alone: whether on every task the arm or the baseline has only one run.
    """

    interval: Interval
    won: float
    pairs: int
    p_value: float
    alone: bool

    @property
    def bounds(self) -> tuple[float, float] | tuple[None, None]:
        """The bounds of the interval; None if the bootstrap interval is meaningless.

        It is meaningless if all pairs are won or lost, because every resample is then the same, and if on every task
        one side has a single run.
        """
        _, low, high = self.interval
        return (low, high) if low < high and not self.alone else (None, None)

    @property
    def clearly(self) -> int:
        """1 if the interval lies above 0.5, −1 if below, provided that the exact test agrees; otherwise 0."""
        return 0 if self.p_value > 1 - LEVEL else (self.interval.low > 0.5) - (self.interval.high < 0.5)

    def __str__(self) -> str:
        """The estimate with its interval or, without a meaningful one, with the number of pairs won."""
        if None in self.bounds:
            return f"{probability(self.interval.estimate)} ({self.won:g} of {self.pairs} pairs)"
        estimate, low, high = map(probability, self.interval)
        return f"{estimate} ({low} … {high})"


def improvement(pairs: Sequence[Pair]) -> Improvement:
    """Improvement from pairs (the arm's scores, the baseline's scores) on one or several tasks."""
    interval, p_value = statistics.probability_of_improvement(pairs), statistics.mann_whitney(pairs)
    won = np.concatenate([statistics.pairs_won(*pair).ravel() for pair in pairs])
    return Improvement(interval, float(won.sum()), won.size, p_value, all(min(map(len, pair)) == 1 for pair in pairs))


class Standing(NamedTuple):
    """The standing of an arm on a task.

    Attributes:
        scores: one score per seed.
        score: IQM of the scores; with one seed there is no interval.
        sampled: IQM of the scores of the sampled policies; None if not measured.
        seeds: the number of runs of the arm or of the baseline, the smaller one.
        ahead: difference to the baseline; None for the baseline itself, or without a baseline.
        better: P(better); None as for `ahead`.
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
        """The lowest score."""
        return min(self.scores)

    @property
    def quartile(self) -> float:
        """The lower quartile of the scores."""
        return float(np.quantile(self.scores, 0.25))

    @property
    def even(self) -> bool:
        """Whether the lower quartile is at most a third of the IQM's size below the IQM."""
        return bool(self.quartile >= self.score.estimate - abs(self.score.estimate) / 3)

    @property
    def settled(self) -> int:
        """1 if significantly above the baseline, −1 if significantly below, otherwise 0.

        Bootstrap intervals of few seeds are too narrow: with three against three, even complete separation happens by
        chance one time in ten. The exact test accounts for that.
        """
        if self.ahead is None or self.better is None:
            return 0
        return self.better.clearly if (self.ahead.low > 0) - (self.ahead.high < 0) == self.better.clearly else 0


class Precision(NamedTuple):
    """How noisy the evaluation of an arm on a task is.

    Attributes:
        spread: standard deviation of the scores between seeds.
        error: standard error of a score over its episodes, root mean square over the seeds.
        episodes: number of episodes per score.
    """

    spread: float
    error: float
    episodes: int

    @property
    def enough(self) -> float:
        """Number of episodes that brings the error under `statistics.SHARE` of the spread; see `statistics.enough`."""
        return statistics.enough(self.spread, self.error, self.episodes)


def noise(queries: Queries, env: str, arm: str) -> Precision | None:
    """Precision from the runs whose score has a standard error; None if there are fewer than two."""
    rows = [(row.score, row.error, row.episodes) for row in queries.of(env, arm) if row.error is not None]
    if len(rows) < 2:
        return None
    scores, errors, episodes = (np.array(column, float) for column in zip(*rows, strict=True))
    return Precision(float(scores.std(ddof=1)), float(np.sqrt((errors**2).mean())), int(episodes.min()))


@lru_cache(maxsize=256)
def standing(queries: Queries, env: str, arm: str) -> Standing:
    """The standing of an arm that has a run on the task."""
    scores = queries.scores(env, arm)
    sampled = [row.sampled for row in queries.of(env, arm) if row.sampled is not None]
    rival = queries.scores(env, queries.sweep.baseline) if arm != queries.sweep.baseline else []
    of_samples = float(statistics.iqm(np.array(sampled))) if sampled else None
    seeds = min(len(scores), len(rival or scores))
    against = (statistics.difference(scores, rival), improvement([(scores, rival)])) if rival else (None, None)
    return Standing(arm, scores, statistics.iqm_interval(scores), of_samples, seeds, *against)


def standings(queries: Queries, env: str) -> list[Standing]:
    """The standings of the arms of a task, best first."""
    return sorted((standing(queries, env, arm) for arm in queries.arms(env)), key=lambda s: -s.score.estimate)
