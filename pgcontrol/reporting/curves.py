"""Curves of an arm over its runs: their IQM, its band, and the number of runs."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from pgcontrol.charts.lines import Line
from pgcontrol.measures.curves import RETURN
from pgcontrol.measures.statistics import iqm_band
from pgcontrol.reporting.queries import CHART_POINTS, Queries, seconds, steps
from pgcontrol.sweep.row import Row
from pgcontrol.text import count


class Seeds(NamedTuple):
    """The number of runs of an arm on a task.

    Attributes:
        drawn: the runs that have the metric that is drawn.
    """

    drawn: int
    all: int

    def words(self, thing: str = "seed") -> str:
        """As text: 5 seeds, or 3 of 5 seeds."""
        return (f"{self.drawn} of " if self.drawn < self.all else "") + count(self.all, thing)


def alone(seeds: Sequence[Seeds]) -> bool:
    """Whether no task has a second run, so that there is no interval."""
    return all(n.drawn == 1 for n in seeds)


class Curve(NamedTuple):
    """The IQM of an arm with its bootstrap band; without a band if the seeds are `alone`.

    Attributes:
        seeds: one entry per task.
    """

    line: Line
    seeds: list[Seeds]


@lru_cache(maxsize=256)
def over_steps(queries: Queries, env: str, metric: str) -> list[Curve]:
    """A metric of the log over environment steps, for each arm that has it."""
    return _over(queries, env, metric, dict.fromkeys(queries.arms(env), queries.grid(queries.on(env))))


def over_time(queries: Queries, env: str) -> list[Curve]:
    """The return over seconds of training, up to the median duration of an arm's runs."""
    ends = {arm: np.median([row.seconds for row in queries.of(env, arm)]) for arm in queries.arms(env)}
    return _over(queries, env, RETURN, {arm: np.linspace(0, end, CHART_POINTS) for arm, end in ends.items()}, seconds)


def _over(
    queries: Queries, env: str, metric: str, grids: dict[str, np.ndarray], at: Callable[[Row], np.ndarray] = steps
) -> list[Curve]:
    """A metric of each arm that has it, over the arm's grid in the coordinate `at`."""
    found = [(arm, x, queries.curves(queries.of(env, arm), metric, x, at)) for arm, x in grids.items()]
    return [_curve(queries, arm, x, {env: runs}) for arm, x, runs in found if len(runs)]


def over_budgets(queries: Queries) -> list[Curve]:
    """The normalised return over the share of each task's budget, for each arm with a return on every task."""
    shares, found = np.linspace(0, 1, CHART_POINTS), []
    grids = {env: shares * max(row.budget for row in queries.on(env)) for env in queries.envs()}
    for arm in queries.arms():
        runs = {env: queries.curves(queries.of(env, arm), RETURN, grid) for env, grid in grids.items()}
        if all(map(len, runs.values())):
            tasks = {env: queries.normalised(env, curves) for env, curves in runs.items()}
            found.append(_curve(queries, arm, shares, tasks))
    return found


def _curve(queries: Queries, arm: str, x: np.ndarray, tasks: dict[str, np.ndarray]) -> Curve:
    """The curve of an arm from its runs, [n, P] for each task."""
    seeds = [Seeds(len(runs), len(queries.of(env, arm))) for env, runs in tasks.items()]
    return curve(queries, arm, x, iqm_band(*tasks.values()), seeds)


def curve(queries: Queries, arm: str, x: np.ndarray, band: Sequence[np.ndarray], seeds: list[Seeds]) -> Curve:
    """The curve of an arm from its middle, lower and upper values, [P] each; no band if each task has one run."""
    middle, low, high = band
    bounds = (None, None) if alone(seeds) else (low, high)
    return Curve(Line(arm, queries.colour(arm), x, middle, *bounds), seeds)
