"""Queries on the rows of a sweep, for tables, charts and sentences."""

import functools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pgcontrol_envs import make
from pgcontrol_envs.tasks import built_in

from pgcontrol.arguments import EVALUATION_SEED
from pgcontrol.charts.chart import hue
from pgcontrol.measures.collapse import Onset, lost_early, onset
from pgcontrol.measures.curves import RETURN, height
from pgcontrol.measures.returns import Reach, standstill
from pgcontrol.measures.statistics import Pair, iqm, reached
from pgcontrol.measures.verdicts import Limits
from pgcontrol.play.density import joint_names
from pgcontrol.sweep import trials
from pgcontrol.sweep.cell import Cell, Key
from pgcontrol.sweep.differences import stated
from pgcontrol.sweep.row import Row
from pgcontrol.sweep.sweep import Sweep
from pgcontrol.sweep.trials import TrialRow
from pgcontrol.text import count

CHART_POINTS = 60  # points of a curve in a chart
SHARE = 0.8  # the default threshold: this share of the way from the first return to the baseline's


class Reaches(NamedTuple):
    """When each run of an arm reached a goal. A run that never reached it counts as infinite, also in the median."""

    steps: list[float]
    seconds: list[float]

    @property
    def reached(self) -> int:
        """The number of runs that reached the goal."""
        return int(np.isfinite(self.steps).sum())

    @property
    def medians(self) -> tuple[float, float]:
        """The medians of the steps and of the seconds."""
        return float(np.median(self.steps)), float(np.median(self.seconds))


class Goal(NamedTuple):
    """A return to reach, and the reason for it as text."""

    value: float
    why: str


@functools.cache
def names_of(env: str) -> tuple[str, ...]:
    """The names of a built-in task's joints; empty for other tasks, because a report needs no plug-in."""
    if env not in built_in():
        return ()
    made = make(env, 1, threads=1)
    try:
        return joint_names(made)
    finally:
        made.close()


def steps(row: Row) -> np.ndarray:
    """Environment steps of the points of a row's curves, [P]."""
    return np.array(row.points, float)


def seconds(row: Row) -> np.ndarray:
    """Wall time of the points of a row's curves, [P]; proportional to the steps for rows without it."""
    kept = _values(row.curves.get("time/time_elapsed"))
    return kept if len(kept) and np.isfinite(kept).all() else steps(row) / row.points[-1] * row.seconds


@dataclass(frozen=True, eq=False)
class Queries:
    """A sweep and its rows. A report uses one object, so that results can be cached for it.

    Attributes:
        rows: put in the order of the YAML; parallel runs end in any order.
        where: folder of the run folders; it need not exist.
    """

    sweep: Sweep
    rows: Mapping[Key, Row]
    where: Path = Path("runs")

    def __post_init__(self) -> None:
        place = {cell.key: number for number, cell in enumerate(self.sweep.cells)}
        ordered = sorted(self.rows.items(), key=lambda item: place[item[0]])
        object.__setattr__(self, "rows", dict(ordered))

    @functools.cached_property
    def trials(self) -> list[TrialRow]:
        """The trials that belong to the sweep's search as the YAML defines it now; empty without a search."""
        asked = self.sweep.search
        kept = trials.first(trials.read(trials.file_of(self.sweep.path)), asked.trials) if asked else []
        return [row for row in kept if asked and asked.asks(row.arm, row.search)]

    @functools.cached_property
    def missing(self) -> list[Cell]:
        """The cells that have no row."""
        return [cell for cell in self.sweep.cells if cell.key not in self.rows]

    @functools.cached_property
    def scoring(self) -> str:
        """How the rows were scored, as text; all of them in the same way, see `results.reported`."""
        if any(row.evaluation_seed is None for row in self.rows.values()):
            return (
                "in the run's last evaluation, from its own start states: compare it only with scores of this page, "
                "because newer experiments use the same start states for all runs"
            )
        counts = {env: max(row.episodes or 0 for row in self.on(env)) for env in self.envs()}
        usual = Counter(counts.values()).most_common(1)[0][0] if counts else 0
        others = [f"{number:,} on {env}" for env, number in counts.items() if number != usual]
        many = f" ({', '.join(others)})" if others else ""
        return f"over {count(usual, 'episode')}{many} from start states common to all runs (seed {EVALUATION_SEED})"

    @property
    def stated(self) -> dict[str, str]:
        """What the sweep sets for each arm, as text; empty if there is only one arm."""
        given = ((row.key, row.settings) for row in self.rows.values())
        return stated(given) if len(self.arms()) > 1 else {}

    def envs(self) -> list[str]:
        """Tasks with results, in the order of the YAML."""
        return [env for env in self.sweep.envs() if self.on(env)]

    def arms(self, env: str | None = None) -> list[str]:
        """Arms with results on one task or on any, the baseline first."""
        there = {arm for e, arm, _ in self.rows if env in (None, e)}
        return [arm for arm in self.sweep.arms() if arm in there]

    def of(self, env: str, arm: str | None) -> list[Row]:
        """The rows of a task and an arm, sorted by seed."""
        return self._of.get((env, arm), [])

    def on(self, env: str) -> list[Row]:
        """The rows of a task, in the order of the YAML."""
        return self._on.get(env, [])

    @functools.cached_property
    def _of(self) -> dict[tuple[str, str | None], list[Row]]:
        found = defaultdict[tuple[str, str | None], list[Row]](list)
        for key, row in sorted(self.rows.items()):
            found[key[:2]].append(row)
        return found

    @functools.cached_property
    def _on(self) -> dict[str, list[Row]]:
        found = defaultdict[str, list[Row]](list)
        for row in self.rows.values():
            found[row.env].append(row)
        return found

    def scores(self, env: str, arm: str | None) -> list[float]:
        """The scores with which these runs are compared, one per seed; see `compared`."""
        return [self.compared(row) for row in self.of(env, arm)]

    def rate(self, env: str, arm: str) -> float:
        """Environment steps per second, median over runs."""
        return float(np.median([row.steps / row.seconds for row in self.of(env, arm)]))

    def pairs(self, arm: str, envs: Iterable[str]) -> list[Pair]:
        """The scores of an arm and of the baseline, for each task that has both."""
        found = [(self.scores(env, arm), self.scores(env, self.sweep.baseline)) for env in envs]
        return [(ours, theirs) for ours, theirs in found if ours and theirs]

    def colour(self, arm: str) -> str:
        """Classes of the style sheet for an arm."""
        others = [a for a in self.sweep.arms() if a != self.sweep.baseline]
        return hue(others.index(arm)) if arm in others else "base"

    def grid(self, rows: Iterable[Row]) -> np.ndarray:
        """Common environment steps [CHART_POINTS] for the curves of several runs."""
        firsts, lasts = zip(*((row.points[0], row.points[-1]) for row in rows), strict=True)
        return np.linspace(min(firsts), max(lasts), CHART_POINTS)

    def curves(
        self, rows: Iterable[Row], metric: str, grid: np.ndarray, at: Callable[[Row], np.ndarray] = steps
    ) -> np.ndarray:
        """A metric of several runs, interpolated to a common grid of steps or of other coordinates `at`, [n, P].

        NaN before a run's first known point, constant after its last. Runs without the metric are left out.
        """
        found = []
        for row in rows:
            y = _values(row.curves.get(metric))
            if (known := np.isfinite(y)).any():
                found.append(np.interp(grid, at(row)[known], y[known], left=np.nan))
        return np.array(found).reshape(-1, len(grid))

    def first(self, env: str) -> float:
        """The first return in training: IQM over all runs of the task."""
        curves = [_values(row.curves.get(RETURN)) for row in self.on(env)]
        known = [curve[np.isfinite(curve)][0] for curve in curves if np.isfinite(curve).any()]
        return float(iqm(np.array(known))) if known else 0.0

    def whose(self, *envs: str) -> str:
        """The yardstick of some tasks, as text."""
        return _whose([self._yardstick(env, self._scored(env))[0] for env in envs])

    def one(self, env: str) -> float:
        """The score that is normalised to 1 on a task: the IQM of the yardstick."""
        return self._yardstick(env, self._scored(env))[1]

    def normalised(self, env: str, scores: np.ndarray) -> np.ndarray:
        """Scores with the first return as 0 and `one` as 1, or as −1 if not even the best arm gained anything."""
        first, one = self.first(env), self.one(env)
        return (np.asarray(scores, float) - first) / (abs(one - first) or 1.0)

    def reach(self, env: str) -> Reach | None:
        """The last training return of the best arm on a task, median over runs; None if there is only one run."""
        return self._reach.get(env)

    @functools.cached_property
    def _reach(self) -> dict[str, Reach]:
        found = dict[str, Reach]()
        for env in self.envs():
            medians = {arm: float(np.median(known)) for arm, known in self._ends(env).items() if known}
            if medians and len(self.on(env)) > 1:
                best = max(medians, key=lambda arm: medians[arm])
                found[env] = Reach(medians[best], f"the median of {best}")
        return found

    def _ends(self, env: str) -> dict[str, list[float]]:
        """Arm -> the last training returns of its runs that have one."""
        return {arm: [row.training for row in self.of(env, arm) if row.training is not None] for arm in self.arms(env)}

    def stuck(self, row: Row) -> bool:
        """Whether a run stopped improving far below the best arm; see `pgcontrol.measures.returns.standstill`."""
        reach, curve = self.reach(row.env), _values(row.curves.get(RETURN))
        known = np.isfinite(curve)
        if reach is None or known.sum() < 10:
            return False
        return standstill(steps(row)[known], curve[known], reach.value, Limits()) is not None

    def weak_mode(self, row: Row) -> bool:
        """Whether the samples of a final policy score far more than its mode, by `Limits.ahead`; False if unknown."""
        if row.evaluated is None or row.sampled is None:
            return False
        curve = _values(row.curves.get(RETURN))
        returns = np.array([row.evaluated, row.sampled, *curve[np.isfinite(curve)]])
        return row.sampled - row.evaluated > Limits().ahead * float(np.ptp(returns))

    def goal(self, env: str) -> Goal | None:
        """The threshold of a task: the YAML's, or `SHARE` of the way to the last training return of the yardstick.

        None if not even the best arm's training ended above the first return.
        """
        if env in self.sweep.thresholds:
            return Goal(float(self.sweep.thresholds[env]), "named in the YAML")
        first = self.first(env)
        ends = {arm: float(iqm(np.array(known))) if known else -np.inf for arm, known in self._ends(env).items()}
        arm, end = self._yardstick(env, ends)
        why = f"{percent(SHARE)} of the way from the first return to {_whose([arm])} last return"
        return Goal(first + SHARE * (end - first), why) if end > first else None

    def reaches(self, env: str, arm: str, goal: float) -> Reaches:
        """When the training return of an arm's runs first reached a goal; see `statistics.reached`."""
        found = Reaches([], [])
        for row in self.of(env, arm):
            curve = _values(row.curves.get(RETURN))
            for times, at in zip(found, (steps(row), seconds(row)), strict=True):
                when = reached(at, curve, goal)
                times.append(np.inf if when is None else when)
        return found

    def area(self, row: Row) -> float:
        """The area under a run's curve of the return, over the steps of the task's longest run, as a mean height."""
        curve = _values(row.curves.get(RETURN))
        return height(steps(row), curve, max(r.points[-1] for r in self.on(row.env))) if len(curve) else np.nan

    def equal_time(self, env: str) -> float:
        """The seconds after which runs of a task are compared: the median duration of the fastest arm's runs."""
        return min(float(np.median([row.seconds for row in self.of(env, arm)])) for arm in self.arms(env))

    def at_time(self, row: Row, when: float) -> float:
        """The training return of a run after some seconds; NaN if no episode had ended in it at all."""
        curve = _values(row.curves.get(RETURN))
        known = np.isfinite(curve)
        return float(np.interp(when, seconds(row)[known], curve[known])) if known.any() else np.nan

    def spread(self, row: Row) -> tuple[np.ndarray, np.ndarray] | None:
        """Steps [n] and spread of each joint [n, A] of a run; None for rows without them."""
        kept = row.spread
        return (np.array(kept.steps, float), np.array(kept.joints, float).T) if kept else None

    def joints(self, env: str, count: int) -> list[str]:
        """Names of a task's first joints: a built-in task's own, or else those of the row with most names.

        Older rows numbered some joints, and rows have no names of joints beyond their maps.
        """
        kept = [row.maps.joints for row in self.on(env) if row.maps and row.maps.joints]
        rows = min(kept, key=lambda names: sum(name.startswith("joint ") for name in names), default=[])
        named = names_of(env) or rows
        return [*named[:count], *(f"joint {j}" for j in range(len(named), count))]

    def sharp(self, row: Row) -> Onset | None:
        """From when a run's narrowest joint stayed narrow, or None; see `pgcontrol.measures.verdicts`."""
        kept = self.spread(row)
        return onset(*kept, row.budget, Limits()) if kept else None

    def lost_early(self, row: Row) -> bool:
        """Whether a run lost its spread before it learned, and ends far below other seeds; see `measures.collapse`.

        The best arm would not do for this comparison: an algorithm that learns slowly is not a collapse.
        """
        others = [other.training for other in self.of(row.env, row.arm) if other.key != row.key]
        ends, kept, curve = [end for end in others if end is not None], self.spread(row), row.curves.get(RETURN)
        if not ends or kept is None or curve is None:
            return False
        values = _values(curve)
        known = np.isfinite(values)
        reach = Reach(float(np.median(ends)), "other seeds")
        return lost_early(kept, (steps(row)[known], values[known]), Limits(), reach) is not None

    def compared(self, row: Row) -> float:
        """The score with which a run is compared.

        A run that diverged has no policy: it counts as an untrained one, or as the task's worst run if that is worse.
        """
        if not row.diverged:
            return row.score
        return min(self.first(row.env), *(other.score for other in self.on(row.env)))

    def median(self, env: str, arm: str) -> Row:
        """The run with the median score, which the report shows."""
        rows = sorted(self.of(env, arm), key=self.compared)
        return rows[(len(rows) - 1) // 2]

    def _yardstick(self, env: str, ends: Mapping[str, float]) -> tuple[str | None, float]:
        """The baseline and its final value, if that is above the first return; otherwise None and the best arm's value.

        With a baseline that did not improve, the scale would be upside down.
        """
        end = ends.get(self.sweep.baseline or "", -np.inf)
        return (self.sweep.baseline, end) if end > self.first(env) else (None, max(ends.values()))

    def _scored(self, env: str) -> dict[str, float]:
        """Arm -> IQM of its scores."""
        return {arm: float(iqm(np.array(self.scores(env, arm)))) for arm in self.arms(env)}


def percent(share: float) -> str:
    """80 %, with a no-break space."""
    return f"{100 * share:.0f}\u00a0%"


def _whose(yardsticks: Sequence[str | None]) -> str:
    """The yardsticks of some tasks, as text."""
    if all(yardsticks):
        return f"the baseline's ({yardsticks[0]})"
    if not any(yardsticks):
        return "the best arm's"
    return "the baseline's (the best arm's if the baseline gained nothing)"


def _values(curve: list[float | None] | None) -> np.ndarray:
    """A curve of a row, [P], with NaN for unknown values; [0] if the row does not have it."""
    return np.array(curve or (), float)
