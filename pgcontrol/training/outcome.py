"""What a run came to, in its folder's outcome.json: returns, thinned curves, and what its policy looks like.

It is written when the run ends, so that whoever compares runs reads only. It is small enough to be committed.
"""

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from pgcontrol.machine import files
from pgcontrol.measures.curves import RETURN, STEPS, LogRows, spreads
from pgcontrol.play.evaluate import COMMON
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.log import read_rows
from pgcontrol.training.behaviour import evenly, look

POINTS = 50  # points of a curve: enough for a plot, small enough to commit
CURVES = (RETURN, "train/std", "train/kl", "train/approx_kl", "train/clip_fraction", "train/explained_variance")
CURVES += ("train/entropy_loss", "health/sensitivity", "health/noise_scale", "time/time_elapsed")


def write(folder: RunFolder) -> dict[str, Any]:
    """Reckon the outcome of a run that has ended, from its log and its checkpoints, and keep it in its folder.

    Returns:
        The outcome, as JSON has it; nothing where the log has no row.
    """
    rows = read_rows(folder.metrics_file)
    if not rows:
        return {}
    last = rows[-1]
    found = {"return": last.get("eval/mean_reward"), "sampled": last.get("eval/mean_reward_sampled")}
    found |= {"training": last.get(RETURN), "steps": last[STEPS], "curves": curves(rows, CURVES)}
    found |= measured(last) | _spread(rows) | look(folder.path) | {"date": datetime.date.today().isoformat()}
    files.write_json(folder.outcome_file, found)
    return found


def read(folder: RunFolder) -> dict[str, Any]:
    """The outcome of a run; reckoned now where the run was made before runs kept it, or was killed at its very end."""
    return files.read_json(folder.outcome_file) or write(folder)


def measured(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the task measured in an evaluation, by its own names and of samples with `_sampled`; nothing without any."""
    found = {name.removeprefix("eval/"): value for name, value in row.items() if name.startswith("eval/")}
    own = {name: _thin(value) for name, value in found.items() if name.removesuffix("_sampled") not in COMMON}
    return {"measured": own} if own else {}


def curves(rows: LogRows, names: Iterable[str]) -> dict[str, list[Any]]:
    """Metrics of a log by name, thinned, and the `steps` they are of; of those it has.

    Where a metric was not measured, it is as it last was.
    """
    picks = evenly(len(rows), POINTS)
    found: dict[str, list[Any]] = {"steps": [rows[i][STEPS] for i in picks]}
    for name in names:
        known, curve = None, []
        for row in rows:
            known = known if row.get(name) is None else row[name]
            curve.append(known)
        thinned = [_thin(curve[i]) for i in picks]
        if any(value is not None for value in thinned):
            found[name] = thinned
    return found


def _spread(rows: LogRows) -> dict[str, Any]:
    """Each joint's spread over training, thinned; nothing where the log does not say."""
    steps, each = spreads(rows)
    if not len(steps):
        return {}
    picks = evenly(len(steps), POINTS)
    joints = [[_thin(value) for value in joint] for joint in each[picks].T]
    return {"spread": {"steps": steps[picks].astype(int).tolist(), "joints": joints}}


def _thin(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(f"{value:.4g}")
