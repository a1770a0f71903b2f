"""What a search tried, what it chose, how flat the top is, and how sure the choice."""

from collections.abc import Iterable, Iterator
from typing import Any

from pgcontrol.charts.bars import Bar, bars
from pgcontrol.charts.lines import Axes
from pgcontrol.charts.points import Point, points
from pgcontrol.reporting.figures import Figure
from pgcontrol.reporting.narrative import Paragraph
from pgcontrol.reporting.queries import Queries
from pgcontrol.sweep import trials
from pgcontrol.sweep.space import Axis
from pgcontrol.sweep.trials import Best, TrialRow, best
from pgcontrol.text import count, short, typed

TOP = 5  # trials that are looked at closely, for each arm
EDGE = 0.05  # share of a range: what is chosen so near to an end may lie beyond it
NEAR = 0.1  # least height of an axis of scores
APART = 0.12  # between the points of two arms at a listed value, as a share of the way to the next
COLUMNS = ("arm", "trial", "score", "by seed", "settings")
AXIS = {"normalised": "mean score", "rank": "mean rank"}


def arms(queries: Queries) -> list[str]:
    """Those with trials."""
    return list(dict.fromkeys(row.arm for row in queries.trials))


def lead(queries: Queries) -> str:
    """How it was searched."""
    asked = queries.sweep.search
    assert asked is not None
    scored = {
        "normalised": "the mean return of the final policy's mode, 0 without any torque and 1 at the reference"
        f" ({', '.join(f'{task} {short(value)}' for task, value in asked.reference.items())})",
        "rank": "the share of the arm's other finished trials that a trial is above, over its runs",
    }[asked.score]
    n = count(asked.trials, "trial")
    runs = f"{asked.budget:,} steps on {', '.join(asked.tasks)} with {count(len(asked.seeds), 'seed')} of its own"
    return f"Settings were searched before these runs were made: {n} of every arm, {runs}. A score is {scored}."


def words(queries: Queries) -> list[Paragraph]:
    """What was chosen for each arm, and how far it is ahead."""
    found = {arm: best(queries.trials, arm) for arm in arms(queries)}
    return [_words(queries, arm, top) for arm, top in found.items() if top.trials]


def _words(queries: Queries, arm: str, top: Best) -> Paragraph:
    first = top.trials[0]
    others = {state: n for state, n in top.counts.items() if state != first.state}
    said = [f"It scored {trials.decimals(first.score)}, the best of {count(len(top.trials), 'finished trial')}."]
    if others:
        said.append(f"Of the rest, {', '.join(f'{n} {state}' for state, n in others.items())}.")
    said += [_ahead(top), _flat(top), *_edges(queries, first)]
    return Paragraph(f"{arm}: {_settings(first)} (trial {first.number}).", " ".join(filter(None, said)))


def _ahead(top: Best) -> str:
    """How far the chosen one is from the second."""
    if top.ahead is None:
        return ""
    second = top.trials[1]
    said = f"The second, trial {second.number} ({_settings(second)}), is {trials.decimals(top.ahead)} behind"
    if top.noise is None:
        return f"{said}; each had one seed, so it is not known whether that is more than noise."
    differ = f"seeds of one setting differ by {trials.decimals(top.noise)}"
    if top.ahead <= top.noise:
        return f"{said}: noise, since {differ}. It may be as good, or better."
    return f"{said}; {differ}."


def _flat(top: Best) -> str:
    """How flat the top is."""
    if len(top.trials) <= 2:
        return ""
    group = top.trials[:TOP]
    wide = group[0].score - group[-1].score
    flat = ", no more than one seed's noise: the top is flat" if top.noise is not None and wide <= top.noise else ""
    return f"The best {len(group)} lie within {trials.decimals(wide)}{flat}."


def _edges(queries: Queries, first: TrialRow) -> Iterator[str]:
    for axis in queries.sweep.search.axes if queries.sweep.search else ():
        value = first.settings.get(axis.name)
        if not axis.choices and isinstance(value, int | float):
            at = axis.share(value)
            if min(at, 1 - at) < EDGE:
                yield f"{axis.name} lies at the end of its range ({axis}): a wider one may have more."


def _settings(row: TrialRow) -> str:
    return ", ".join(f"{name} {_typed(value)}" for name, value in row.settings.items()) or "nothing to set"


def _typed(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else typed(value)


def table(queries: Queries) -> list[tuple[str, ...]]:
    """The best of each arm: `COLUMNS`."""
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
    """A chart of the trials for each setting that was searched, and one of each arm's best."""
    asked = queries.sweep.search
    if asked is None or not queries.trials:
        return []
    drawn = [_over(queries, axis) for axis in asked.axes]
    return [
        [figure for figure in drawn if figure],
        [_top(queries, arm) for arm in arms(queries) if best(queries.trials, arm).trials],
    ]


def _over(queries: Queries, axis: Axis) -> Figure | None:
    """Scores of the trials against a setting."""
    tried = {
        arm: [row for row in queries.trials if row.arm == arm and axis.name in row.settings] for arm in arms(queries)
    }
    tried = {arm: rows for arm, rows in tried.items() if rows}
    if not any(row.finished for rows in tried.values() for row in rows):
        return None
    listed, found = [typed(choice) for choice in axis.choices], list[Point]()
    for place, (arm, rows) in enumerate(tried.items()):
        first = best(rows, arm).trials[:1]
        for row in rows:
            value = row.settings[axis.name]
            x = listed.index(typed(value)) + APART * (place - (len(tried) - 1) / 2) if listed else value
            y, came = (row.score, trials.decimals(row.score)) if row.finished else (0.0, row.state)
            says = f"{arm}, trial {row.number}: {came} ({_settings(row)})"
            found.append(Point(x, y, arm, queries.colour(arm), says, not row.finished, row in first))
    ends = _ends(row.score for row in queries.trials if row.finished)
    drawing = points(f"The search: {axis.name}", found, Axes(axis.name, _axis(queries), False, ends, axis.log), listed)
    faint = " Hollow, at the bottom: did not finish." if any(point.faint for point in found) else ""
    n = ", ".join(f"{len(rows)} of {arm}" for arm, rows in tried.items())
    return Figure(drawing, f"Points are trials, the ring is what was chosen.{faint} n = {n}.")


def _top(queries: Queries, arm: str) -> Figure:
    """An arm's best trials, seed by seed."""
    top = best(queries.trials, arm)
    rows = []
    for row in top.trials[:TOP]:
        seeds = [(float(score), f"a seed: {trials.decimals(float(score))}") for score in row.seeds]
        says = f"{trials.decimals(row.score)}: {_settings(row)}"
        rows.append(Bar(f"trial {row.number}", queries.colour(arm), row.score, points=seeds, says=says, arm=False))
    what = "Dots are seeds, the mark is their mean" if top.noise is not None else "One seed a trial"
    n = f"n = {len(rows)} of {count(len(top.trials), 'finished trial')}"
    tops = [row for each in arms(queries) for row in best(queries.trials, each).trials[:TOP]]
    ends = _ends(score for row in tops for score in row.seeds.tolist())
    return Figure(bars(f"The search: best of {arm}", rows, _axis(queries), ends), f"{what}. {n}.", arm)


def _ends(scores: Iterable[float]) -> tuple[float, float]:
    """Of an axis of scores, the same for all arms: not so near that differences nobody cares about fill it."""
    known = [*scores]
    low, high = min(known), max(known)
    low = min(low, high - NEAR)
    return low - 0.05 * (high - low), high + 0.05 * (high - low)


def _axis(queries: Queries) -> str:
    assert queries.sweep.search is not None
    return AXIS[queries.sweep.search.score]
