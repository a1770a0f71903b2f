"""`pgcontrol.compare` and `pgcontrol.report`: from the YAML of a sweep to its rows, tables and page."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgcontrol.arguments import CompareOptions, ReportOptions
from pgcontrol.machine.terminal import Terminal
from pgcontrol.options import InputError, takes
from pgcontrol.parts import command
from pgcontrol.reporting import page, tables, videos
from pgcontrol.reporting.queries import Queries
from pgcontrol.sweep import found, results, trials
from pgcontrol.sweep.compare import Rows, run
from pgcontrol.sweep.engines import executor_of
from pgcontrol.sweep.executor import Executor
from pgcontrol.sweep.searching import expect, outdated, require_found, search
from pgcontrol.sweep.sweep import Sweep, read_sweep
from pgcontrol.text import count


class NoResults(InputError):
    """The sweep has no row yet."""


@dataclass(frozen=True)
class Comparison:
    """A sweep, its rows, and the report of them.

    Attributes:
        queries: queries on the sweep and its rows.
        page: path of the report; None without any row, or after a dry run.
        missing: names of the runs without a row; after a dry run, of the runs that would be made.
        failed: run -> error message.
        seconds: expected total duration of the missing runs, one after the other; None if nothing was measured.
        left_out: how many rows of the file do not match the sweep as it is now, and why; empty if none.
    """

    queries: Queries
    page: Path | None
    missing: list[str]
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float | None = None
    left_out: str = ""

    @property
    def exit_code(self) -> int:
        """1 if a run failed, otherwise 0."""
        return int(bool(self.failed))

    def rows(self) -> list[dict[str, Any]]:
        """One row per run, for example for `pandas.DataFrame`; the columns are those of NAME.csv."""
        return [dict(zip(tables.RUNS, line, strict=True)) for line in tables.runs(self.queries)]

    def summary(self) -> list[dict[str, Any]]:
        """One row for each task and arm; the columns are those of NAME.summary.csv."""
        return [dict(zip(tables.SUMMARY, line, strict=True)) for line in tables.summary(self.queries)]


@takes(CompareOptions)
def compare(options: CompareOptions) -> Comparison:
    """Run the missing trials and runs of a sweep, and write its tables and its report.

    Raises:
        InputError: the file, one of its runs or a setting is invalid, or the engine is not available.
        KeyboardInterrupt: it was stopped; the same call continues.
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
            console.print("queued and running jobs continue; --cancel ends them")
        raise


def _cancelled(sweep: Sweep, executor: Executor, where: Path, console: Terminal) -> Comparison:
    if not executor.outlasts:
        raise InputError("--cancel: local runs end with the compare that started them; add --on slurm or --on ray")
    console.print(f"{count(executor.cancel(where), 'job')} cancelled; their checkpoints are kept")
    queries = Queries(sweep, results.read(sweep), where)
    return Comparison(queries, None, [cell.name for cell in queries.missing])


def _compared(options: CompareOptions, sweep: Sweep, executor: Executor, where: Path, console: Terminal) -> Comparison:
    if options.search_only and not sweep.search:
        raise InputError(f"--search-only: {options.sweep} has no search")
    dry, searched, before, file = options.dry_run, True, 0.0, found.file_of(sweep.path)
    say = functools.partial(console.print, soft_wrap=True)
    if note := outdated(sweep):
        say(note)
    require_found(sweep)
    if sweep.search and found.answers(file, sweep.search):
        say(f"search: done, see {file}")
    elif sweep.search:
        if not (dry or options.dirty):
            results.require_clean(trials.file_of(sweep.path))
        seconds = expect(sweep, executor, say)
        before, searched = (seconds, False) if dry else (0.0, search(sweep, executor, where / "search", say))
        sweep = read_sweep(options.sweep)  # now with the settings that were found
    if options.search_only or not (searched or dry):
        queries = Queries(sweep, results.reported(sweep), where)
        missing = [cell.name for cell in queries.missing]
        failed = {} if searched or dry else {"search": "trials failed"}
        return Comparison(queries, None if dry else publish(queries, options.clips, say), missing, failed)
    return carry_out(sweep, executor, where, console, options.clips, dry, options.again, before, options.dirty)


def carry_out(
    sweep: Sweep,
    executor: Executor,
    where: Path,
    console: Terminal,
    clips: str = "some",
    dry: bool = False,
    again: str | None = None,
    before: float = 0.0,
    dirty: bool = False,
) -> Comparison:
    """Run the cells that have no row yet; write the tables regularly, and the report at the end.

    Args:
        sweep, executor, where, console, dry, again, before, dirty: see `pgcontrol.sweep.compare.run`.
        clips: see `publish`.
    """
    written: Path | None = None

    def meanwhile(rows: Rows) -> None:
        tables.write(Queries(sweep, rows, where))

    def finish(rows: Rows) -> None:
        nonlocal written
        queries = Queries(sweep, rows, where)
        written = publish(queries, clips, lambda line: console.print(line, soft_wrap=True))

    ran = run(sweep, executor, where, console, dry, again, before, meanwhile, finish, dirty)
    seconds = sum(ran.expected.values()) if ran.expected else None
    return Comparison(Queries(sweep, ran.rows, where), written, ran.missing, ran.failed, seconds)


@takes(ReportOptions)
def report(options: ReportOptions) -> Comparison:
    """Write the tables and the report of a sweep from its existing rows, without any run.

    Raises:
        NoResults: there is no row yet.
        InputError: the file or a setting is invalid.
    """
    path, sweep = options.sweep, sweep_of(options.sweep)
    done = results.reported(sweep)
    left_out = results.left_out(sweep, done)
    if not done and not Queries(sweep, done).trials:
        why = f" ({left_out})" if left_out else ""
        raise NoResults(f"no results for {path} yet{why}; {command('compare', path)} runs them")
    where = options.runs or Path("runs") / path.stem
    results.refresh(sweep, done, where)  # not saved, because a running sweep may be adding rows
    queries, console = Queries(sweep, done, where), Terminal(quiet=options.quiet, highlight=False)
    written = publish(queries, options.clips, lambda line: console.print(line, soft_wrap=True))
    missing = [cell.name for cell in queries.missing]
    return Comparison(queries, written, missing, left_out=left_out)


def sweep_of(path: Path) -> Sweep:
    """The sweep of a file, for a report.

    Raises:
        InputError: the file or a setting is invalid.
    """
    if not path.name:
        raise InputError(f"{path} is a folder; give the YAML file of a sweep")
    return read_sweep(path, checked=not results.foreign_plugins(path.with_suffix(".jsonl")))


def publish(queries: Queries, clips: str, say: Callable[[str], object]) -> Path | None:
    """Write the tables, videos and NAME.html of the existing rows and trials; videos that fail are left out.

    Args:
        queries: the sweep and its rows.
        clips: which runs get videos: some, all or none.
        say: called with progress and with the reason if a video cannot be made.

    Returns:
        Path of the page; None without any row or trial. Existing tables and reports of other settings are then kept.
    """
    if not (queries.rows or queries.trials):
        return None
    if queries.rows:
        tables.write(queries)
    return page.write(queries, videos.videos(queries, clips, say))
