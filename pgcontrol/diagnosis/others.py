"""What comparable runs reached: seeds of the same settings in the same folder, or else the table of known results."""

import numpy as np

from pgcontrol.measures.curves import RETURN, STEPS, LogRows, column, smooth
from pgcontrol.measures.returns import Reach
from pgcontrol.options import InputError
from pgcontrol.runs import reached
from pgcontrol.runs.config import Config
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.log import read_rows
from pgcontrol.sweep.cell import run_of


def reach_of(run: RunFolder, rows: LogRows) -> Reach | None:
    """The median of what a run's siblings had reached after as many steps; without siblings, the table's value.

    Siblings are runs in the same folder that differ only in the seed.
    """
    config, last = run.config(), rows[-1][STEPS]
    found = [value for folder in siblings(run, config) if (value := _at(folder, last)) is not None]
    if found:
        seeds = f"the median of {len(found)} runs with other seeds" if len(found) > 1 else "its run with another seed"
        return Reach(float(np.median(found)), seeds)
    return reached.reach(config.env, last)


def siblings(run: RunFolder, config: Config) -> list[RunFolder]:
    """Finished runs in the same parent folder with the same settings except the seed."""
    ours, found = _but_seed(config), []
    for folder in sorted(run.path.absolute().parent.iterdir()):
        other = RunFolder(folder)
        if folder == run.path.absolute() or other.manifest().get("status") != "finished":
            continue
        try:
            theirs = other.config()
        except InputError:  # from another version, or damaged: it cannot be compared
            continue
        if isinstance(theirs, Config) and _but_seed(theirs) == ours:
            found.append(other)
    return found


def _but_seed(config: Config) -> dict[str, object]:
    return {key: value for key, value in run_of(config).items() if key != "seed"}


def _at(run: RunFolder, step: int) -> float | None:
    """The training return at a step; None if the run had not reached it."""
    steps, returns = column(read_rows(run.metrics_file), RETURN)
    return float(np.interp(step, steps, smooth(returns))) if len(steps) and steps[-1] >= 0.9 * step else None
