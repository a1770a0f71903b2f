"""What runs cells: an engine places them, and their folders say how they ended, whoever worked on them."""

import os
import time
from collections.abc import Collection, Generator, Sequence
from pathlib import Path
from typing import NamedTuple

from pgcontrol.machine import files
from pgcontrol.options import InputError
from pgcontrol.sweep import run_state
from pgcontrol.sweep.sweep import Cell, Key
from pgcontrol.sweep.work import ATTEMPTS, PAUSE, Work


class Ended(NamedTuple):
    """A cell that ended.

    Attributes:
        error: empty, or why it failed.
        log: file of its process's output, where that is kept.
    """

    cell: Cell
    folder: Path
    error: str
    log: Path | None = None


Running = frozenset[Key]  # keys of the cells that run just now


class Executor:
    """Runs cells and says, as they end, how they ended.

    Several may run the same cells into the same folder, in other processes or on other machines: each cell is made
    once, and all say how it ended.

    Attributes:
        jobs: how many at a time.
        pause: seconds between two looks at them.
        outlasts: whether they go on when the caller leaves.
    """

    jobs: int = 1
    pause: float = PAUSE
    outlasts: bool = False

    def expected(self, cells: Sequence[Cell]) -> dict[Key, float]:
        """Seconds that each will take, by `Cell.key`, where that can be told; told before anything runs.

        Raises:
            InputError: a cell cannot be run at all.
        """
        return {}

    def alive(self, cells: Collection[Cell], where: Path) -> set[Key]:
        """Which of them the engine has: they wait for a place, or run. A job that has just ended may be among them."""
        return set()

    def place(self, cell: Cell, where: Path) -> bool:
        """Have the engine run `work(cell, where)`; False where another executor has just done so."""
        raise NotImplementedError

    def leave(self, cells: Collection[Cell], where: Path) -> None:
        """The caller takes no more outcomes of these cells."""

    def cancel(self, where: Path) -> int:
        """Take from the engine all that it has of the folder `where`, and of those in it; says how many jobs."""
        return 0

    def at_work(self, cells: Collection[Cell], where: Path) -> set[Key]:
        """Which of them somebody works on, or is to."""
        return self.alive(cells, where) | {cell.key for cell in cells if run_state.held(cell, where)}

    def run(self, cells: Sequence[Cell], where: Path) -> Generator[Ended | Running]:
        """Outcomes in the order they come; now and then what runs, for whoever shows progress meanwhile.

        Args:
            cells: what to run.
            where: folder of the run folders; what is half finished there is resumed.

        Raises:
            InputError: the jobs end before any has begun.
        """
        where.mkdir(parents=True, exist_ok=True)
        watches, begun = {cell.key: _Watch(cell, where) for cell in cells}, False
        try:
            while watches:
                alive = self.alive([watch.cell for watch in watches.values()], where)
                os.listdir(where)  # over NFS, it brings along the names of files that were made elsewhere
                busy = {key for key, watch in watches.items() if run_state.held(watch.cell, where)}
                for key, watch in [*watches.items()]:
                    begun |= watch.begun()
                    if key in alive or key in busy:
                        continue
                    if outcome := watch.outcome():
                        if watch.vanished() and not begun:
                            self.cancel(where)
                            raise InputError(f"{watch.cell.name}: {outcome.error}")
                        del watches[key]
                        yield outcome
                    elif len(alive) < self.jobs and self.place(watch.cell, where):
                        watch.placed += 1
                        alive.add(key)
                runs = {key for key, watch in watches.items() if key in busy or (key in alive and watch.begun())}
                yield frozenset(runs)
                time.sleep(self.pause)
        finally:
            self.leave([watch.cell for watch in watches.values()], where)


class _Watch:
    """A cell as its folder, its log and the note of its failure show it, whoever works on it.

    Attributes:
        placed: how often it was placed since its last new checkpoint.
    """

    def __init__(self, cell: Cell, where: Path):
        self.cell, self.folder, self.log = cell, where / cell.name, run_state.log_of(cell, where)
        self.placed, self.steps = 0, run_state.reached(self.folder)
        self._logged, self._noted = files.stamp(self.log), run_state.noted(self.folder)

    def begun(self) -> bool:
        """Whether a worker has taken it since."""
        return files.stamp(self.log) != self._logged

    def vanished(self) -> bool:
        """Whether it was placed and no worker took it; said of one that is not alive."""
        return self.placed > 0 and not self.begun()

    def outcome(self) -> Ended | None:
        """How it ended; None where it is to be placed. Asked when nobody is at it."""
        error = run_state.failure(self.cell, self.folder) if run_state.noted(self.folder) != self._noted else ""
        if not error and not run_state.over(self.cell, self.folder) and not (error := self._lost()):
            return None
        return Ended(self.cell, self.folder, error, self.log)

    def _lost(self) -> str:
        """What became of a job that has left no outcome; empty where it is worth another."""
        if self.vanished():
            return f"its job ended before it began: it was cancelled, or its node does not see {self.folder.parent}"
        if (steps := run_state.reached(self.folder)) > self.steps:
            self.placed, self.steps = 0, steps
        return f"its job was lost {self.placed} times without a new checkpoint" if self.placed >= ATTEMPTS else ""


class Local(Executor):
    """One process a cell, on this machine; they end with the caller.

    Args:
        jobs: how many at a time.
        cores: of each.
    """

    def __init__(self, jobs: int, cores: int = 1):
        self.jobs, self.cores = jobs, cores
        self._works: dict[Path, Work] = {}

    def expected(self, cells: Sequence[Cell]) -> dict[Key, float]:
        """From a second of each kind of run, made here."""
        from pgcontrol.sweep.expected import expected

        return expected(cells)

    def alive(self, cells: Collection[Cell], where: Path) -> set[Key]:
        """See `Executor`."""
        for cell in cells:
            if (work := self._works.get(where / cell.name)) and work.ended():
                del self._works[work.folder]
        return {cell.key for cell in cells if where / cell.name in self._works}

    def place(self, cell: Cell, where: Path) -> bool:
        """See `Executor`."""
        if work := Work.begin(cell, where, self.cores):
            self._works[work.folder] = work
        return work is not None

    def leave(self, cells: Collection[Cell], where: Path) -> None:
        """What runs is asked to stop at its next checkpoint, and waited for."""
        works = [work for cell in cells if (work := self._works.pop(where / cell.name, None))]
        for work in works:
            work.stop()
        for work in works:
            work.wait()
