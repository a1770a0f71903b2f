"""`pgcontrol.compare` and `pgcontrol.report`: from a sweep's YAML to its rows, tables and page."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgcontrol.arguments import CompareOptions, ReportOptions
from pgcontrol.machine.terminal import Terminal
from pgcontrol.options import InputError, takes
from pgcontrol.reporting import page, tables, videos
from pgcontrol.reporting.queries import Queries
from pgcontrol.sweep import found, results
from pgcontrol.sweep.compare import Rows, run
from pgcontrol.sweep.engines import executor_of
from pgcontrol.sweep.executor import Executor
from pgcontrol.sweep.searching import search
from pgcontrol.sweep.sweep import Sweep, read_sweep
from pgcontrol.text import count


class NoResults(InputError):
    """A sweep has no row yet."""


@dataclass(frozen=True)
class Comparison:
    """A sweep, its rows, and the report of them.

    Attributes:
        queries: the sweep and its rows, to be asked.
        page: the report; None where there is no row, or after a dry run.
        missing: names of the runs without a row: of a dry run, what would run.
        failed: run -> why it has no row.
        seconds: that the missing runs were expected to take, one after the other; None where nothing was measured.
        left_out: how many rows in the file are not of this sweep as it is asked now, and why; empty where none.
    """

    queries: Queries
    page: Path | None
    missing: list[str]
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float | None = None
    left_out: str = ""

    @property
    def exit_code(self) -> int:
        """1 when a run failed."""
        return int(bool(self.failed))

    def rows(self) -> list[dict[str, Any]]:
        """A row a run, such as `pandas.DataFrame` takes; the columns of NAME.csv."""
        return [dict(zip(tables.RUNS, line, strict=True)) for line in tables.runs(self.queries)]

    def summary(self) -> list[dict[str, Any]]:
        """A row for each task and arm, with interquartile mean and interval; the columns of NAME.summary.csv."""
        return [dict(zip(tables.SUMMARY, line, strict=True)) for line in tables.summary(self.queries)]


@takes(CompareOptions)
def compare(options: CompareOptions) -> Comparison:
    """Run what a sweep of arms and seeds still misses, after its search, and write its tables and its report.

    Raises:
        InputError: the file, a run of it or a setting is wrong, or the engine is not there.
        KeyboardInterrupt: it was stopped; the same call goes on.
    """
    sweep, console = read_sweep(options.sweep), Terminal(quiet=options.quiet, highlight=False)
    where = options.runs or Path("runs") / options.sweep.stem
    executor = executor_of(sweep.on.changed(options.on, options.cores), options.jobs)
    if options.cancel:
        return _cancelled(sweep, executor, where, console)
    try:
        return _compared(options, sweep, executor, where, console)
    except KeyboardInterrupt:
        if executor.outlasts:
            console.print("what is queued or runs goes on; --cancel ends it", markup=False)
        raise


def _cancelled(sweep: Sweep, executor: Executor, where: Path, console: Terminal) -> Comparison:
    if not executor.outlasts:
        raise InputError("--cancel: runs on this machine end with the compare that began them; say --on slurm or ray")
    console.print(f"{count(executor.cancel(where), 'job')} cancelled; what they came to stays", markup=False)
    queries = Queries(sweep, results.read(sweep), where)
    return Comparison(queries, None, [cell.name for cell in sweep.cells if cell.key not in queries.rows])


def _compared(options: CompareOptions, sweep: Sweep, executor: Executor, where: Path, console: Terminal) -> Comparison:
    if options.search_only and not sweep.search:
        raise InputError(f"--search-only: {options.sweep} has no search")
    dry, searched, file = options.dry_run, True, found.file_of(sweep.path)
    say = functools.partial(console.print, markup=False, soft_wrap=True)
    if sweep.search and found.answers(file, sweep.search):
        say(f"search: done, see {file}")
    elif sweep.search:
        searched = search(sweep, executor, where / "search", say, dry)
        sweep = read_sweep(options.sweep)  # with the settings that were found
    if options.search_only or not (searched or dry):
        queries = Queries(sweep, results.reported(sweep), where)
        missing = [cell.name for cell in sweep.cells if cell.key not in queries.rows]
        failed = {} if searched or dry else {"search": "trials failed"}
        return Comparison(queries, None if dry else publish(queries, options.clips, say), missing, failed)
    return carry_out(sweep, executor, where, console, options.clips, dry, options.again)


def carry_out(
    sweep: Sweep,
    executor: Executor,
    where: Path,
    console: Terminal,
    clips: str = "some",
    dry: bool = False,
    again: str | None = None,
) -> Comparison:
    """Run the cells that have no row yet; write tables now and then meanwhile, and the report at the end.

    Args:
        sweep, executor, where, console, dry, again: see `pgcontrol.sweep.compare.run`.
        clips: of which runs the report has videos; see `publish`.
    """
    written: Path | None = None

    def meanwhile(rows: Rows) -> None:
        tables.write(Queries(sweep, rows, where))

    def finish(rows: Rows) -> None:
        nonlocal written
        queries = Queries(sweep, rows, where)
        written = publish(queries, clips, lambda line: console.print(line, markup=False, soft_wrap=True))

    ran = run(sweep, executor, where, console, dry, again, meanwhile, finish)
    seconds = sum(ran.expected.values()) if ran.expected else None
    return Comparison(Queries(sweep, ran.rows, where), written, ran.missing, ran.failed, seconds)


@takes(ReportOptions)
def report(options: ReportOptions) -> Comparison:
    """Write the tables and the report of a sweep from the rows there are; nothing is run.

    Raises:
        NoResults: there is no row yet.
        InputError: the file or a setting is wrong.
    """
    path, sweep = options.sweep, sweep_of(options.sweep)
    done = results.reported(sweep)
    left_out = results.left_out(sweep, done)
    if not done and not Queries(sweep, done).trials:
        why = f" ({left_out})" if left_out else ""
        raise NoResults(f"no results for {path} yet{why}; pgcontrol compare {path} runs them")
    where = options.runs or Path("runs") / path.stem
    results.refresh(sweep, done, where)  # not kept: a sweep may be at work, and adding rows
    queries, console = Queries(sweep, done, where), Terminal(quiet=options.quiet, highlight=False)
    written = publish(queries, options.clips, lambda line: console.print(line, markup=False, soft_wrap=True))
    missing = [cell.name for cell in sweep.cells if cell.key not in done]
    return Comparison(queries, written, missing, left_out=left_out)


def sweep_of(path: Path) -> Sweep:
    """The sweep of a file, to be reported.

    Raises:
        InputError: the file or a setting is wrong.
    """
    if not path.name:
        raise InputError(f"{path} is a folder: name a sweep's YAML file")
    return read_sweep(path, checked=not results.foreign_plugins(path.with_suffix(".jsonl")))


def publish(queries: Queries, clips: str, say: Callable[[str], object]) -> Path | None:
    """Tables, videos and NAME.html of the rows and trials there are; what cannot be filmed is left out, and said.

    Args:
        queries: of the sweep's rows.
        clips: some, all or none: of which runs there are videos.
        say: hears what is filmed, and what cannot be.

    Returns:
        The page; None where there is no row nor trial yet: tables and report of other settings, if there are any, stay.
    """
    if not (queries.rows or queries.trials):
        return None
    if queries.rows:
        tables.write(queries)
    return page.write(queries, videos.videos(queries, clips, say))
