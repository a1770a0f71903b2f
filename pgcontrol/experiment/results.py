"""What a finished cell leaves: one small row, kept beside the YAML and committed as it grows."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pgcontrol.arguments import typed
from pgcontrol.diagnosis.verdicts import spreads
from pgcontrol.experiment.folders import asked_of
from pgcontrol.experiment.looks import look
from pgcontrol.experiment.sweep import Cell, Key, Sweep, run_of
from pgcontrol.options import InputError, near_miss
from pgcontrol.runs import files, lock
from pgcontrol.runs.config import configure, read_yaml
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.log import count, read_rows

POINTS = 50
"""Of a curve in a row: enough for a plot, small enough to commit."""
RETURN = "rollout/ep_rew_mean"
CURVES = (
    RETURN,
    "train/std",
    "train/kl",
    "train/approx_kl",
    "train/clip_fraction",
    "train/explained_variance",
    "train/entropy_loss",
    "health/sensitivity",
    "health/noise_scale",
    "time/time_elapsed",
)
PROVENANCE = ("versions", "seeds", "threads", "compiled", "reproducible")
"""Of the manifest; the rest names a machine."""
DIFFERENCES = 3
"""Settings that are named where rows were made with other ones."""

Row = dict[str, Any]


class Unscored(InputError):
    """A run came to its end without a return to judge it by."""


def row_of(cell: Cell, folder: Path, plots: list[str]) -> Row:
    """Scores, times and thinned curves of a run folder; one that diverged has the return it had come to by then.

    Raises:
        Unscored: no episode of it has ended, and none was evaluated.
    """
    rows, manifest = read_rows(folder / "metrics.jsonl"), RunFolder(folder).manifest()
    last = rows[-1]
    if last.get("eval/mean_reward") is None and last.get(RETURN) is None:
        raise Unscored("no episode has ended and none was evaluated: it needs a longer budget, or eval_every above 0")
    picks = _picks(len(rows))
    curves = {name: _curve(rows, name, picks) for name in dict.fromkeys((*CURVES, *plots))}
    return {
        "env": cell.env,
        "arm": cell.arm,
        "seed": cell.seed,
        "settings": cell.settings,
        "config": run_of(configure(read_yaml(folder / "config.yaml"))),
        "return": last.get("eval/mean_reward"),
        "sampled": last.get("eval/mean_reward_sampled"),
        "training": last.get(RETURN),
        "diverged": manifest.get("status") == "diverged",
        **judged(folder),
        "steps": last["time/total_timesteps"],
        "seconds": manifest.get("seconds"),
        "curves": {"steps": [rows[i]["time/total_timesteps"] for i in picks]}
        | {name: curve for name, curve in curves.items() if any(v is not None for v in curve)},
        **_spread(rows),
        **look(folder),
        "provenance": {name: manifest[name] for name in PROVENANCE if name in manifest},
        "revision": manifest.get("git"),
        "date": datetime.date.today().isoformat(),
    }


def judged(folder: Path) -> dict[str, str | None]:
    """The words of a run's verdict and the line that says why, of whoever judged it last; None: nobody has."""
    manifest = RunFolder(folder).manifest()
    return {"verdict": manifest.get("verdict"), "why": manifest.get("diagnosis")}


def _spread(rows: list[Row]) -> dict[str, Any]:
    """Each joint's spread over training, thinned; nothing where the log does not say."""
    steps, each = spreads(rows)
    if not len(steps):
        return {}
    picks = _picks(len(steps))
    joints = [[_thin(value) for value in joint] for joint in each[picks].T]
    return {"spread": {"steps": steps[picks].astype(int).tolist(), "joints": joints}}


def _picks(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, POINTS).round().astype(int))


def _curve(rows: list[Row], name: str, picks: np.ndarray) -> list[float | None]:
    """A metric at some rows: where it was not measured, as it last was."""
    known, curve = None, []
    for i, row in enumerate(rows):
        known = row.get(name) if row.get(name) is not None else known
        curve += [_thin(known)] if i in picks else []
    return curve


def score(row: Row) -> float:
    """What a cell is judged by: the final evaluation's return, or the last training one where there was none."""
    return row["return"] if row["return"] is not None else row["training"]


def _thin(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(f"{value:.4g}")


def cell_of(row: Row) -> Cell:
    """The cell that left a row."""
    return Cell(row["env"], row["arm"], row["seed"], row["settings"])


def read(sweep: Sweep) -> dict[Key, Row]:
    """The rows that answer the sweep as it is asked now, by `Cell.key`; rows made with other settings are left out.

    Raises:
        InputError: the results file is damaged; names the line.
    """
    asked = _asked(sweep)
    found = ((cell_of(row).key, row) for row in _all(sweep.results))
    return {key: row for key, row in found if asked.get(key) == row["settings"]}


def borrowed(sweep: Sweep, cells: Iterable[Cell]) -> Iterator[Row]:
    """Rows that other sweeps made of the same runs, retold as this one's: every setting is equal, said or default.

    Args:
        sweep: which names the others, in `borrow`; the first that has a run lends it, with the curves that it kept.
        cells: those that have no row yet.

    Raises:
        InputError: a results file is damaged; names the line.
    """
    there: dict[str, Row] = {}
    for other in sweep.borrow:
        for row in _all(other.with_suffix(".jsonl")):
            try:
                there.setdefault(_same(_run(row)), {"from": f"{other.stem}/{cell_of(row).name}"} | row)
            except InputError:  # of settings that are no longer known
                continue
    for cell in cells if there else ():
        if found := there.get(_same(cell.run())):
            yield found | {"env": cell.env, "arm": cell.arm, "seed": cell.seed, "settings": cell.settings}


def _run(row: Row) -> dict[str, Any]:
    """All settings of a row's run; where an older row does not say them, as today's defaults have them."""
    return run_of(configure(row.get("config") or cell_of(row).settings))


def as_run(row: Row) -> Cell:
    """The cell of a row, with what it left to defaults that are others today: its command gives the row again."""
    cell = cell_of(row)
    try:
        now, had = cell.run(), _run(row)
    except InputError:  # settings that are no longer known, or a prior that is gone
        return cell
    return cell._replace(settings=cell.settings | {key: value for key, value in had.items() if now.get(key) != value})


def outdated(rows: Iterable[Row]) -> str:
    """How many rows were made when a default was another that still counts, and which, in words; empty where none."""
    others = []
    for cell, ran in ((cell_of(row), as_run(row)) for row in rows):
        if had := {key: value for key, value in ran.settings.items() if key not in cell.settings}:
            others.append(_difference(had, {key: value for key, value in cell.run().items() if key in had}))
    if not others:
        return ""
    example = Counter(others).most_common(1)[0][0]
    keep = "they count; --again makes them anew, and a setting in the YAML would keep what they had"
    return f"{count(len(others), 'row')} made when defaults were others ({example}): {keep}"


def _same(run: dict[str, Any]) -> str:
    """Equal for the same run."""
    return json.dumps(run, sort_keys=True)


def folder_of(row: Row, where: Path) -> Path:
    """The run folder of a row: under `where`, or under the sweep's that it was borrowed from; need not exist."""
    own = where / cell_of(row).name
    return where.parent / row["from"] if "from" in row and not own.exists() else own


def left_out(sweep: Sweep) -> str:
    """Which rows do not answer the sweep as it is asked now, and why, in words; empty where all do.

    Raises:
        InputError: the results file is damaged; names the line.
    """
    asked, others, foreign = _asked(sweep), [], 0
    for row in _all(sweep.results):
        settings = asked.get(cell_of(row).key)
        if settings is None:
            foreign += 1
        elif settings != row["settings"]:
            others.append(_difference(row["settings"], settings))
    told = (
        [f"{count(len(others), 'row')} made with other settings ({Counter(others).most_common(1)[0][0]})"]
        if others
        else []
    )
    told += [f"{count(foreign, 'row')} of runs that nobody asks for now"] if foreign else []
    return f"left out of {sweep.results}: {', '.join(told)}" if told else ""


def _difference(had: dict[str, Any], asked: dict[str, Any]) -> str:
    """Of two settings, a few keys."""
    before, now = ({key: typed(value) for key, value in settings.items()} for settings in (had, asked))
    keys = [key for key in before | now if before.get(key) != now.get(key)]
    told = [f"{key} {before.get(key, 'unsaid')}, asked {now.get(key, 'unsaid')}" for key in keys]
    return "; ".join(told[:DIFFERENCES] + ["..."] * (len(told) > DIFFERENCES))


def _asked(sweep: Sweep) -> dict[Key, dict[str, Any]]:
    """Each cell's settings as JSON gives them back."""
    return {cell.key: json.loads(json.dumps(cell.settings)) for cell in sweep.cells}


def _all(file: Path) -> Iterator[Row]:
    """Every row of a results file, whatever it answers."""
    text = file.read_text() if file.exists() else ""
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            row = json.loads(line)
            cell_of(row)
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{file}: line {number} is no result; delete it to run that cell again") from None
        yield row


def unmeasured(plots: Iterable[str], folder: Path) -> list[str]:
    """A line for each metric to plot that a run's log does not have, with the one that may be meant."""
    there = {name for row in read_rows(folder / "metrics.jsonl") for name in row}
    return [
        f"{folder.name} has no metric {plot!r}{near_miss(plot, there)}"
        for plot in dict.fromkeys(plots)
        if plot not in there
    ]


@contextmanager
def alone(sweep: Sweep) -> Generator[None]:
    """Keep a sweep's results to this process: a second one would run the same cells beside it.

    Raises:
        InputError: another process has them.
    """
    # the YAML, since the results file may be replaced meanwhile, see `refresh`
    with lock.alone(sweep.path, "another `pgcontrol compare` is at work on it"):
        yield


def add(sweep: Sweep, row: Row) -> None:
    """Append a row."""
    with sweep.results.open("a") as file:
        file.write(json.dumps(row) + "\n")


def refresh(sweep: Sweep, rows: dict[Key, Row], where: Path) -> None:
    """Take over what has been judged of the runs since their rows were made, as by `pgcontrol diagnose`.

    Args:
        sweep: whose results file is written anew where a word has changed.
        rows: of it, changed in place.
        where: folder of the run folders; those that are gone keep their words.
    """
    lines = list(_all(sweep.results))
    changed = False
    for row in rows.values():
        folder = folder_of(row, where)
        now = judged(folder)
        if now["verdict"] is None or now.items() <= row.items() or not asked_of(cell_of(row), folder):
            continue
        changed = True
        for line in [row, *(line for line in lines if _alike(line, row))]:
            line.update(now)
    if changed:
        _rewrite(sweep, lines)


def forget(sweep: Sweep, rows: Iterable[Row]) -> None:
    """Take rows out of the results, so that their cells run again."""
    gone = list(rows)
    _rewrite(sweep, [line for line in _all(sweep.results) if not any(_alike(line, row) for row in gone)])


def _alike(one: Row, other: Row) -> bool:
    """Whether two rows tell of the same cell: equal settings are not enough, since two arms may have them."""
    return cell_of(one) == cell_of(other)


def _rewrite(sweep: Sweep, lines: Iterable[Row]) -> None:
    files.replace({sweep.results: "".join(json.dumps(line) + "\n" for line in lines)})
