"""`pgcontrol compare FILE.yaml`: run what is missing, keep a row of each cell, write the report."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.live import Live

from pgcontrol.experiment import results, tables
from pgcontrol.experiment.board import Board
from pgcontrol.experiment.executor import Executor, asked_of
from pgcontrol.experiment.expected import wall, words
from pgcontrol.experiment.report import publish
from pgcontrol.experiment.results import Row, score
from pgcontrol.experiment.sweep import Cell, Sweep
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.log import read_rows


def compare(
    sweep: Sweep,
    executor: Executor,
    where: Path,
    console: Console,
    clips: str = "some",
    show: bool = False,
    dry: bool = False,
) -> int:
    """Run the cells that have no row yet; tables are written anew after each, the report at the end.

    Args:
        sweep: what to run.
        executor: what runs it.
        where: folder of the run folders.
        console: for the live table, or one line a cell where the output is no terminal.
        clips: of which runs the report has videos; see `publish`.
        show: the report, in the browser.
        dry: say what would run and how long it would take, and run nothing.

    Returns:
        Exit code: 1 when a cell failed.
    """

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    done = results.read(sweep)
    missing = [cell for cell in sweep.cells if cell.key not in done]
    for cell in list(missing):
        if _ended(cell, where / cell.name):  # it ended, but whoever watched it did not see
            done[cell.key] = _keep(sweep, cell, where / cell.name)
            missing.remove(cell)
    say(f"{sweep.question}\n{len(sweep.cells)} runs, {len(done)} of them done, {executor.jobs} at a time")
    times = executor.expected(missing) if missing else {}
    if times:
        untold = "" if len(times) == len(missing) else f", {len(missing) - len(times)} of them not reckoned"
        say(f"expected: about {words(wall(missing, times, executor.jobs))} for {len(missing)} runs{untold}")
    if dry:
        return 0
    failures: list[str] = []
    board = Board(missing, where, times, executor.jobs)
    with closing(executor.run(missing, where)) as outcomes, Live(console=console, transient=True) as live:
        for outcome in outcomes:
            if outcome is None:
                if console.is_terminal:
                    live.update(board.table())
                continue
            cell = outcome.cell
            if outcome.error and not _ended(cell, outcome.folder):
                failures.append(f"{cell.name} failed: {outcome.error} (log: {where / cell.name}.log)")
                board.failed.add(cell.key)
                say(failures[-1])
                continue
            row = done[cell.key] = board.ended[cell.key] = _keep(sweep, cell, outcome.folder)
            tables.write(sweep, done)
            told = f"{cell.name}: return {score(row):,.0f} in {row['seconds']:,.0f} s"
            told += f", diverged at step {row['steps']:,}" if row["diverged"] else ""
            say(told + (f", {row['verdict']}" if row["verdict"] else ""))
    console.print(tables.terminal(sweep, done))
    if failures:
        say(f"{len(failures)} of {len(sweep.cells)} cells failed; the same command tries them again")
    publish(sweep, done, where, clips, show, say)
    return int(bool(failures))


def _ended(cell: Cell, folder: Path) -> bool:
    """Whether the cell's run has come to an end of its own: divergence is a result, too."""
    if not asked_of(cell, folder):
        return False
    status = RunFolder(folder).manifest().get("status")
    return status == "finished" or (status == "diverged" and bool(read_rows(folder / "metrics.jsonl")))


def _keep(sweep: Sweep, cell: Cell, folder: Path) -> Row:
    row = results.row_of(cell, folder, sweep.plots)
    results.add(sweep, row)
    return row
