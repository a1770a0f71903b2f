"""`pgcontrol compare FILE.yaml`: run what is missing, keep a row of each cell, write the tables."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from pgcontrol.experiment import results, tables
from pgcontrol.experiment.executor import Executor, asked_of
from pgcontrol.experiment.results import RETURN, Row, score
from pgcontrol.experiment.sweep import Cell, Sweep
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.log import read_rows, short


def compare(sweep: Sweep, executor: Executor, jobs: int, where: Path, console: Console) -> int:
    """Run the cells that have no row yet; tables are written anew after each.

    Args:
        sweep: what to run.
        executor: what runs it.
        jobs: how many cells it runs at a time, for the time left.
        where: folder of the run folders.
        console: for the live table, or one line a cell where the output is no terminal.

    Returns:
        Exit code: 1 when a cell failed.
    """
    done = results.read(sweep)
    missing = [cell for cell in sweep.cells if cell.key not in done]
    for cell in list(missing):
        if _ended(cell, where / cell.name):  # it ended, but whoever watched it did not see
            done[cell.key] = _keep(sweep, cell, where / cell.name)
            missing.remove(cell)
    console.print(
        f"{sweep.question}\n{len(sweep.cells)} runs, {len(done)} of them done, {jobs} at a time", markup=False
    )
    failures: list[str] = []
    began, before = time.monotonic(), len(done)
    with closing(executor.run(missing, where)) as outcomes, Live(console=console, transient=True) as live:
        for outcome in outcomes:
            if outcome is None:
                if console.is_terminal:
                    left = _left(time.monotonic() - began, len(done) - before, len(missing), len(failures))
                    live.update(progress(missing, done, where, left))
                continue
            cell = outcome.cell
            if outcome.error and not _ended(cell, outcome.folder):
                failures.append(f"{cell.name} failed: {outcome.error} (log: {where / cell.name}.log)")
                console.print(failures[-1], markup=False, soft_wrap=True)
                continue
            row = done[cell.key] = _keep(sweep, cell, outcome.folder)
            tables.write(sweep, done)
            words = f"{cell.name}: return {score(row):,.0f} in {row['seconds']:,.0f} s"
            words += f", diverged at step {row['steps']:,}" if row["diverged"] else ""
            console.print(words, markup=False, soft_wrap=True)
    tables.write(sweep, done)
    console.print(tables.terminal(sweep, done))
    if failures:
        console.print(f"{len(failures)} of {len(sweep.cells)} cells failed; the same command tries them again")
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


def _left(elapsed: float, done: int, missing: int, failed: int) -> str:
    if not done:
        return ""
    seconds = elapsed / done * (missing - done - failed)
    return f"about {seconds / 60:,.0f} min left"


def progress(cells: Sequence[Cell], done: dict, where: Path, left: str) -> Table:
    """Where the cells under way are: those in `done` and those not begun are left out."""
    table = Table("running", "steps", "return", "σ", "steps/s", caption=left)
    for cell in cells:
        file = where / cell.name / "metrics.jsonl"
        if cell.key in done or not file.exists():
            continue
        rows = read_rows(file)
        if rows:
            last = rows[-1]
            numbers = (last.get(RETURN), last.get("train/std"), last.get("time/fps"))
            shown = ["" if n is None else short(n) for n in numbers]
            table.add_row(cell.name, f"{last['time/total_timesteps']:,}", *shown)
    return table
