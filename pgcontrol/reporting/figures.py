"""The charts of a report, from the rows of a sweep: each with a title and a caption that gives n."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from pgcontrol.charts.bars import Bar, bars
from pgcontrol.charts.chart import Chart, Entry, sheet
from pgcontrol.charts.lines import Axes, Line, lines
from pgcontrol.charts.scale import spans
from pgcontrol.measures.curves import RETURN
from pgcontrol.measures.statistics import iqm, profile
from pgcontrol.measures.verdicts import Limits
from pgcontrol.reporting import curves, standings
from pgcontrol.reporting.curves import Curve, Seeds
from pgcontrol.reporting.narrative import BOUNDED, listed
from pgcontrol.reporting.queries import Queries, percent
from pgcontrol.sweep.row import Row
from pgcontrol.text import count, short

STEPS = "environment steps"
DECADES = 100.0  # values that span more than this factor get a logarithmic axis by default
ACROSS = 3  # charts per row in a file
# metric -> its meaning, and whether its axis is logarithmic
HEALTH = {
    "train/kl": ("KL of an update, nats per choice", True),
    "train/approx_kl": ("KL of an update, estimated by the algorithm", True),
    "train/clip_fraction": ("share of clipped samples", False),
    "train/explained_variance": ("explained variance of the critic", False),
    "train/entropy_loss": ("negative entropy, nats per choice", False),
    "health/sensitivity": ("sensitivity: RMS score per joint", True),
    "health/noise_scale": ("gradient noise scale, samples", True),
}


class Figure(NamedTuple):
    """A chart and its caption.

    Attributes:
        drawing: its label is the title of the figure.
        arm: the arm, if the figure shows only one; the figure is hidden together with it.
    """

    drawing: Chart
    caption: str
    arm: str | None = None


def counts(drawn: Mapping[str, Sequence[Seeds]]) -> str:
    """n of every arm as text for a caption, from one `Seeds` per task."""
    several = max(map(len, drawn.values())) > 1
    found = {arm: _several(seeds) if several else seeds[0].words() for arm, seeds in drawn.items()}
    ((common, _),) = Counter(found.values()).most_common(1)
    others: dict[str, list[str]] = {}
    for arm, n in found.items():
        if n != common:
            others.setdefault(n if several else n.rpartition(" ")[0], []).append(arm)
    text = f"n = {common}" + (f" ({'; '.join(f'{n}: {listed(arms)}' for n, arms in others.items())})" if others else "")
    if alone := [arm for arm, seeds in drawn.items() if curves.alone(seeds)]:
        why = f"one seed {'per task' if several else 'only'}, so no interval"
        text += f": {why}" if len(alone) == len(drawn) else f"; {why}: {listed(alone)}"
    elif not several and min(seeds[0].drawn for seeds in drawn.values()) < BOUNDED:
        text += "; with fewer than four seeds an interval is the range of the runs"
    return text + "."


def _several(seeds: Sequence[Seeds]) -> str:
    """n over several tasks: the number of tasks times n, or, if n differs, the total."""
    if len(set(seeds)) == 1:
        return f"{count(len(seeds), 'task')} × {seeds[0].words()}"
    return Seeds(sum(n.drawn for n in seeds), sum(n.all for n in seeds)).words("run")


def _every(queries: Queries, arms: Iterable[str], *envs: str) -> dict[str, list[Seeds]]:
    """The seeds of arms in a chart of all runs."""
    runs = {arm: [len(queries.of(env, arm)) for env in envs] for arm in arms}
    return {arm: [Seeds(n, n) for n in found] for arm, found in runs.items()}


def scores(queries: Queries, env: str) -> Figure:
    """Final scores: every run, the IQM and its interval."""
    rows = []
    for arm in queries.arms(env):
        runs, score = queries.of(env, arm), standings.standing(queries, env, arm).score
        known, estimate = (score, str(score)) if len(runs) > 1 else (score[:1], short(score.estimate))
        points = [(row.score, _seed(row)) for row in runs if not row.diverged]
        faint = [(row.score, f"{_seed(row)}, diverged") for row in runs if row.diverged]
        bar = Bar(arm, queries.colour(arm), *known, points=points, faint=faint, says=f"{estimate}, n = {len(runs)}")
        rows.append(bar)
    others = queries.sweep.references.get(env, ())
    rows += [Bar(r.name, "reported", r.value, arm=False, says=f"{short(r.value)}, {r.about}") for r in others]
    base = queries.scores(env, queries.sweep.baseline)
    rule = float(iqm(np.array(base))) if base else None
    line = "; the dashed line is the baseline" if base else ""
    more = " Hollow dots: diverged." if any(bar.faint for bar in rows) else ""
    more += " Rows without dots: references." if others else ""
    about = f"Dots are runs, the mark is the IQM, the bar is its 95\u00a0% interval{line}.{more}"
    drawing = bars(f"{env}: final score", _best(rows), "return of the final policy's mode", rule=rule)
    return Figure(drawing, f"{about} {counts(_every(queries, queries.arms(env), env))}")


def _seed(row: Row) -> str:
    return f"seed {row.seed}: {short(row.score)}"


def improvement(queries: Queries, *envs: str) -> Figure | None:
    """P(better) on one task, or its mean over several tasks for arms that share two tasks with the baseline."""
    base, several = queries.sweep.baseline, len(envs) > 1
    pairs = {arm: queries.pairs(arm, envs) for arm in queries.arms() if arm != base}
    pairs = {arm: found for arm, found in pairs.items() if len(found) > several}
    if not pairs or base is None:
        return None
    seeds = {base: [Seeds(len(theirs), len(theirs)) for _, theirs in max(pairs.values(), key=len)]}
    seeds |= {arm: [Seeds(len(ours), len(ours)) for ours, _ in found] for arm, found in pairs.items()}
    rows = []
    for arm, found in pairs.items():
        better = standings.improvement(found)
        says = f"{better}, {len(found)} tasks" if several else str(better)
        rows.append(Bar(arm, queries.colour(arm), better.interval.estimate, *better.bounds, says=says))
    title = f"{'All tasks' if several else envs[0]}: P(better)"
    axis = f"P(a run beats a run of {base}){', mean over tasks' * several}"
    caption = "Runs are resampled within their task; 0.5 is no difference." if several else "0.5 is no difference."
    return Figure(bars(title, _best(rows), axis, (0.0, 1.0), 0.5), f"{caption} {counts(seeds)}")


def _best(rows: Iterable[Bar]) -> list[Bar]:
    return sorted(rows, key=lambda bar: -(bar.estimate or 0.0))


def learning(queries: Queries, env: str) -> Iterator[Figure]:
    """Return over steps and over wall time; nothing if no episode ended in training."""
    about = "Mean return of the last 100 training episodes: IQM over seeds with its 95\u00a0% bootstrap band."
    same = "The same return over wall time, up to the median duration of the runs."
    if steps := curves.over_steps(queries, env, RETURN):
        yield _curves(f"{env}: return", steps, Axes(STEPS, "return"), about)
        time = curves.over_time(queries, env)
        yield _curves(f"{env}: return over wall time", time, Axes("seconds of training", "return"), same)


def learning_together(queries: Queries) -> Figure | None:
    """Learning curves of the normalised return over all tasks, stratified by task."""
    envs = queries.envs()
    found = curves.over_budgets(queries) if len(envs) > 1 else []
    if not found:
        return None
    scale = f"0 is the first return, 1 is {queries.whose(*envs)} final score."
    about = f"{scale} IQM over the runs of {len(envs)} tasks; the band is a stratified bootstrap."
    return _curves("All tasks: normalised return", found, Axes("share of the budget", "normalised return"), about)


def profiles(queries: Queries) -> Figure | None:
    """Share of runs above a score, for the arms with runs on every task."""
    envs = queries.envs()
    arms = [arm for arm in queries.arms() if all(queries.of(env, arm) for env in envs)]
    if not arms:
        return None
    tasks = {arm: [queries.normalised(env, np.array(queries.scores(env, arm))) for env in envs] for arm in arms}
    every = np.concatenate([s for scores in tasks.values() for s in scores])
    # both sides of every score, so that the steps of a profile are vertical
    wide = max(float(np.ptp(every)), 1.0)
    ends = [min(0.0, every.min()) - 0.02 * wide, every.max() + 0.02 * wide]
    tau = np.unique(np.concatenate([ends, every, every - 1e-6 * wide]))
    seeds = _every(queries, arms, *envs)
    found = [curves.curve(queries, arm, tau, profile(scores, tau), seeds[arm]) for arm, scores in tasks.items()]
    missing = [arm for arm in queries.arms() if arm not in arms]
    left_out = f" Not shown, because they have runs on some tasks only: {listed(missing)}." if missing else ""
    title = "Performance profile" + (f": {envs[0]}" if len(envs) == 1 else f" over {len(envs)} tasks")
    axes = Axes("normalised score τ", "share of runs", ends=(0.0, 1.0))
    about = "The share of runs that score above τ; higher is better. 0 is the first return, 1 is"
    return _curves(title, found, axes, f"{about} {queries.whose(*envs)} IQM.", left_out)


def thresholds(queries: Queries, env: str) -> Iterator[Figure]:
    """Steps and seconds until the goal was reached."""
    if (goal := queries.goal(env)) is None:
        return
    found = {arm: queries.reaches(env, arm, goal.value) for arm in queries.arms(env)}
    about = f"{goal.why[0].upper()}{goal.why[1:]}. Dots are runs, the mark is the median; k×∞: k runs never reached it."
    for i, (what, unit) in enumerate((("steps", STEPS), ("seconds", "seconds of training"))):
        rows = []
        for arm, reaches in found.items():
            median = reaches.medians[i] if np.isfinite(reaches.medians[i]) else None
            points = [(value, f"one run: {short(value)} {unit}") for value in reaches[i] if np.isfinite(value)]
            runs = len(reaches.steps)
            says = f"{reaches.reached} of {count(runs, 'run')} reached {short(goal.value)}"
            rows.append(Bar(arm, queries.colour(arm), median, points=points, beyond=runs - reaches.reached, says=says))
        rows.sort(key=lambda bar: (bar.estimate is None, bar.estimate))
        title = f"{env}: {what} to a return of {short(goal.value)}"
        yield Figure(bars(title, rows, unit, (0.0, None)), f"{about} {counts(_every(queries, found, env))}")


def over_training(queries: Queries, env: str, metric: str, title: str, log: bool | None = None) -> Figure | None:
    """A metric of the log for all arms, on a logarithmic or a linear axis; None: depends on the data."""
    found = curves.over_steps(queries, env, metric)
    if not found:
        return None
    values = np.concatenate([c.line.y if c.line.low is None else c.line.low for c in found])
    positive = bool((values[np.isfinite(values)] > 0).all())
    wide = spans(np.concatenate([values, *(c.line.y for c in found)]), DECADES)
    ends = (-1.0, 1.0) if metric == "train/explained_variance" else (None, None)
    axes = Axes(STEPS, metric, wide if log is None else log and positive, ends)
    return _curves(f"{env}: {title}", found, axes, Markup("<code>{}</code>, IQM and 95\u00a0% band.").format(metric))


def health(queries: Queries, env: str) -> Iterator[Figure]:
    """Metrics of the updates, and the `plots` of the YAML."""
    asked = {metric: (metric, None) for metric in queries.sweep.plots if metric not in HEALTH and metric != "train/std"}
    known = set().union(*(row.curves for row in queries.on(env)))
    for metric, (title, log) in (HEALTH | asked).items():
        if metric == "train/approx_kl" and "train/kl" in known:
            continue  # the same metric, less exact
        if figure := over_training(queries, env, metric, title, log):
            yield figure


def spread_of_joints(queries: Queries, env: str) -> Iterator[Figure]:
    """Standard deviation of the decoded actions at the rollout's states, a figure per arm with a curve per joint."""
    for arm in queries.arms(env):
        rows = [row for row in queries.of(env, arm) if row.spread]
        if not rows:
            continue
        grid = queries.grid(rows)
        kept = filter(None, map(queries.spread, rows))
        each = [[np.interp(grid, steps, joint) for joint in spread.T] for steps, spread in kept]
        joints = iqm(np.array(each), axis=0)
        names = queries.joints(env, len(joints))
        drawn = [Line("the narrowest", queries.colour(arm), grid, joints.min(0), arm=False)]
        drawn += [Line(name, "joint", grid, c, arm=False) for name, c in zip(names, joints, strict=True)]
        limit, n = Limits().share, Seeds(len(rows), len(queries.of(env, arm))).words()
        marks = [
            (at.step, limit, f"seed {row.seed}: narrow from step {at.step:,}: {listed([names[j] for j in at.joints])}")
            for row in rows
            if (at := queries.sharp(row))
        ]
        axes, rule = Axes(STEPS, "share of half-range", True), (limit, percent(limit))
        marked = f"▼ in {len(marks)} of {count(len(rows), 'run')}. " if marks else ""
        yield Figure(lines(f"{env}: {arm}, spread per joint", drawn, axes, rule, marks), f"{marked}n = {n}.", arm)


def _curves(title: str, found: Sequence[Curve], axes: Axes, about: str, more: str = "") -> Figure:
    n = counts({curve.line.name: curve.seeds for curve in found})
    return Figure(lines(title, [curve.line for curve in found], axes), about + " " + n + more)


def plot(queries: Queries) -> str:
    """SVG of curves over training: a chart for each task and each of the return and the `plots` of the YAML."""
    envs, rows, drawn = queries.envs(), list[list[Chart]](), set[str]()
    for metric in (RETURN, *queries.sweep.plots):
        for first in range(0, len(envs), ACROSS):
            found = {env: curves.over_steps(queries, env, metric) for env in envs[first : first + ACROSS]}
            rows.append([_panel(env, metric, of_env) for env, of_env in found.items()])
            drawn |= {curve.line.name for of_env in found.values() for curve in of_env}
    entries = [Entry(arm, queries.colour(arm)) for arm in queries.sweep.arms() if arm in drawn]
    return sheet(queries.sweep.question or queries.sweep.path.stem, rows, entries)


def _panel(env: str, metric: str, found: Sequence[Curve]) -> Chart:
    runs = sorted(curve.seeds[0].drawn for curve in found)
    n = f" (n = {runs[0]}{f' to {runs[-1]}' if runs[-1] > runs[0] else ''})" if runs else ""
    log = bool(found) and metric != RETURN and spans(np.concatenate([curve.line.y for curve in found]), DECADES)
    return lines(f"{env}: {metric}", [curve.line for curve in found], Axes(STEPS, f"{env}: {metric}{n}", log))
