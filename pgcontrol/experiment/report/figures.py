"""Every chart of a report, from its study: a title, the drawing, and what it is a drawing of, with n."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pgcontrol.diagnosis.verdicts import Limits
from pgcontrol.experiment import tables
from pgcontrol.experiment.report import svg
from pgcontrol.experiment.report.svg import Axes, Bar, Line
from pgcontrol.experiment.report.words import FEW, listed
from pgcontrol.experiment.results import RETURN, Row, score
from pgcontrol.experiment.statistics import (
    iqm,
    iqm_band,
    iqm_interval,
    mean_probability_of_improvement,
    over_decades,
    probability_of_improvement,
    profile,
)
from pgcontrol.experiment.study import POINTS, Study, percent
from pgcontrol.runs.log import count, short

STEPS = "environment steps"
HEALTH = {
    "train/kl": ("KL of an update, nats a choice", True),
    "train/approx_kl": ("KL of an update, the rule's own estimate", True),
    "train/clip_fraction": ("share of clipped samples", False),
    "train/explained_variance": ("explained variance of the critic", False),
    "train/entropy_loss": ("minus the entropy, nats a choice", False),
    "health/sensitivity": ("sensitivity: RMS score per joint", True),
    "health/noise_scale": ("gradient noise scale, samples", True),
}
"""Metric -> what it is, and whether its axis is logarithmic."""


class Figure(NamedTuple):
    """A drawing and its words."""

    title: str
    drawing: str
    caption: str
    arm: str | None = None
    """Whose it is, where it is one arm's alone: hidden with it."""


def counts(study: Study, env: str, arms: Sequence[str]) -> str:
    """n of every arm, as every caption says it."""
    found = {arm: len(study.of(env, arm)) for arm in arms}
    common = max(set(found.values()), key=list(found.values()).count)
    others = [f"{arm} {n}" for arm, n in found.items() if n != common]
    told = f"n = {count(common, 'seed')}" + (f" ({listed(others)})" if others else "")
    alone = [arm for arm, n in found.items() if n == 1]
    if alone:
        told += "; one seed only, so no interval" + ("" if len(alone) == len(found) else f": {listed(alone)}")
    elif min(found.values()) < FEW:
        told += "; with two seeds an interval is the range of the runs"
    return told + "."


def scores(study: Study, env: str) -> Figure:
    """Final scores: every run, the IQM and its interval."""
    rows = []
    for arm in study.arms(env):
        cells, values = study.of(env, arm), study.scores(env, arm)
        interval = iqm_interval(values)
        rows.append(
            Bar(
                arm,
                study.colour(arm),
                interval.estimate,
                *((interval.low, interval.high) if len(values) > 1 else ()),
                points=[(score(r), _seed(r)) for r in cells if not r.get("diverged")],
                faint=[(score(r), f"{_seed(r)}, diverged") for r in cells if r.get("diverged")],
                says=f"{interval}, n = {len(values)}",
            )
        )
    others = study.sweep.references.get(env, ())
    rows += [Bar(r.name, "reported", r.value, arm=False, says=f"{short(r.value)}, {r.about}") for r in others]
    rows.sort(key=lambda bar: -(bar.estimate or 0.0))
    base = study.scores(env, study.sweep.baseline)
    title = f"{env}: final score"
    rule = float(iqm(np.array(base))) if base else None
    line = "; the dashed line is the baseline's" if base else ""
    more = " Hollow: diverged." if any(bar.faint for bar in rows) else ""
    more += " Without dots: figures of others." if others else ""
    return Figure(
        title,
        svg.bars(title, rows, "return of the final policy's mode", rule=rule),
        f"Dots are runs, the bar is the IQM in its 95\u00a0% interval{line}.{more}"
        f" {counts(study, env, study.arms(env))}",
    )


def _seed(row: Row) -> str:
    return f"seed {row['seed']}: {short(score(row))}"


def improvement(study: Study, env: str) -> Figure | None:
    """P(a run beats one of the baseline), per task."""
    base, rows = study.scores(env, study.sweep.baseline), []
    arms = [arm for arm in study.arms(env) if arm != study.sweep.baseline]
    if not base or not arms:
        return None
    for arm in arms:
        pair = study.scores(env, arm), base
        rows.append(Bar(arm, study.colour(arm), *probability_of_improvement(*pair), says=tables.better([pair])))
    rows.sort(key=lambda bar: -(bar.estimate or 0.0))
    title = f"{env}: does it beat the baseline?"
    return Figure(
        title,
        svg.bars(title, rows, f"P(a run beats one of {study.sweep.baseline})", (0.0, 1.0), 0.5),
        f"0.5 is no difference. {counts(study, env, study.arms(env))}",
    )


def improvement_together(study: Study) -> Figure | None:
    """The same over tasks."""
    base, rows, runs = study.sweep.baseline, [], dict[str, int]()
    for arm in study.arms():
        pairs = study.pairs(arm)
        if arm != base and len(pairs) > 1:
            found = mean_probability_of_improvement(pairs)
            runs[arm] = sum(len(ours) for ours, _ in pairs)
            says = f"{tables.better(pairs)}, {len(pairs)} tasks, {count(runs[arm], 'run')}"
            rows.append(Bar(arm, study.colour(arm), *found, says=says))
    if not rows:
        return None
    rows.sort(key=lambda bar: -(bar.estimate or 0.0))
    title = "All tasks: does it beat the baseline?"
    return Figure(
        title,
        svg.bars(title, rows, f"P(a run beats one of {base}), mean over tasks", (0.0, 1.0), 0.5),
        f"Runs are resampled within their task. n (runs): {listed([f'{arm} {n}' for arm, n in runs.items()])}.",
    )


def learning(study: Study, env: str) -> list[Figure]:
    """Return over steps, and over wall time."""
    drawn = {"steps": _over_steps(study, env, RETURN), "time": list(_over_time(study, env))}
    if not drawn["steps"]:  # no episode ended in training
        return []
    n = counts(study, env, [line.name for line in drawn["steps"]])
    steps, time = f"{env}: return", f"{env}: return over wall time"
    return [
        Figure(steps, svg.lines(steps, drawn["steps"], Axes(STEPS, "return")), f"IQM over seeds of the mean return of"
               f" the last 100 training episodes, with its 95\u00a0% bootstrap band. {n}"),
        Figure(time, svg.lines(time, drawn["time"], Axes("seconds of training", "return")),
               f"The same over the time it took, to the median run's end. {n}"),
    ]  # fmt: skip


def learning_together(study: Study) -> Figure | None:
    """Normalised learning curves over all tasks, stratified."""
    envs = study.envs()
    arms = [arm for arm in study.arms() if all(_known(study, env, arm) for env in envs)]
    if len(envs) < 2 or not arms:
        return None
    ends = np.linspace(0, 1, POINTS)
    drawn = []
    for arm in arms:
        tasks = []
        for env in envs:
            grid = study.grid(study.of(env, arm))
            curves = study.curves(study.of(env, arm), RETURN, grid)
            tasks.append(study.normalised(env, curves))
        drawn.append(Line(arm, study.colour(arm), ends, *iqm_band(*tasks)))
    n = listed([f"{arm} {sum(len(study.of(env, arm)) for env in envs)}" for arm in arms])
    title = "All tasks: normalised return"
    return Figure(
        title,
        svg.lines(title, drawn, Axes("share of the budget", "normalised return")),
        f"0 is the first return, 1 is {study.whose(*envs)} final score. IQM over the runs of {len(envs)} tasks,"
        f" band: stratified bootstrap. n (runs): {n}.",
    )


def profiles(study: Study) -> Figure | None:
    """Share of runs above a score, of the arms that have run on every task."""
    envs = study.envs()
    arms = [arm for arm in study.arms() if all(study.of(env, arm) for env in envs)]
    if not arms:
        return None
    tasks = {arm: [study.normalised(env, np.array(study.scores(env, arm))) for env in envs] for arm in arms}
    every = np.concatenate([s for scores in tasks.values() for s in scores])
    # both sides of every score: the steps of a profile are upright
    wide = max(float(np.ptp(every)), 1.0)
    tau = np.unique(
        np.concatenate([[min(0.0, every.min()) - 0.02 * wide, every.max() + 0.02 * wide], every, every - 1e-6 * wide])
    )
    drawn = [Line(arm, study.colour(arm), tau, *profile(scores, tau)) for arm, scores in tasks.items()]
    n = listed([f"{arm} {sum(map(len, scores))}" for arm, scores in tasks.items()])
    missing = [arm for arm in study.arms() if arm not in arms]
    left_out = f" Left out, having run on some tasks only: {listed(missing)}." if missing else ""
    title = "Performance profile" + (f": {envs[0]}" if len(envs) == 1 else f" over {len(envs)} tasks")
    return Figure(
        title,
        svg.lines(title, drawn, Axes("normalised score τ", "share of runs", ends=(0.0, 1.0))),
        f"The share of runs that score above τ; higher is better everywhere. 0 is the first return, 1 is"
        f" {study.whose(*envs)} IQM. n (runs): {n}.{left_out}",
    )


def thresholds(study: Study, env: str) -> list[Figure]:
    """Steps and seconds to the goal."""
    goal, arms = study.goal(env), study.arms(env)
    if goal is None:
        return []
    found = {arm: study.reaches(env, arm, goal.value) for arm in arms}
    figures = []
    for what, unit in (("steps", STEPS), ("seconds", "seconds of training")):
        rows = []
        for arm in arms:
            values, never = list(getattr(found[arm], what)), found[arm].never
            half = float(np.median(values + [np.inf] * never))
            rows.append(
                Bar(
                    arm,
                    study.colour(arm),
                    half if np.isfinite(half) else None,
                    points=[(v, f"a run: {short(v)} {unit}") for v in values],
                    beyond=never,
                    says=f"{len(values)} of {count(len(values) + never, 'run')} reached {short(goal.value)}",
                )
            )
        rows.sort(key=lambda bar: (bar.estimate is None, bar.estimate))
        title = f"{env}: {what} to a return of {short(goal.value)}"
        figures.append(
            Figure(
                title,
                svg.bars(title, rows, unit, (0.0, None)),
                f"{goal.why[0].upper()}{goal.why[1:]}. Dots are runs, the bar is the median; k×∞: k runs never reached"
                f" it. {counts(study, env, arms)}",
            )
        )
    return figures


def over_training(study: Study, env: str, metric: str, title: str, log: bool | None = None) -> Figure | None:
    """A metric of the log, all arms; on a logarithmic axis, a linear one, or as the data ask."""
    drawn = _over_steps(study, env, metric)
    if not drawn:
        return None
    values = np.concatenate([line.y if line.low is None else line.low for line in drawn])
    positive = bool((values[np.isfinite(values)] > 0).all())
    log = over_decades(np.concatenate([values, *(line.y for line in drawn)])) if log is None else log and positive
    ends = (-1.0, 1.0) if metric == "train/explained_variance" else (None, None)
    title = f"{env}: {title}"
    return Figure(
        title,
        svg.lines(title, drawn, Axes(STEPS, metric, log, ends)),
        f"<code>{metric}</code>, IQM and 95\u00a0% band. {counts(study, env, [line.name for line in drawn])}",
    )


def health(study: Study, env: str) -> Iterator[Figure]:
    """What the updates did, and whatever else the YAML asks for."""
    asked = {metric: (metric, None) for metric in study.sweep.plots if metric not in HEALTH and metric != "train/std"}
    known = set().union(*(row["curves"] for arm in study.arms(env) for row in study.of(env, arm)))
    for metric, (title, log) in (HEALTH | asked).items():
        if metric == "train/approx_kl" and "train/kl" in known:
            continue  # the same, less exact
        if figure := over_training(study, env, metric, title, log):
            yield figure


def spread(study: Study, env: str) -> Figure | None:
    """Deviation of the decoded actions at the rollout's states: the mean over joints, all arms."""
    return over_training(study, env, "train/std", "spread, mean over joints", True)


def spread_of_joints(study: Study, env: str) -> Iterator[Figure]:
    """The same joint by joint, arm by arm."""
    for arm in study.arms(env):
        rows = [row for row in study.of(env, arm) if row.get("spread")]
        if not rows:
            continue
        grid = study.grid(rows)
        curves = iqm(np.array([_resampled(grid, *found) for row in rows if (found := study.spread(row))]), axis=0)
        names = study.joints(env, len(curves))
        drawn = [Line("the narrowest", study.colour(arm), grid, curves.min(0), arm=False)]
        drawn += [Line(name, "joint", grid, c, arm=False) for name, c in zip(names, curves, strict=True)]
        limit = Limits().share
        sharp = {row["seed"]: found for row in rows if (found := study.sharp(row))}
        marks = [
            (at.step, limit, f"seed {seed}: narrow from step {at.step:,} on, joints {at.joints}")
            for seed, at in sharp.items()
        ]
        title = f"{env}: {arm}, spread per joint"
        yield Figure(
            title,
            svg.lines(title, drawn, Axes(STEPS, "share of half-range", True), (limit, percent(limit)), marks),
            (f"▼ in {len(marks)} of {count(len(rows), 'run')}. " if marks else "") + f"n = {count(len(rows), 'seed')}.",
            arm,
        )


def _resampled(grid: np.ndarray, steps: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Spreads [n, A] of a run on other steps, [A, P]."""
    return np.array([np.interp(grid, steps, joint) for joint in spread.T])


def _over_steps(study: Study, env: str, metric: str) -> list[Line]:
    rows = [row for arm in study.arms(env) for row in study.of(env, arm)]
    grid, drawn = study.grid(rows), []
    for arm in study.arms(env):
        curves = study.curves(study.of(env, arm), metric, grid)
        if len(curves):
            drawn.append(_line(study, arm, grid, curves))
    return drawn


def _over_time(study: Study, env: str) -> Iterator[Line]:
    for arm in study.arms(env):
        grid, curves = study.over_time(study.of(env, arm))
        if len(curves):
            yield _line(study, arm, grid, curves)


def _known(study: Study, env: str, arm: str) -> bool:
    """Whether an arm has a learning curve on a task."""
    return any(RETURN in row["curves"] for row in study.of(env, arm))


def _line(study: Study, arm: str, grid: np.ndarray, curves: np.ndarray) -> Line:
    middle, low, high = iqm_band(curves)
    if len(curves) == 1:
        return Line(arm, study.colour(arm), grid, middle)
    return Line(arm, study.colour(arm), grid, middle, low, high)
