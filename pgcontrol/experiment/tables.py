"""Tables and curves of a sweep: Markdown, CSV and PNG beside its YAML."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich.table import Table

from pgcontrol.experiment.results import RETURN, Row, score
from pgcontrol.experiment.statistics import iqm_band, iqm_interval, probability_of_improvement
from pgcontrol.experiment.sweep import Sweep
from pgcontrol.runs.log import short

Rows = Mapping[tuple[str, str, int], Row]
COLUMNS = ("task", "arm", "IQM (95 %)", "sampled", "P(better)", "seeds", "steps/s", "per seed")


def lines(sweep: Sweep, rows: Rows) -> list[tuple[str, ...]]:
    """One line for each task and arm that has results: `COLUMNS`."""
    found = []
    for env in sweep.envs():
        base = [score(r) for r in _cell(rows, env, sweep.baseline)]
        for arm in sweep.arms():
            cell = _cell(rows, env, arm)
            if not cell:
                continue
            scores = [score(r) for r in cell]
            sampled = [r["sampled"] for r in cell if r["sampled"] is not None]
            better = str(probability_of_improvement(scores, base)) if base and arm != sweep.baseline else ""
            rate = np.median([r["steps"] / r["seconds"] for r in cell])
            interval = str(iqm_interval(scores)) if len(scores) > 1 else f"{short(scores[0])} (one seed)"
            found.append(
                (
                    env,
                    arm,
                    interval,
                    short(iqm_interval(sampled).estimate) if sampled else "",
                    better,
                    str(len(scores)),
                    f"{rate:,.0f}",
                    ", ".join(short(score(r)) + " †" * bool(r.get("diverged")) for r in cell),
                )
            )
    return found


def write(sweep: Sweep, rows: Rows) -> None:
    """NAME.md, NAME.csv and NAME.png beside the YAML."""
    dates = sorted({row["date"] for row in rows.values()})
    text = [f"# {sweep.question}", "", f"`pgcontrol compare {shown(sweep)}`, {' … '.join(dates)}."]
    text += [
        "Score: mean return of the final policy's mode; IQM over seeds with its 95 % bootstrap interval (seeds"
        " resampled). *sampled*: the same of the sampled policy. *P(better)*: that a run beats one of the baseline"
        f" ({sweep.baseline})."
        if sweep.baseline
        else "",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---|---|---:|---:|---:|---:|---:|---|",
        *(f"| {' | '.join(line)} |" for line in lines(sweep, rows)),
        "",
        *(
            ["† diverged: the return it had come to by then.", ""]
            if any(r.get("diverged") for r in rows.values())
            else []
        ),
        f"![curves]({sweep.path.stem}.png)",
        "",
    ]
    sweep.path.with_suffix(".md").write_text("\n".join(text))
    with sweep.path.with_suffix(".csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("env", "arm", "seed", "return", "sampled", "training", "steps", "seconds", "date"))
        for key in sorted(rows):
            row = rows[key]
            table.writerow([*key, *(row[c] for c in ("return", "sampled", "training", "steps", "seconds", "date"))])
    if rows:
        plot(sweep, rows, sweep.path.with_suffix(".png"))


def shown(sweep: Sweep) -> str:
    """The YAML's path as a reader of the repository would type it: none of this machine."""
    return sweep.path.name if sweep.path.is_absolute() else str(sweep.path)


def terminal(sweep: Sweep, rows: Rows) -> Table:
    """For the terminal."""
    table = Table(*COLUMNS[:-1])
    for line in lines(sweep, rows):
        table.add_row(*line[:-1])
    return table


def plot(sweep: Sweep, rows: Rows, out: Path) -> None:
    """Curves over training, IQM with its bootstrap band: a row for each metric, a column for each task."""
    from matplotlib.figure import Figure

    metrics, envs = [RETURN, *sweep.plots], [e for e in sweep.envs() if any(key[0] == e for key in rows)]
    figure = Figure(figsize=(1 + 5 * len(envs), 3.4 * len(metrics)), layout="constrained")
    axes = figure.subplots(len(metrics), len(envs), squeeze=False)
    for column, env in enumerate(envs):
        for line, metric in enumerate(metrics):
            axis = axes[line][column]
            for number, arm in enumerate(sweep.arms()):
                # a run lacks what it had no occasion to measure: routes, where no episode succeeded
                cell = [row for row in _cell(rows, env, arm) if metric in row["curves"]]
                if not cell:
                    continue
                steps = np.array(cell[0]["curves"]["steps"])
                curves = np.array([_on(steps, row["curves"], metric) for row in cell])
                middle, low, high = iqm_band(curves)
                colour = f"C{number}"  # an arm's own, also where others lack the metric
                axis.plot(steps, middle, label=f"{arm} (n={len(cell)})", color=colour)
                axis.fill_between(steps, low, high, alpha=0.18, color=colour, linewidth=0)
            axis.set_title(f"{env}: {metric}", fontsize=9)
            axis.set_xlabel("environment steps")
            if metric != RETURN and axis.get_ylim()[0] > 0:
                axis.set_yscale("log")
    axes[0][0].legend(fontsize=7)
    figure.savefig(out, dpi=110)


def _on(steps: np.ndarray, curves: dict, metric: str) -> np.ndarray:
    values = np.array([np.nan if v is None else v for v in curves[metric]], float)
    known = np.isfinite(values)
    if not known.any():
        return np.full(len(steps), np.nan)
    return np.interp(steps, np.array(curves["steps"])[known], values[known])


def _cell(rows: Rows, env: str, arm: str | None) -> list[Row]:
    return [row for key, row in sorted(rows.items()) if key[:2] == (env, arm)]
