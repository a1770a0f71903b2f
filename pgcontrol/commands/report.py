"""Write the reports and tables of sweeps from the runs there are."""

import sys
from dataclasses import dataclass
from pathlib import Path

from pgcontrol.options import REQUIRED, InputError, option

CLIPS = "videos in the report: of the median run of each task and arm, of every run, or of none"


@dataclass(frozen=True)
class Options:
    """The sweeps."""

    sweeps: tuple[Path, ...] = option(REQUIRED, "question, arms and grid", metavar="FILE.yaml", positional=True)
    runs: Path | None = option(None, "folder of the run folders, if there [runs/FILE]", metavar="DIR")
    clips: str = option("some", CLIPS, choices=("some", "all", "none"))
    open: bool = option(False, "show the report in the browser")


def run(options: Options) -> int:
    """Write the reports; 1 where a sweep has no results yet."""
    if options.runs and len(options.sweeps) > 1:
        raise InputError(f"--runs {options.runs}: {len(options.sweeps)} sweeps have no folder in common; report one")
    return max([_report(path, options) for path in options.sweeps])


def _report(path: Path, options: Options) -> int:
    from pgcontrol.reporting import publish
    from pgcontrol.reporting.queries import Queries
    from pgcontrol.sweep import results
    from pgcontrol.sweep.sweep import read_sweep

    sweep = read_sweep(path, checked=not results.foreign_plugins(path.with_suffix(".jsonl")))
    done, left_out = results.read(sweep), results.left_out(sweep)
    if not done:
        why = f" ({left_out})" if left_out else ""
        print(f"no results for {path} yet{why}; pgcontrol compare {path} runs them", file=sys.stderr)
        return 1
    where = options.runs or Path("runs") / path.stem
    print(f"{len(done)} of {len(sweep.cells)} runs")
    if left_out:
        print(left_out)
    results.refresh(sweep, done, where)  # not kept: a sweep may be at work, and adding rows
    publish(Queries(sweep, done, where), options.clips, options.open, print)
    return 0
