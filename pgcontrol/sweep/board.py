"""The live table of a sweep: what runs, how far it is, and when all will have ended."""

import heapq
from collections.abc import Generator, Mapping, Sequence, Set
from contextlib import closing
from pathlib import Path

from rich.live import Live
from rich.table import Table

from pgcontrol.machine.terminal import Terminal
from pgcontrol.measures.curves import RETURN
from pgcontrol.runs.log import last_row
from pgcontrol.sweep.executor import Ended, Executor
from pgcontrol.sweep.row import Row
from pgcontrol.sweep.sweep import Cell, Key
from pgcontrol.text import lasting, short


class Board:
    """Where the cells are.

    Args:
        cells: what is to run.
        where: folder of their run folders.
        times: seconds that each is expected to take, where that is known.
        jobs: how many run at a time.

    Attributes:
        ended: filled in by the caller; with a row where there is one, which tells how long the run took.
        failed: filled in by the caller.
    """

    def __init__(self, cells: Sequence[Cell], where: Path, times: Mapping[Key, float] | None = None, jobs: int = 1):
        self.cells, self.where, self.times, self.jobs = cells, where, times or {}, jobs
        self.ended: dict[Key, Row | None] = {}
        self.failed: set[Key] = set()

    def table(self, running: Set[Key]) -> Table:
        """As things stand, while these cells run."""
        table, shares = Table("run", "done", "return", "σ", "steps/s"), dict[Key, float]()
        for cell in self.cells:
            if cell.key in running and (last := last_row(self.where / cell.name / "metrics.jsonl")):
                shares[cell.key] = share = min(last["time/total_timesteps"] / cell.config.total_steps, 1.0)
                numbers = (last.get(RETURN), last.get("train/std"), last.get("time/fps"))
                table.add_row(cell.name, f"{share:.0%}", *("" if n is None else short(n) for n in numbers))
        waiting, left = len(self._open()) - len(running), self.left(shares)
        told = [f"{waiting} waiting"] if waiting else []
        table.caption = ", ".join(told if left is None else [*told, f"about {lasting(left)} left"])
        return table

    def left(self, shares: Mapping[Key, float]) -> float | None:
        """Seconds to the end: what was expected of the rest, by as much as the finished part came out otherwise.

        Args:
            shares: how much of the cells that run is done, 0 to 1.

        Returns:
            None where nothing is known.
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
    """Seconds until the last of the cells has ended, taken in their order, so many at a time."""
    free = [0.0] * jobs
    for cell in cells:
        heapq.heappush(free, heapq.heappop(free) + seconds.get(cell.key, 0.0))
    return max(free)


def follow(executor: Executor, board: Board, console: Terminal) -> Generator[Ended]:
    """Run the cells of a board; each as it ends, with the table meanwhile where the output is a terminal."""
    with closing(executor.run(board.cells, board.where)) as outcomes, Live(console=console, transient=True) as live:
        for outcome in outcomes:
            if isinstance(outcome, Ended):
                yield outcome
            elif console.is_terminal:
                live.update(board.table(outcome))
