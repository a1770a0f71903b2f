"""Run what a YAML of arms and seeds still misses, and write its report."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pgcontrol.commands.report import CLIPS
from pgcontrol.options import REQUIRED, option

if TYPE_CHECKING:
    from rich.console import Console

    from pgcontrol.sweep.executor import Executor
    from pgcontrol.sweep.sweep import Sweep

AGAIN = (
    "make finished runs anew, by name ('HalfCheetah-v5-*-s3') or by a word of their verdict (diverged); their folders"
    " are set aside. Failed runs are tried again in any case"
)


@dataclass(frozen=True)
class Options:
    """The sweep."""

    sweep: Path = option(REQUIRED, "question, arms and grid", metavar="FILE.yaml", positional=True)
    jobs: int | None = option(None, "runs at a time [one a core]", least=1)
    runs: Path | None = option(None, "folder of the run folders [runs/FILE]", metavar="DIR")
    again: str | None = option(None, AGAIN, metavar="WHICH")
    dry_run: bool = option(False, "say what would run and how long it would take")
    clips: str = option("some", CLIPS, choices=("some", "all", "none"))
    open: bool | None = option(None, "show the report in the browser when all is done, or not [given a display]")


def run(options: Options) -> int:
    """Run the missing cells."""
    from rich.console import Console

    from pgcontrol.machine.cores import usable_cpus
    from pgcontrol.machine.graphics import has_display
    from pgcontrol.machine.signals import STOPPED, like_ctrl_c
    from pgcontrol.sweep.executor import Local
    from pgcontrol.sweep.sweep import read_sweep

    sweep, jobs = read_sweep(options.sweep), options.jobs or usable_cpus()
    where = options.runs or Path("runs") / options.sweep.stem
    show = has_display() if options.open is None else options.open
    try:
        with like_ctrl_c():
            console = Console(highlight=False)
            return compare(sweep, Local(jobs), where, console, options.clips, show, options.dry_run, options.again)
    except KeyboardInterrupt:
        print(f"stopped; to go on: {_typed('compare', options, 'jobs', 'runs', 'clips', 'open')}")
        print(f"a report of what there is: {_typed('report', options, 'runs', 'clips')}")
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
    from pgcontrol.reporting import publish, tables
    from pgcontrol.reporting.queries import Queries
    from pgcontrol.sweep.compare import Rows, run

    def meanwhile(rows: Rows) -> None:
        tables.write(Queries(sweep, rows, where))

    def finish(rows: Rows) -> None:
        queries = Queries(sweep, rows, where)
        console.print(tables.terminal(queries))
        publish(queries, clips, show, lambda line: console.print(line, markup=False, soft_wrap=True))

    return run(sweep, executor, where, console, dry, again, meanwhile, finish)


def _typed(command: str, options: Options, *flags: str) -> str:
    """A command on the same sweep, with those of the flags that differ from their defaults."""
    words = ["pgcontrol", command, str(options.sweep)]
    for flag in flags:
        value = getattr(options, flag)
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif value != getattr(Options, flag):
            words += [f"--{flag}", str(value)]
    return shlex.join(words)
