"""The runs of each arm that have a problem, by verdict, and the scores without these runs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pgcontrol.charts.effects import signed
from pgcontrol.measures.families import Shares
from pgcontrol.measures.statistics import Pair, iqm
from pgcontrol.measures.verdicts import COLLAPSED, FEWER_ROUTES, HEALTHY, NOT_JUDGED, SHARP, STUCK, SUSPECTED, WEAK_MODE
from pgcontrol.reporting.queries import Queries
from pgcontrol.sweep.family import TOGETHER
from pgcontrol.sweep.row import Row
from pgcontrol.text import short

DIVERGED = "diverged"
NARROW = "the narrowest joint stays narrow"  # for runs without a verdict
MILD = (SUSPECTED, SHARP, NARROW)  # listed last, in this order, because they may be harmless
OMITTED = (HEALTHY, NOT_JUDGED, FEWER_ROUTES)  # not listed; routes have their own paragraph
HARMLESS = (SHARP, NARROW)  # runs with these words only are not set aside
# both scores, and both differences from the baseline: of all runs, and of those without a problem
COLUMNS = ("task", "arm", "runs", "problems", "good runs", "score", "good runs' score")
COLUMNS += ("difference", "good runs' difference")
MEANING = (
    "How many runs have a problem (some have two), and the scores (IQM) and differences from the baseline of the "
    "others, the good runs. Runs that are only “sharp” count as good. Over all tasks together, the difference is the "
    "median over all pairs. The last columns only describe the good runs: they were chosen by their results, so "
    "their difference is not what the arms would differ by if the problems were solved."
)


def of(queries: Queries, rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Verdict -> the runs that have it, without the verdicts `OMITTED`."""
    found = [(word, row) for row in rows for word in (row.verdict or HEALTHY).split(", ") if word not in _omitted(row)]
    found += [(WEAK_MODE, row) for row in rows if queries.weak_mode(row)]
    found += [(STUCK, row) for row in rows if STUCK not in (row.verdict or "") and queries.stuck(row)]
    found += [(SUSPECTED, row) for row in rows if not _settled(row) and queries.lost_early(row)]
    found += [(DIVERGED, row) for row in rows if row.diverged]
    found += [(NARROW, row) for row in rows if row.verdict in (None, NOT_JUDGED) and queries.sharp(row)]
    return {word: [row for what, row in found if what == word] for word in dict.fromkeys(word for word, _ in found)}


def _omitted(row: Row) -> tuple[str, ...]:
    # a verdict on the mode is of few episodes; the scores of the final policy are of many
    return OMITTED if row.sampled is None else (*OMITTED, WEAK_MODE)


def _settled(row: Row) -> bool:
    """Whether the run's verdict already says that the spread cost something or may have, or branches decided it."""
    return row.proved or not {SUSPECTED, COLLAPSED}.isdisjoint((row.verdict or "").split(", "))


class Divided(NamedTuple):
    """The runs of an arm on a task.

    Attributes:
        counts: problem -> number of runs that have it.
        scores: of all runs.
        good: scores of the runs without a problem.
    """

    counts: dict[str, int]
    scores: list[float]
    good: list[float]


def table(queries: Queries) -> list[tuple[str, ...]]:
    """A line for each task and arm, for the tasks with several seeds on which a run has a problem; see `COLUMNS`.

    If the sweep has several tasks, a line for each arm over all of them follows. There the differences are the medians
    of all pairs.
    """
    tasks = {env: {arm: _divided(queries, env, arm) for arm in queries.arms(env)} for env in queries.envs()}
    tasks = {env: arms for env, arms in tasks.items() if max(len(one.scores) for one in arms.values()) > 1}
    ill = {env: arms for env, arms in tasks.items() if any(one.counts for one in arms.values())}
    lines = [_line(queries, env, arm, arms) for env, arms in ill.items() for arm in arms]
    if ill and len(tasks) > 1:
        lines += [_all_tasks(queries, arm, [*tasks.values()]) for arm in queries.arms()]
    return lines


def _divided(queries: Queries, env: str, arm: str) -> Divided:
    rows = queries.of(env, arm)
    ill = {word: those for word, those in of(queries, rows).items() if word not in HARMLESS}
    aside = {row.key for those in ill.values() for row in those}
    counts = {word: len(those) for word, those in ill.items()}
    scores = {row.key: queries.compared(row) for row in rows}
    return Divided(counts, [*scores.values()], [score for key, score in scores.items() if key not in aside])


def _line(queries: Queries, env: str, arm: str, arms: dict[str, Divided]) -> tuple[str, ...]:
    one, base = arms[arm], queries.sweep.baseline
    ahead = ["", ""]
    if base in arms and arm != base:
        ahead = [_ahead(one.scores, arms[base].scores), _ahead(one.good, arms[base].good)]
    good = short(_middle(one.good)) if one.good else "–"
    runs, left = str(len(one.scores)), str(len(one.good))
    return (env, arm, runs, _words(one.counts), left, short(_middle(one.scores)), good, *ahead)


def _all_tasks(queries: Queries, arm: str, tasks: list[dict[str, Divided]]) -> tuple[str, ...]:
    """The line of an arm over all its tasks; without scores, because each task has its own unit."""
    base, mine = queries.sweep.baseline, [arms[arm] for arms in tasks if arm in arms]
    counts = sum((Counter(one.counts) for one in mine), Counter[str]())
    ahead = ["", ""]
    if base and arm != base:
        both = [(arms[arm], arms[base]) for arms in tasks if arm in arms and base in arms]
        ahead = [_median([(x.scores, y.scores) for x, y in both]), _median([(x.good, y.good) for x, y in both])]
    runs, left = str(sum(len(one.scores) for one in mine)), str(sum(len(one.good) for one in mine))
    return (TOGETHER, arm, runs, _words(counts), left, "", "", *ahead)


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {word}" for word, n in counts.items()) or "none"


def _median(pairs: Sequence[Pair]) -> str:
    """The median of the differences of all pairs, as a share of the baseline's score; a dash if a task has no pairs."""
    return signed(Shares.of(pairs, paired=False).median) if pairs and all(map(all, pairs)) else "–"


def _middle(scores: Sequence[float]) -> float:
    return float(iqm(np.asarray(scores, float)))


def _ahead(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """The difference of the IQMs as a share of the baseline's."""
    if not ours or not theirs or not (base := _middle(theirs)):
        return "–"
    return signed((_middle(ours) - base) / abs(base))
