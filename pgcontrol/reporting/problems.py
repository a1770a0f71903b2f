"""The runs of each arm that have a problem, by verdict, and the scores without these runs."""

from collections.abc import Sequence

import numpy as np

from pgcontrol.charts.effects import signed
from pgcontrol.measures.statistics import iqm
from pgcontrol.measures.verdicts import FEWER_ROUTES, HEALTHY, NOT_JUDGED, SHARP, STUCK, SUSPECTED
from pgcontrol.reporting.queries import Queries
from pgcontrol.sweep.row import Row
from pgcontrol.text import short

DIVERGED = "diverged"
NARROW = "the narrowest joint stays narrow"  # for runs without a verdict
MILD = (SUSPECTED, SHARP, NARROW)  # listed last, in this order, because they may be harmless
OMITTED = (HEALTHY, NOT_JUDGED, FEWER_ROUTES)  # not listed; routes have their own paragraph
HARMLESS = (SHARP, NARROW)  # runs with these words only are not set aside
# both scores, and both differences from the baseline: of all runs, and of those without a problem
COLUMNS = ("task", "arm", "runs", "problems", "score", "good runs' score", "difference", "good runs' difference")
MEANING = (
    "How many runs have a problem, and the scores (IQM) and differences from the baseline without them. Runs that are "
    "only “sharp” count as good. Leaving out runs because of their return raises a score, so compare the differences: "
    "what is left of a difference is not due to these runs."
)


def of(queries: Queries, rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Verdict -> the runs that have it, without the verdicts `OMITTED`."""
    found = [(word, row) for row in rows for word in (row.verdict or HEALTHY).split(", ") if word not in OMITTED]
    found += [(STUCK, row) for row in rows if STUCK not in (row.verdict or "") and queries.stuck(row)]
    found += [(DIVERGED, row) for row in rows if row.diverged]
    found += [(NARROW, row) for row in rows if row.verdict in (None, NOT_JUDGED) and queries.sharp(row)]
    return {word: [row for what, row in found if what == word] for word in dict.fromkeys(word for word, _ in found)}


def table(queries: Queries) -> list[tuple[str, ...]]:
    """A line for each task and arm, for the tasks with several seeds on which a run has a problem; see `COLUMNS`."""
    lines = list[tuple[str, ...]]()
    for env in queries.envs():
        rows = {arm: queries.of(env, arm) for arm in queries.arms(env)}
        arms = {arm: _divided(queries, those) for arm, those in rows.items()}
        if any(counts for counts, _ in arms.values()) and max(map(len, rows.values())) > 1:
            lines += [_line(queries, env, arm, arms) for arm in arms]
    return lines


def _divided(queries: Queries, rows: Sequence[Row]) -> tuple[dict[str, int], list[float]]:
    """How many runs have which problem, and the scores of the runs without any."""
    ill = {word: those for word, those in of(queries, rows).items() if word not in HARMLESS}
    aside = {row.key for those in ill.values() for row in those}
    return {word: len(those) for word, those in ill.items()}, [row.score for row in rows if row.key not in aside]


def _line(queries: Queries, env: str, arm: str, arms: dict[str, tuple[dict[str, int], list[float]]]) -> tuple[str, ...]:
    counts, good = arms[arm]
    every, base = queries.scores(env, arm), queries.sweep.baseline
    words = ", ".join(f"{n} {word}" for word, n in counts.items()) or "none"
    ahead = ["", ""]
    if base in arms and arm != base:
        ahead = [_ahead(every, queries.scores(env, base)), _ahead(good, arms[base][1])]
    return (env, arm, str(len(every)), words, short(_middle(every)), short(_middle(good)) if good else "–", *ahead)


def _middle(scores: Sequence[float]) -> float:
    return float(iqm(np.asarray(scores, float)))


def _ahead(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """The difference of the IQMs as a share of the baseline's."""
    if not ours or not theirs or not (base := _middle(theirs)):
        return "–"
    return signed((_middle(ours) - base) / abs(base))
