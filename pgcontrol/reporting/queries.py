"""The rows of a sweep, asked in the ways that tables, charts and sentences ask."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pgcontrol.arguments import EVALUATION_SEED
from pgcontrol.charts.chart import hue
from pgcontrol.measures.collapse import Onset, onset
from pgcontrol.measures.curves import RETURN
from pgcontrol.measures.returns import Reach, standstill
from pgcontrol.measures.statistics import Pair, iqm, reached
from pgcontrol.measures.verdicts import Limits
from pgcontrol.sweep import trials
from pgcontrol.sweep.row import Row
from pgcontrol.sweep.sweep import Key, Sweep
from pgcontrol.sweep.trials import TrialRow
from pgcontrol.text import count

CHART_POINTS = 60  # points of a curve in a chart
SHARE = 0.8  # the threshold, where the YAML names none: this share of the way from the first return to the baseline's


class Reaches(NamedTuple):
    """When each run of an arm reached a goal: infinite, and so the last in a median, for one that never did."""

    steps: list[float]
    seconds: list[float]

    @property
    def reached(self) -> int:
        """How many did."""
        return int(np.isfinite(self.steps).sum())

    @property
    def medians(self) -> tuple[float, float]:
        """Of the steps and of the seconds."""
        return float(np.median(self.steps)), float(np.median(self.seconds))


class Goal(NamedTuple):
    """A return to be reached, and in words why that one."""

    value: float
    why: str


def steps(row: Row) -> np.ndarray:
    """Steps at the points of a row's curves, [P]."""
    return np.array(row.points, float)


def seconds(row: Row) -> np.ndarray:
    """Wall time at the points of a row's curves, [P]; evenly over the steps for rows that did not keep it."""
    kept = _values(row.curves.get("time/time_elapsed"))
    return kept if len(kept) and np.isfinite(kept).all() else steps(row) / row.points[-1] * row.seconds


@dataclass(frozen=True, eq=False)
class Queries:
    """A sweep and the rows there are: one object a report, so that answers can be kept for it.

    Attributes:
        where: folder of the run folders; need not exist.
    """

    sweep: Sweep
    rows: Mapping[Key, Row]
    where: Path = Path("runs")

    @functools.cached_property
    def trials(self) -> list[TrialRow]:
        """Of the sweep's search, those that answer it as it is asked now; none where there is no search."""
        asked = self.sweep.search
        kept = trials.read(trials.file_of(self.sweep.path)) if asked else []
        return [row for row in kept if asked and asked.asks(row.arm, row.search)]

    @functools.cached_property
    def scoring(self) -> str:
        """By which episodes the rows were scored, in words; all in the same way, see `results.reported`."""
        if any(row.evaluation_seed is None for row in self.rows.values()):
            older = "rows from before start states were common to all runs, not to be compared with newer ones"
            return f"in the run's last evaluation, from start states of its own ({older})"
        episodes = max((row.episodes or 0 for row in self.rows.values()), default=0)
        return f"over {count(episodes, 'episode')} from start states common to all runs (seed {EVALUATION_SEED})"

    def envs(self) -> list[str]:
        """Tasks with results, in the file's order."""
        return [env for env in self.sweep.envs() if self.on(env)]

    def arms(self, env: str | None = None) -> list[str]:
        """Arms with results, the baseline first; of one task, or of any."""
        there = {arm for e, arm, _ in self.rows if env in (None, e)}
        return [arm for arm in self.sweep.arms() if arm in there]

    def of(self, env: str, arm: str | None) -> list[Row]:
        """The rows of a task and an arm, by seed."""
        return [row for key, row in sorted(self.rows.items()) if key[:2] == (env, arm)]

    def on(self, env: str) -> list[Row]:
        """The rows of a task."""
        return [row for row in self.rows.values() if row.env == env]

    def scores(self, env: str, arm: str | None) -> list[float]:
        """What those runs are judged by, one number a seed."""
        return [row.score for row in self.of(env, arm)]

    def rate(self, env: str, arm: str) -> float:
        """Steps a second of the median run."""
        return float(np.median([row.steps / row.seconds for row in self.of(env, arm)]))

    def pairs(self, arm: str, envs: Iterable[str]) -> list[Pair]:
        """An arm's scores and the baseline's, on each of the tasks that has both."""
        found = [(self.scores(env, arm), self.scores(env, self.sweep.baseline)) for env in envs]
        return [(ours, theirs) for ours, theirs in found if ours and theirs]

    def colour(self, arm: str) -> str:
        """Classes of the style sheet."""
        others = [a for a in self.sweep.arms() if a != self.sweep.baseline]
        return hue(others.index(arm)) if arm in others else "base"

    def grid(self, rows: Iterable[Row]) -> np.ndarray:
        """Common steps [CHART_POINTS] of several runs."""
        firsts, lasts = zip(*((row.points[0], row.points[-1]) for row in rows), strict=True)
        return np.linspace(min(firsts), max(lasts), CHART_POINTS)

    def curves(
        self, rows: Iterable[Row], metric: str, grid: np.ndarray, at: Callable[[Row], np.ndarray] = steps
    ) -> np.ndarray:
        """A metric of several runs on common steps, or other places `at` which its points are, [n, P].

        Unknown before a run's first known point, flat beyond its last. Runs that know nothing of it are left out.
        """
        found = []
        for row in rows:
            y = _values(row.curves.get(metric))
            if (known := np.isfinite(y)).any():
                found.append(np.interp(grid, at(row)[known], y[known], left=np.nan))
        return np.array(found).reshape(-1, len(grid))

    def first(self, env: str) -> float:
        """The return that training begins with: IQM over all runs of the task."""
        curves = [_values(row.curves.get(RETURN)) for row in self.on(env)]
        known = [curve[np.isfinite(curve)][0] for curve in curves if np.isfinite(curve).any()]
        return float(iqm(np.array(known))) if known else 0.0

    def whose(self, *envs: str) -> str:
        """The yardstick of some tasks, in words."""
        return _whose([self._yardstick(env, self._scored(env))[0] for env in envs])

    def one(self, env: str) -> float:
        """The score that counts as 1 on a task: the yardstick's IQM."""
        return self._yardstick(env, self._scored(env))[1]

    def normalised(self, env: str, scores: np.ndarray) -> np.ndarray:
        """Scores with the first return as 0 and `one` as 1; as −1 where not even the best arm gained anything."""
        first, one = self.first(env), self.one(env)
        return (np.asarray(scores, float) - first) / (abs(one - first) or 1.0)

    def reach(self, env: str) -> Reach | None:
        """What the best arm's training came to on a task, in the median; None where there is one run."""
        ends = {arm: [row.training for row in self.of(env, arm) if row.training is not None] for arm in self.arms(env)}
        medians = {arm: float(np.median(known)) for arm, known in ends.items() if known}
        if not medians or len(self.on(env)) < 2:
            return None
        best = max(medians, key=lambda arm: medians[arm])
        return Reach(medians[best], f"the median of {best}")

    def stuck(self, row: Row) -> bool:
        """Whether a run stands still far below the best arm; see `pgcontrol.measures.returns.standstill`."""
        reach, curve = self.reach(row.env), _values(row.curves.get(RETURN))
        known = np.isfinite(curve)
        if reach is None or known.sum() < 10:
            return False
        return standstill(steps(row)[known], curve[known], reach.value, Limits()) is not None

    def goal(self, env: str) -> Goal | None:
        """The threshold of a task: the YAML's, or a share of the way to where the yardstick's training ends.

        None where not even the best arm's training ended above the first return.
        """
        if env in self.sweep.thresholds:
            return Goal(float(self.sweep.thresholds[env]), "named in the YAML")
        first = self.first(env)
        ended = {arm: [row.training for row in self.of(env, arm) if row.training is not None] for arm in self.arms(env)}
        ends = {arm: float(iqm(np.array(known))) if known else -np.inf for arm, known in ended.items()}
        arm, end = self._yardstick(env, ends)
        why = f"{percent(SHARE)} of the way from the first return to {_whose([arm])} last"
        return Goal(first + SHARE * (end - first), why) if end > first else None

    def reaches(self, env: str, arm: str, goal: float) -> Reaches:
        """When the training return of an arm's runs first was at a goal, as finely as `statistics.reached` can say."""
        found = Reaches([], [])
        for row in self.of(env, arm):
            curve = _values(row.curves.get(RETURN))
            for times, at in zip(found, (steps(row), seconds(row)), strict=True):
                when = reached(at, curve, goal)
                times.append(np.inf if when is None else when)
        return found

    def spread(self, row: Row) -> tuple[np.ndarray, np.ndarray] | None:
        """Steps [n] and each joint's spread [n, A] of a run; None for rows that did not keep it."""
        kept = row.spread
        return (np.array(kept.steps, float), np.array(kept.joints, float).T) if kept else None

    def joints(self, env: str, count: int) -> list[str]:
        """Names of a task's first joints: of the row that has most of them, since older ones numbered some."""
        kept = [row.maps.joints for row in self.on(env) if row.maps and row.maps.joints]
        named = min(kept, key=lambda names: sum(name.startswith("joint ") for name in names), default=[])
        return [*named[:count], *(f"joint {j}" for j in range(len(named), count))]

    def sharp(self, row: Row) -> Onset | None:
        """From when on a run's narrowest joint stayed narrow, if it did; see `pgcontrol.measures.verdicts`."""
        kept = self.spread(row)
        return onset(*kept, row.budget, Limits()) if kept else None

    def median(self, env: str, arm: str) -> Row:
        """The run whose score is in the middle: the one to look at."""
        rows = sorted(self.of(env, arm), key=lambda row: row.score)
        return rows[(len(rows) - 1) // 2]

    def _yardstick(self, env: str, ends: Mapping[str, float]) -> tuple[str | None, float]:
        """The baseline and where it ended, if that is above the first return; else None and where the best arm did.

        A baseline that ended no better than it began is no yardstick: the scale would be upside down.
        """
        end = ends.get(self.sweep.baseline or "", -np.inf)
        return (self.sweep.baseline, end) if end > self.first(env) else (None, max(ends.values()))

    def _scored(self, env: str) -> dict[str, float]:
        """Each arm's score: IQM."""
        return {arm: float(iqm(np.array(self.scores(env, arm)))) for arm in self.arms(env)}


def percent(share: float) -> str:
    """80 %, with a space that does not break."""
    return f"{100 * share:.0f}\u00a0%"


def _whose(yardsticks: Sequence[str | None]) -> str:
    """The yardsticks of some tasks, in words."""
    if all(yardsticks):
        return f"the baseline's ({yardsticks[0]})"
    if not any(yardsticks):
        return "the best arm's"
    return "the baseline's, or the best arm's where the baseline gained nothing"


def _values(curve: list[float | None] | None) -> np.ndarray:
    """A curve of a row, [P], with NaN where nothing is known; [0] where the row has none."""
    return np.array(curve or (), float)
