"""The live table of a sweep: the runs at work, their progress, and the remaining time."""

import heapq
from collections.abc import Generator, Mapping, Sequence, Set
from contextlib import closing
from pathlib import Path

from rich.live import Live
from rich.table import Table

from pgcontrol.machine.terminal import Terminal
from pgcontrol.measures.curves import RETURN
from pgcontrol.runs.log import last_row
from pgcontrol.sweep.cell import Cell, Key
from pgcontrol.sweep.executor import Ended, Executor
from pgcontrol.sweep.row import Row
from pgcontrol.text import lasting, short


class Board:
    """The state of the cells of a sweep.

    Args:
        cells: the cells to run.
        where: folder of their run folders.
        times: expected seconds of each cell, if known.
        jobs: number of cells that run at the same time.

    Attributes:
        ended: set by the caller; with the row, if there is one, whose duration is used.
        failed: set by the caller.
    """

    def __init__(self, cells: Sequence[Cell], where: Path, times: Mapping[Key, float] | None = None, jobs: int = 1):
        self.cells, self.where, self.times, self.jobs = cells, where, times or {}, jobs
        self.ended: dict[Key, Row | None] = {}
        self.failed: set[Key] = set()

    def table(self, running: Set[Key]) -> Table:
        """The table while these cells run."""
        table, shares = Table("run", "done", "return", "σ", "steps/s"), dict[Key, float]()
        for cell in self.cells:
            if cell.key in running and (last := last_row(self.where / cell.name / "metrics.jsonl")):
                shares[cell.key] = share = min(last["time/total_timesteps"] / cell.config.total_steps, 1.0)
                numbers = (last.get(RETURN), last.get("train/std"), last.get("time/fps"))
                table.add_row(cell.name, f"{share:.0%}", *("" if n is None else short(n) for n in numbers))
        waiting, left = len(self._open()) - len(running), self.left(shares)
        words = [f"{waiting} waiting"] if waiting else []
        table.caption = ", ".join(words if left is None else [*words, f"about {lasting(left)} left"])
        return table

    def left(self, shares: Mapping[Key, float]) -> float | None:
        """Seconds to the end: the expected time of the rest, scaled by actual over expected time of the finished cells.

        Args:
            shares: progress of the running cells, 0 to 1.

        Returns:
            None if nothing is known.
        """
        took = {key: row.seconds for key, row in self.ended.items() if row}
        known = [key for key in took if key in self.times]
        if not self.times and not took:
            return None
        mean = sum(took.values()) / len(took) if took else 0.0
        factor = sum(took[k] for k in known) / sum(self.times[k] for k in known) if known else 1.0
        rest = sorted(self._open(), key=lambda cell: -shares.get(cell.key, 0.0))
        whole = {cell.key: factor * self.times[cell.key] if cell.key in self.times else mean for cell in rest}
        return wall(rest, {key: (1 - shares.get(key, 0.0)) * seconds for key, seconds in whole.items()}, self.jobs)

    def _open(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.key not in self.ended and cell.key not in self.failed]


def wall(cells: Sequence[Cell], seconds: Mapping[Key, float], jobs: int) -> float:
    """Seconds until the last cell has ended, if they start in order with `jobs` at a time."""
    free = [0.0] * jobs
    for cell in cells:
        heapq.heappush(free, heapq.heappop(free) + seconds.get(cell.key, 0.0))
    return max(free)


def follow(executor: Executor, board: Board, console: Terminal) -> Generator[Ended]:
    """Run the cells of a board and yield each when it ends; shows the table if the output is a terminal."""
    with closing(executor.run(board.cells, board.where)) as outcomes, Live(console=console, transient=True) as live:
        for outcome in outcomes:
            if isinstance(outcome, Ended):
                yield outcome
            elif console.is_terminal:
                live.update(board.table(outcome))
