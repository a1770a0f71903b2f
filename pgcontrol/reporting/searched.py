"""The part of a report on a search: its trials, the choice, and whether the choice is more than noise."""

from collections.abc import Iterable, Iterator
from typing import Any

from pgcontrol.charts.bars import Bar, bars
from pgcontrol.charts.lines import Axes
from pgcontrol.charts.points import Point, points
from pgcontrol.reporting.figures import Figure
from pgcontrol.reporting.narrative import Paragraph
from pgcontrol.reporting.queries import Queries
from pgcontrol.sweep import trials
from pgcontrol.sweep.search import Search
from pgcontrol.sweep.space import Axis
from pgcontrol.sweep.trials import Best, TrialRow, best
from pgcontrol.text import count, short, typed

TOP = 5  # number of best trials that are shown for each arm
EDGE = 0.05  # share of a range: if the choice is nearer to an end, a better value may lie outside the range
NEAR = 0.1  # smallest height of an axis of scores
APART = 0.12  # distance between the points of two arms at a listed value, as a share of the distance to the next value
COLUMNS = ("arm", "trial", "score", "by seed", "settings")
AXIS = {"normalised": "mean score", "rank": "mean rank"}


def arms(queries: Queries) -> list[str]:
    """The arms that have trials."""
    return list(dict.fromkeys(row.arm for row in queries.trials))


def lead(queries: Queries) -> str:
    """How the search was done, and what a score is."""
    asked = _asked(queries)
    scored = {
        "normalised": "the normalised mean return of the final policy's mode: 0 without any torque, 1 at the reference"
        f" ({', '.join(f'{task} {short(value)}' for task, value in asked.reference.items())})",
        "rank": "the share of the arm's other finished trials that a trial beats, run by run",
    }[asked.score]
    n, every = count(asked.trials, "trial"), "every arm on each task" if asked.per_task else "every arm"
    runs = f"each {asked.budget:,} steps on {'one of ' * asked.per_task}{', '.join(asked.tasks)}"
    seeds = count(len(asked.seeds), "separate seed")
    return f"Settings were searched before these runs: {n} for {every}, {runs} with {seeds}. The score is {scored}."


def words(queries: Queries) -> list[Paragraph]:
    """The choice for each arm, and its lead over the second best trial."""
    found = {arm: best(queries.trials, arm) for arm in arms(queries)}
    return [_words(queries, arm, top) for arm, top in found.items() if top.trials]


def _words(queries: Queries, arm: str, top: Best) -> Paragraph:
    first = top.trials[0]
    others = {state: n for state, n in top.counts.items() if state != first.state}
    high = ", so it is probably too high by chance" if len(top.trials) > 1 else ""
    best_of = f"the best of {count(len(top.trials), 'finished trial')}{high}"
    found = [f"Its score is {trials.decimals(first.score)}, {best_of}."]
    if others:
        found.append(f"Other trials: {', '.join(f'{n} {state}' for state, n in others.items())}.")
    found += [_ahead(top), _flat(top), *_edges(queries, first)]
    return Paragraph(f"{arm}: {_settings(first)} (trial {first.number}).", " ".join(filter(None, found)))


def _ahead(top: Best) -> str:
    if top.ahead is None:
        return ""
    second = top.trials[1]
    lead = f"The second, trial {second.number} ({_settings(second)}), is {trials.decimals(top.ahead)} behind"
    if top.noise is None:
        return f"{lead}; each trial has one seed, so it is unknown whether this is more than noise."
    differ = f"seeds of the same settings have a standard deviation of {trials.decimals(top.noise)}"
    if top.ahead <= top.noise:
        return f"{lead}; this may be noise, because {differ}. The second may be as good or better."
    return f"{lead}; {differ}."


def _flat(top: Best) -> str:
    if len(top.trials) <= 2:
        return ""
    group = top.trials[:TOP]
    wide = group[0].score - group[-1].score
    flat = ", not more than the noise of one seed" if top.noise is not None and wide <= top.noise else ""
    return f"The scores of the best {len(group)} lie within {trials.decimals(wide)}{flat}."


def _edges(queries: Queries, first: TrialRow) -> Iterator[str]:
    for axis in queries.sweep.search.axes if queries.sweep.search else ():
        value = first.settings.get(axis.name)
        if not axis.choices and isinstance(value, int | float):
            at = axis.share(value)
            if min(at, 1 - at) < EDGE:
                yield f"{axis.name} lies at the end of its range ({axis}); a wider range may contain a better value."


def _settings(row: TrialRow) -> str:
    return ", ".join(f"{name} {_typed(value)}" for name, value in row.settings.items()) or "no settings"


def _typed(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else typed(value)


def table(queries: Queries) -> list[tuple[str, ...]]:
    """The best trials of each arm; the columns are `COLUMNS`."""
    tops = [row for arm in arms(queries) for row in best(queries.trials, arm).trials[:TOP]]
    return [
        (
            r.arm,
            str(r.number),
            trials.decimals(r.score),
            ", ".join(map(trials.decimals, r.seeds.tolist())),
            _settings(r),
        )
        for r in tops
    ]


def figures(queries: Queries) -> list[list[Figure]]:
    """Two groups: a chart of all trials for each searched setting, and a chart of the best trials of each arm."""
    asked = queries.sweep.search
    if asked is None or not queries.trials:
        return []
    sets = [(task,) for task in asked.tasks] if asked.per_task else [asked.tasks]
    drawn = [_over(queries, axis, tasks) for tasks in sets for axis in asked.axes]
    return [
        [figure for figure in drawn if figure],
        [_top(queries, arm) for arm in arms(queries) if best(queries.trials, arm).trials],
    ]


def _over(queries: Queries, axis: Axis, tasks: tuple[str, ...]) -> Figure | None:
    """Scores of the trials on these tasks over the values of a setting."""
    asked, tried = _asked(queries), dict[str, list[TrialRow]]()
    for row in queries.trials:
        if axis.name in row.settings and asked.tasks_of(row.arm) == tasks:
            tried.setdefault(row.arm, []).append(row)
    if not any(row.finished for rows in tried.values() for row in rows):
        return None
    listed, found = [typed(choice) for choice in axis.choices], list[Point]()
    for place, (arm, rows) in enumerate(tried.items()):
        first = best(rows, arm).trials[:1]
        for row in rows:
            value = row.settings[axis.name]
            x = listed.index(typed(value)) + APART * (place - (len(tried) - 1) / 2) if listed else value
            y, result = (row.score, trials.decimals(row.score)) if row.finished else (0.0, row.state)
            says = f"{arm}, trial {row.number}: {result} ({_settings(row)})"
            found.append(Point(x, y, arm, _colour(queries, arm), says, not row.finished, row in first))
    ends = _ends(row.score for row in queries.trials if row.finished)
    title = f"The search: {axis.name}" + f" on {tasks[0]}" * asked.per_task
    drawing = points(title, found, Axes(axis.name, _axis(queries), False, ends, axis.log), listed)
    faint = " Hollow points at the bottom did not finish." if any(point.faint for point in found) else ""
    n = ", ".join(f"{len(rows)} of {arm}" for arm, rows in tried.items())
    return Figure(drawing, f"Points are trials; the ring is the choice.{faint} n = {n}.")


def _top(queries: Queries, arm: str) -> Figure:
    """The best trials of an arm, seed by seed."""
    top = best(queries.trials, arm)
    rows = []
    for row in top.trials[:TOP]:
        seeds = [(float(score), f"one seed: {trials.decimals(float(score))}") for score in row.seeds]
        says = f"{trials.decimals(row.score)}: {_settings(row)}"
        rows.append(Bar(f"trial {row.number}", _colour(queries, arm), row.score, points=seeds, says=says, arm=False))
    what = "Dots are seeds, the mark is their mean" if top.noise is not None else "One seed per trial"
    n = f"n = {len(rows)} of {count(len(top.trials), 'finished trial')}"
    tops = [row for each in arms(queries) for row in best(queries.trials, each).trials[:TOP]]
    ends = _ends(score for row in tops for score in row.seeds.tolist())
    return Figure(bars(f"The search: best of {arm}", rows, _axis(queries), ends), f"{what}. {n}.", arm)


def _ends(scores: Iterable[float]) -> tuple[float, float]:
    """Ends of the score axis, the same for all arms and at least `NEAR` apart, so small differences look small."""
    known = [*scores]
    low, high = min(known), max(known)
    low = min(low, high - NEAR)
    return low - 0.05 * (high - low), high + 0.05 * (high - low)


def _axis(queries: Queries) -> str:
    return AXIS[_asked(queries).score]


def _colour(queries: Queries, arm: str) -> str:
    return queries.colour(_asked(queries).base(arm))


def _asked(queries: Queries) -> Search:
    assert queries.sweep.search is not None
    return queries.sweep.search
