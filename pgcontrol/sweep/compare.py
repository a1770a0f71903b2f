"""`pgcontrol compare FILE.yaml`: make the missing runs, save a row for each, write the report."""

import fnmatch
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from pgcontrol.machine.terminal import Terminal
from pgcontrol.options import InputError, near_miss
from pgcontrol.runs.log import read_rows
from pgcontrol.sweep import results, run_state
from pgcontrol.sweep.board import Board, follow, wall
from pgcontrol.sweep.cell import Cell, Key
from pgcontrol.sweep.differences import implied
from pgcontrol.sweep.executor import Ended, Executor, Say
from pgcontrol.sweep.row import Row
from pgcontrol.sweep.sweep import Sweep
from pgcontrol.text import count, lasting, short

EVERY = 60.0  # seconds between two calls of `meanwhile`, because the tables of many runs take seconds to write
Rows = Mapping[Key, Row]
Keep = Callable[[Rows], object]


class Ran(NamedTuple):
    """The result of running a sweep.

    Attributes:
        rows: the rows by key.
        failed: run -> error message.
        missing: names of the runs without a row; after a dry run, of the runs that would be made.
        expected: expected seconds of runs, if measured.
    """

    rows: Rows
    failed: dict[str, str]
    missing: list[str]
    expected: Mapping[Key, float]


def run(
    sweep: Sweep,
    executor: Executor,
    where: Path,
    console: Terminal,
    dry: bool = False,
    again: str | None = None,
    before: float = 0.0,
    meanwhile: Keep = lambda rows: None,
    finish: Keep = lambda rows: None,
    dirty: bool = False,
) -> Ran:
    """Run the cells that have no row yet. Several processes may do this at the same time: they share the cells.

    Args:
        sweep: what to run.
        executor: the engine.
        where: folder of the run folders.
        console: for the live table, or one line per run if the output is not a terminal.
        dry: only print which runs are missing and how long they would take.
        again: which finished runs to repeat, see `_chosen`.
        before: expected seconds of a search that must end before the first run.
        meanwhile: called regularly with the existing rows while runs are made.
        finish: called with all rows at the end, in one process at a time.
        dirty: whether a tree with uncommitted changes may add rows to a committed results file.

    Raises:
        InputError: a cell cannot be run, `again` matches no run, or the tree has uncommitted changes.
    """

    def say(line: str) -> None:
        console.print(line, soft_wrap=True)

    done, missing, aside = _found(sweep, executor, where, dry, say, dirty)
    repeats = _chosen(sweep, done, again) if again else []
    missing = [cell for cell in sweep.cells if cell in missing or cell in repeats]
    # all arms with one seed, then with the next: if the sweep ends early, they have the same number of runs
    missing.sort(key=lambda cell: cell.key.seed)
    aside |= {cell.key: "before" for cell in repeats}
    runs = f"{count(len(sweep.cells), 'run')}, {len(sweep.cells) - len(missing)} of them done"
    say(f"{sweep.question}\n{runs}, {executor.jobs} at a time")
    if lines := implied((cell.key, cell.settings, cell.run()) for cell in sweep.cells):
        say("\n  ".join(["the arms also differ in settings that the YAML does not set:", *lines]))
    for note in filter(None, (results.left_out(sweep, done), results.outdated(sweep, done))):
        say(note)
    if times := executor.expected(missing, say) if missing else {}:
        seconds = wall(missing, times, executor.jobs)
        together = f"; with the search {lasting(before + seconds)}" if before else ""
        say(f"expected: about {lasting(seconds)} for {count(len(missing), 'run')}{together}")
    if dry:
        return Ran(done, {}, [cell.name for cell in missing], times)
    if missing and not dirty:
        results.require_clean(sweep.results)
    if repeats:
        results.rewrite(sweep, gone=[done.pop(cell.key) for cell in repeats])
    for cell in (cell for cell in missing if cell.key in aside):
        _clear(cell, where, aside[cell.key])
    board = Board(missing, where, times, executor.jobs)
    with closing(follow(executor, board, console)) as outcomes:
        failed = _keep(outcomes, sweep, done, board, say, meanwhile, dirty)
    if board.failed:
        say(f"{len(board.failed)} of {len(sweep.cells)} runs failed; the same command tries them again")
    results.rewrite(sweep, results.refresh(sweep, done, where))
    kept = {name for row in done.values() for name in row.curves}
    for plot in results.unknown_plots(sweep, kept) if kept and not missing else []:
        say(f"plots: no finished run has the metric {plot}; --again repeats runs")
    with results.turn(sweep):  # another process may be writing the same report
        finish(done)
    return Ran(done, failed, [cell.name for cell in sweep.cells if cell.key not in done], times)


def _found(
    sweep: Sweep, executor: Executor, where: Path, dry: bool, say: Say, dirty: bool
) -> tuple[dict[Key, Row], list[Cell], dict[Key, str]]:
    """The existing rows, the cells that are still missing, and those whose folder must be set aside, with the reason.

    A run that ended without a row gets its row now, and a run that another sweep has made is borrowed. Folders on which
    another process works stay.
    """
    done, missing, aside = results.read(sweep), [], {}
    asked = [cell for cell in sweep.cells if cell.key not in done]
    busy = executor.at_work(asked, where)
    for cell in asked:
        folder = where / cell.name
        try:
            if cell.key not in busy and run_state.ended(cell, folder):
                if not dry:
                    say(f"{cell.name} has ended; its row is saved now")
                    done[cell.key] = results.row_of(cell, folder, sweep.plots)
                    results.add(sweep, done[cell.key], dirty)
                continue
        except results.Unscored:
            pass  # reported when it has ended again
        except results.Unclean:
            raise
        except InputError as error:
            say(f"{folder} is damaged, so this run starts from the beginning: {error}")
            aside[cell.key] = "damaged"
        missing.append(cell)
    for row in results.borrowed(sweep, missing):
        say(f"{row.key.name}: borrowed from {row.lender}")
        if not dry:
            results.add(sweep, row, dirty)
        done[row.key] = row
    missing = [cell for cell in missing if cell.key not in done]
    for cell in missing:
        if cell.key not in busy | aside.keys() and run_state.foreign(cell, where / cell.name):
            say(f"{where / cell.name} is not a folder of this run; it is set aside")
            aside[cell.key] = "other"
    return done, missing, aside


def _clear(cell: Cell, where: Path, word: str) -> None:
    """Set the folder of a cell aside, unless another process works on it."""
    if (where / cell.name).exists():
        with suppress(InputError), run_state.alone(cell, where):
            run_state.set_aside(where / cell.name, word)


def _keep(
    outcomes: Iterable[Ended],
    sweep: Sweep,
    done: dict[Key, Row],
    board: Board,
    say: Say,
    meanwhile: Keep,
    dirty: bool,
) -> dict[str, str]:
    """Save and report each outcome; returns the failed runs with their error messages."""
    written, failed = time.monotonic(), dict[str, str]()
    for outcome in outcomes:
        cell = outcome.cell
        row, error = _result(sweep, outcome, dirty)
        run_state.note_failure(cell, outcome.folder, error)
        if row is None:
            board.failed.add(cell.key)
            failed[cell.name] = error
            say(f"{cell.name} failed: {error}" + (f" (log: {outcome.log})" if outcome.log else ""))
            continue
        if not board.ended:
            measured = {name for line in read_rows(outcome.folder / "metrics.jsonl") for name in line}
            for plot in results.unknown_plots(sweep, measured):
                say(f"plots: {outcome.folder.name} has no metric {plot}")
        done[cell.key] = board.ended[cell.key] = row
        say(_summary(row))
        if time.monotonic() - written > EVERY:
            meanwhile(done)
            written = time.monotonic()
    return failed


def _result(sweep: Sweep, outcome: Ended, dirty: bool) -> tuple[Row | None, str]:
    """The row of a cell, or the error message; a run may be complete although its process ended with an error."""
    try:
        if outcome.error and not run_state.ended(outcome.cell, outcome.folder):
            return None, outcome.error
        row = results.row_of(outcome.cell, outcome.folder, sweep.plots)
        results.add(sweep, row, dirty)
        return row, ""
    except (results.Unscored, results.Unclean) as error:  # regardless of its process: the run is complete
        return None, str(error)
    except InputError as error:
        return None, outcome.error or str(error)


def _summary(row: Row) -> str:
    line = f"{row.key.name}: return {short(row.score)} in {row.seconds:,.0f} s"
    line += f", diverged at step {row.steps:,}" if row.diverged else ""
    return line + (f", {row.verdict}" if row.verdict else "")


def _chosen(sweep: Sweep, done: Mapping[Key, Row], which: str) -> list[Cell]:
    """The finished cells that match a name, such as `HalfCheetah-v5-*-s3`, or a verdict, such as diverged.

    Raises:
        InputError: none matches, or all of them were borrowed.
    """
    finished = {cell.name: cell for cell in sweep.cells if cell.key in done}
    words = {name: _verdict(done[cell.key]) for name, cell in finished.items()}
    found = [cell for name, cell in finished.items() if fnmatch.fnmatchcase(name, which) or which in words[name]]
    if not found:
        meant = near_miss(which, set(finished).union(*words.values()))
        raise InputError(f"--again {which!r}: no finished run has this name or this verdict{meant}")
    own = [cell for cell in found if not done[cell.key].lender]
    if not own:
        raise InputError(
            f"--again {which!r}: {found[0].name} is borrowed from {done[found[0].key].lender}; repeat it there"
        )
    return own


def _verdict(row: Row) -> list[str]:
    """The verdicts on a run."""
    return (row.verdict.split(", ") if row.verdict else []) + ["diverged"] * row.diverged
