"""`pgcontrol compare FILE.yaml`: run what is missing, keep a row of each cell, write the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from pgcontrol.experiment import results, tables
from pgcontrol.experiment.executor import Executor, asked_of
from pgcontrol.experiment.expected import wall, words
from pgcontrol.experiment.report import publish
from pgcontrol.experiment.results import RETURN, Row, score
from pgcontrol.experiment.sweep import Cell, Sweep
from pgcontrol.runs.config import configure
from pgcontrol.runs.folder import RunFolder
from pgcontrol.runs.log import read_rows, short

SHOWN = 6
"""Finished runs in the live table, the newest."""


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
    board = Board(missing, done, where, times, executor.jobs)
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
            row = done[cell.key] = _keep(sweep, cell, outcome.folder)
            tables.write(sweep, done)
            told = f"{cell.name}: return {score(row):,.0f} in {row['seconds']:,.0f} s"
            told += f", diverged at step {row['steps']:,}" if row["diverged"] else ""
            say(told + "".join(f", {verdict}" for verdict in row["verdicts"]))
    console.print(tables.terminal(sweep, done))
    if failures:
        say(f"{len(failures)} of {len(sweep.cells)} cells failed; the same command tries them again")
    publish(sweep, done, where, clips, show, say)
    return int(bool(failures))


class Board:
    """The live table: what runs, what has just ended, and when all will have."""

    def __init__(
        self,
        cells: Sequence[Cell],
        done: Mapping[tuple[str, str, int], Row],
        where: Path,
        times: Mapping[tuple[str, str, int], float],
        jobs: int,
    ) -> None:
        self.cells, self.done, self.where, self.times, self.jobs = cells, done, where, times, jobs
        self.failed: set[tuple[str, str, int]] = set()
        self._budgets = {cell.key: configure(cell.settings).total_steps for cell in cells}

    def table(self) -> Table:
        """As things stand."""
        shares: dict[tuple[str, str, int], float] = {}
        running = []
        for cell in self.cells:
            file = self.where / cell.name / "metrics.jsonl"
            if cell.key in self.done or cell.key in self.failed or not file.exists():
                continue
            if rows := read_rows(file):
                last = rows[-1]
                shares[cell.key] = share = min(last["time/total_timesteps"] / self._budgets[cell.key], 1.0)
                numbers = (last.get(RETURN), last.get("train/std"), last.get("time/fps"))
                shown = ["" if n is None else short(n) for n in numbers]
                verdict = ", ".join(results.verdicts(self.where / cell.name))
                running.append((cell.name, f"{share:.0%}", *shown, verdict))
        ended = [cell for cell in self.cells if cell.key in self.done][-SHOWN:]
        waiting = len(self.cells) - len(running) - len(self.failed) - sum(c.key in self.done for c in self.cells)
        table = Table("run", "done", "return", "σ", "steps/s", "verdict", caption=self._caption(shares, waiting))
        for cell in ended:
            row = self.done[cell.key]
            std = row["curves"].get("train/std", [None])[-1]
            verdict = ", ".join(row["verdicts"]) or ("diverged" if row["diverged"] else "")
            numbers = (score(row), std, row["steps"] / row["seconds"])
            table.add_row(cell.name, "✓", *("" if n is None else short(n) for n in numbers), verdict, style="dim")
        for line in running:
            table.add_row(*line)
        return table

    def _caption(self, shares: Mapping[tuple[str, str, int], float], waiting: int) -> str:
        told = [f"{waiting} waiting"] if waiting else []
        if (left := self.left(shares)) is not None:
            told.append(f"about {words(left)} left")
        return ", ".join(told)

    def left(self, shares: Mapping[tuple[str, str, int], float]) -> float | None:
        """Seconds to the end: what was expected of the rest, by as much as the finished part came out otherwise.

        Args:
            shares: how much of the cells that run is done, 0 to 1.
        """
        ended = [cell for cell in self.cells if cell.key in self.done]
        rest = [cell for cell in self.cells if cell.key not in self.done and cell.key not in self.failed]
        known = [cell for cell in ended if cell.key in self.times]
        if not self.times and not ended:
            return None
        mean = sum(self.done[c.key]["seconds"] for c in ended) / len(ended) if ended else 0.0
        taken, told = sum(self.done[c.key]["seconds"] for c in known), sum(self.times[c.key] for c in known)
        factor = taken / told if told else 1.0
        seconds = {
            c.key: (1 - shares.get(c.key, 0.0)) * (factor * self.times[c.key] if c.key in self.times else mean)
            for c in rest
        }
        return wall(sorted(rest, key=lambda c: -shares.get(c.key, 0.0)), seconds, self.jobs)


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
