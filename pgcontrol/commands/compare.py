"""Run what a YAML of arms and seeds still misses, and write its report."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from pgcontrol.arguments import whole
from pgcontrol.commands.report import CLIPS

if TYPE_CHECKING:
    from rich.console import Console

    from pgcontrol.sweep.executor import Executor
    from pgcontrol.sweep.sweep import Sweep


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

    from pgcontrol.machine.cores import usable_cpus
    from pgcontrol.machine.display import has_display
    from pgcontrol.machine.signals import STOPPED, like_ctrl_c
    from pgcontrol.sweep.executor import Local
    from pgcontrol.sweep.sweep import read_sweep

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


def compare(
    sweep: Sweep,
    executor: Executor,
    where: Path,
    console: Console,
    clips: str = "some",
    show: bool = False,
    dry: bool = False,
    again: str | None = None,
) -> int:
    """Run the cells that have no row yet; write tables now and then meanwhile, and the report at the end.

    Args:
        sweep, executor, where, console, dry, again: see `pgcontrol.sweep.compare.run`.
        clips: of which runs the report has videos; see `publish`.
        show: the report, in the browser.

    Returns:
        Exit code: 1 when a cell failed.
    """
    from pgcontrol.report import publish, tables
    from pgcontrol.sweep.compare import Rows, run

    def meanwhile(rows: Rows) -> None:
        tables.write(sweep, rows, where)

    def finish(rows: Rows) -> None:
        console.print(tables.terminal(sweep, rows))
        publish(sweep, rows, where, clips, show, lambda line: console.print(line, markup=False, soft_wrap=True))

    return run(sweep, executor, where, console, dry, again, meanwhile, finish)


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
