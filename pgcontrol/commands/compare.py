"""Run what a YAML of arms and seeds still misses, and write its report."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from pathlib import Path

from pgcontrol.arguments import whole
from pgcontrol.commands.report import CLIPS


def arguments(parser: ArgumentParser) -> None:
    """The sweep."""
    parser.add_argument("sweep", type=Path, metavar="FILE.yaml", help="question, arms and grid")
    parser.add_argument("--jobs", type=whole, metavar="N", help="runs at a time [one a core]")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="folder of the run folders [runs/FILE]")
    parser.add_argument(
        "--again",
        metavar="WHICH",
        help="make finished runs anew, by name ('HalfCheetah-v5-*-s3') or by a word of their verdict (diverged); their"
        " folders are set aside. Failed runs are tried again in any case",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would run and how long it would take")
    parser.add_argument("--clips", choices=("some", "all", "none"), help=CLIPS)
    parser.add_argument(
        "--open", action=BooleanOptionalAction, help="show the report in the browser when all is done [given a display]"
    )


def run(given: Namespace) -> int:
    """Run the missing cells."""
    from rich.console import Console

    from pgcontrol.experiment.compare import compare
    from pgcontrol.experiment.executor import Local
    from pgcontrol.experiment.sweep import read_sweep
    from pgcontrol.learning.signals import STOPPED, like_ctrl_c
    from pgcontrol.view.display import has_display
    from pgcontrol.view.doctor import usable_cpus

    sweep, jobs = read_sweep(given.sweep), given.jobs or usable_cpus()
    where = given.runs or Path("runs") / given.sweep.stem
    clips = given.clips or "some"
    show = has_display() if given.open is None else given.open
    try:
        with like_ctrl_c():
            console = Console(highlight=False)
            return compare(sweep, Local(jobs), where, console, clips, show, given.dry_run, given.again)
    except KeyboardInterrupt:
        print(f"stopped; to go on: {_typed('compare', given, 'jobs', 'runs', 'clips', 'open')}")
        print(f"a report of what there is: {_typed('report', given, 'runs', 'clips')}")
        return STOPPED


def _typed(command: str, given: Namespace, *flags: str) -> str:
    """A command on the same sweep, with those of the flags that were given."""
    words = ["pgcontrol", command, str(given.sweep)]
    for flag in flags:
        value = getattr(given, flag)
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            words += [f"--{flag}", str(value)]
    return shlex.join(words)
