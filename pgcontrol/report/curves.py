"""Curves of an arm over its runs: their IQM, its band, and how many runs that is of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pgcontrol.measures.statistics import iqm_band
from pgcontrol.measures.verdicts import RETURN
from pgcontrol.report.queries import CHART_POINTS, Study
from pgcontrol.text import count


class Seeds(NamedTuple):
    """Of an arm, on a task."""

    drawn: int
    """Runs that know what is drawn."""
    all: int
    """Runs there are."""

    def told(self, thing: str = "seed") -> str:
        """5 seeds, or 3 of 5 seeds."""
        return (f"{self.drawn} of " if self.drawn < self.all else "") + count(self.all, thing)


def alone(seeds: Sequence[Seeds]) -> bool:
    """Whether no task has a second run: there is nothing to resample, so no interval."""
    return all(n.drawn == 1 for n in seeds)


class Curve(NamedTuple):
    """An arm's, over points that all arms share."""

    arm: str
    x: np.ndarray
    """[P]."""
    middle: np.ndarray
    """IQM, [P]."""
    low: np.ndarray | None
    """Of the bootstrap band, [P]; None where a seed is `alone`."""
    high: np.ndarray | None
    seeds: list[Seeds]
    """One a task."""


def over_steps(study: Study, env: str, metric: str) -> list[Curve]:
    """A metric of the log over environment steps, of each arm that has a run which knows of it."""
    grid = study.grid(row for arm in study.arms(env) for row in study.of(env, arm))
    found = {arm: study.curves(study.of(env, arm), metric, grid) for arm in study.arms(env)}
    return [_curve(study, arm, grid, {env: runs}) for arm, runs in found.items() if len(runs)]


def over_time(study: Study, env: str) -> list[Curve]:
    """The return over seconds of training, up to the end of an arm's median run."""
    found = {arm: study.over_time(study.of(env, arm)) for arm in study.arms(env)}
    return [_curve(study, arm, grid, {env: runs}) for arm, (grid, runs) in found.items() if len(runs)]


def over_budgets(study: Study) -> list[Curve]:
    """The normalised return over shares of each task's budget, of each arm that has a return on every task."""
    shares, envs, found = np.linspace(0, 1, CHART_POINTS), study.envs(), []
    for arm in study.arms():
        runs = {env: study.curves(study.of(env, arm), RETURN, shares * budget(study, env)) for env in envs}
        if all(map(len, runs.values())):
            tasks = {env: study.normalised(env, curves) for env, curves in runs.items()}
            found.append(_curve(study, arm, shares, tasks))
    return found


def budget(study: Study, env: str) -> int:
    """Steps that the runs of a task were to take, at the most; of rows that do not tell, those that they took."""
    return max(row.budget for arm in study.arms(env) for row in study.of(env, arm))


def _curve(study: Study, arm: str, x: np.ndarray, tasks: dict[str, np.ndarray]) -> Curve:
    """Of an arm's runs, [n, P] of each task."""
    middle, low, high = iqm_band(*tasks.values())
    seeds = [Seeds(len(runs), len(study.of(env, arm))) for env, runs in tasks.items()]
    return Curve(arm, x, middle, *((None, None) if alone(seeds) else (low, high)), seeds)
