"""Run what a YAML of arms and seeds still misses, and write its tables."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from pgcontrol.arguments import whole


def arguments(parser: ArgumentParser) -> None:
    """The sweep."""
    parser.add_argument("sweep", type=Path, metavar="FILE.yaml", help="question, arms and grid")
    parser.add_argument("--jobs", type=whole, metavar="N", help="runs at a time [one a core]")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="folder of the run folders [runs/FILE]")


def run(given: Namespace) -> int:
    """Run the missing cells."""
    from rich.console import Console

    from pgcontrol.experiment.compare import compare
    from pgcontrol.experiment.executor import Local
    from pgcontrol.experiment.sweep import read_sweep
    from pgcontrol.view.doctor import usable_cpus

    sweep, jobs = read_sweep(given.sweep), given.jobs or usable_cpus()
    where = given.runs or Path("runs") / given.sweep.stem
    try:
        return compare(sweep, Local(jobs), jobs, where, Console(highlight=False))
    except KeyboardInterrupt:
        print(f"stopped; to go on: pgcontrol compare {given.sweep}")
        return 130
