"""The outcome of a run, in outcome.json: its score, thinned curves, and the behaviour of its policy.

It is written when the run ends, so that comparing runs only needs reading. The file is small enough to be committed.
"""

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from pgcontrol.arguments import EVALUATION_SEED
from pgcontrol.machine import files
from pgcontrol.measures.curves import RETURN, STEPS, LogRows, spreads
from pgcontrol.measures.statistics import standard_error
from pgcontrol.play.evaluate import COMMON, summary
from pgcontrol.runs.evaluation import played
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.log import read_rows
from pgcontrol.training.behaviour import evenly, look

POINTS = 50  # points of a curve: enough for a plot, small enough to commit
CURVES = (RETURN, "train/std", "train/kl", "train/approx_kl", "train/clip_fraction", "train/explained_variance")
CURVES += ("train/entropy_loss", "health/sensitivity", "health/noise_scale", "time/time_elapsed")


def write(folder: RunFolder, episodes: int) -> dict[str, Any]:
    """Compute the outcome of a run that has ended, from its log and its checkpoints, and write it to its folder.

    Args:
        folder: the run folder.
        episodes: number of episodes to score the final policy; 0: it is not scored.

    Returns:
        The outcome as JSON values; empty if the log has no row.
    """
    rows = read_rows(folder.metrics_file)
    if not rows:
        return {}
    last = rows[-1]
    found = score(folder, episodes)
    found |= {"training": last.get(RETURN), "steps": last[STEPS], "curves": curves(rows, CURVES)}
    found |= _spread(rows) | look(folder.path) | {"date": datetime.date.today().isoformat()}
    files.write_json(folder.outcome_file, found)
    return found


def read(folder: RunFolder, episodes: int) -> dict[str, Any]:
    """The outcome of a run, scored with `episodes` episodes.

    It is computed if it is missing, as in runs of older versions and in killed ones, or has another number of episodes.
    """
    kept = files.read_json(folder.outcome_file)
    return kept if kept.get("episodes") == episodes else write(folder, episodes)


def score(folder: RunFolder, episodes: int) -> dict[str, Any]:
    """Evaluate the final policy from start states that are common to all runs, as `pgcontrol eval` does.

    Args:
        folder: the run folder.
        episodes: number of episodes; 0: the policy is not scored.

    Returns:
        `return` of the mode and its standard `error` over the episodes (None for a single one), return of the
        `sampled` policy, the task's own metrics (`measured`), the number of `episodes`, and the `evaluation_seed` of
        the start states.

    Raises:
        InputError: the run has no policy.
    """
    if not episodes:
        return {"return": None, "sampled": None, "episodes": 0, "evaluation_seed": EVALUATION_SEED}
    threads = folder.manifest().get("threads", {}).get("physics", 0)
    result = played(folder.path, episodes, threads=threads)
    mode, sampled = result.agents["mode"], result.agents["sampled"]
    row = summary(mode, "") | summary(sampled, "_sampled")
    found = {"return": row["eval/mean_reward"], "sampled": row["eval/mean_reward_sampled"]}
    found |= {"error": standard_error(mode.returns), "episodes": episodes, "evaluation_seed": result.seed}
    return found | measured(row)


def measured(row: Mapping[str, Any]) -> dict[str, Any]:
    """The task's own metrics in an evaluation; those of samples have the suffix `_sampled`. Empty if there are none."""
    found = {name.removeprefix("eval/"): value for name, value in row.items() if name.startswith("eval/")}
    own = {name: _thin(value) for name, value in found.items() if name.removesuffix("_sampled") not in COMMON}
    return {"measured": own} if own else {}


def curves(rows: LogRows, names: Iterable[str]) -> dict[str, list[Any]]:
    """Thinned curves of the metrics that the log has, by name, and their `steps`.

    Where a metric is missing in a row, the previous value is used.
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
    """Thinned curves of each joint's spread; empty if the log does not have it."""
    steps, each = spreads(rows)
    if not len(steps):
        return {}
    picks = evenly(len(steps), POINTS)
    joints = [[_thin(value) for value in joint] for joint in each[picks].T]
    return {"spread": {"steps": steps[picks].astype(int).tolist(), "joints": joints}}


def _thin(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(f"{value:.4g}")
