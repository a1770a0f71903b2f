"""Run what a YAML of arms and seeds still misses, and write its report."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from pgcontrol.arguments import whole
from pgcontrol.commands.report import CLIPS


def arguments(parser: ArgumentParser) -> None:
    """The sweep."""
    parser.add_argument("sweep", type=Path, metavar="FILE.yaml", help="question, arms and grid")
    parser.add_argument("--jobs", type=whole, metavar="N", help="runs at a time [one a core]")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="folder of the run folders [runs/FILE]")
    parser.add_argument("--dry-run", action="store_true", help="say what would run and how long it would take")
    parser.add_argument("--clips", choices=("some", "all", "none"), default="some", help=CLIPS)
    parser.add_argument("--open", action="store_true", help="show the report in the browser when all is done")


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
        return compare(sweep, Local(jobs), where, Console(highlight=False), given.clips, given.open, given.dry_run)
    except KeyboardInterrupt:
        print(f"stopped; to go on: pgcontrol compare {given.sweep}")
        print(f"a report of what there is: pgcontrol report {given.sweep}")
        return 130
